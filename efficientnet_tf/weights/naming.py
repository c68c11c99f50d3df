"""What the original calls a network's variables.

A variable of ours is called what its Keras path says: `blocks_3/conv2d/kernel`. The exceptions are
in `checkpoint_name`. Within a block the original numbers the layers of one kind in call order, so
their number tells which of them expands and which projects: `layer_roles`.
"""

import re
from collections.abc import Iterable, Sequence

import keras


def checkpoint_name(path: str) -> str:
    """The original's name, without scope, for the path of a Keras variable."""
    path = path.replace("depthwise_conv2d/kernel", "depthwise_conv2d/depthwise_kernel")
    return re.sub(r"^predictions/", "head/dense/", path)


def checkpoint_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by their names in a checkpoint, without scope, in model order."""
    return {checkpoint_name(variable.path): variable for variable in model.weights}


_ENDS = {
    "stem": "stem/conv2d",
    "stem_norm": "stem/tpu_batch_normalization",
    "head": "head/conv2d",
    "head_norm": "head/tpu_batch_normalization",
    "classifier": "head/dense",
}
_BEFORE_BLOCKS = {"stem", "stem_norm"}
_BLOCK = re.compile(r"blocks_(\d+)/(.+)")
_SQUEEZE_EXCITE = {"se/conv2d": "se_reduce", "se/conv2d_1": "se_expand"}


class Roles(dict[tuple[int | None, str], str]):
    """`{(block or None, role): layer}` in call order.

    Roles outside of the blocks: stem, stem_norm, head, head_norm, classifier; in a block, where it
    has them: expand, expand_norm, depthwise, depthwise_norm, se_reduce, se_expand, project,
    project_norm.
    """

    def variable(self, block: int | None, role: str, leaf: str) -> str:
        """The name of a variable; one the network cannot have where it has no such layer."""
        foreign = _ENDS[role] if block is None else f"blocks_{block}/{role}"
        return f"{self.get((block, role), foreign)}/{leaf}"


def layer_roles(names: Iterable[str]) -> Roles:
    """Which layer of a network plays which role.

    Args:
      names: checkpoint names of its variables, without scope.
    """
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    blocks: dict[int, list[str]] = {}
    for layer in layers:
        if match := _BLOCK.fullmatch(layer):
            blocks.setdefault(int(match[1]), []).append(match[2])
    ends = {(None, role): layer for role, layer in _ENDS.items() if layer in layers}
    roles = Roles({place: layer for place, layer in ends.items() if place[1] in _BEFORE_BLOCKS})
    for index in sorted(blocks):
        for role, layer in _block_roles(blocks[index]).items():
            roles[index, role] = f"blocks_{index}/{layer}"
    roles.update(ends)
    return roles


def _block_roles(layers: Sequence[str]) -> dict[str, str]:
    """`{role: layer}` of one block in call order."""
    convolutions = _numbered("conv2d", layers)
    chain = ["expand"] if len(convolutions) > 1 else []
    chain += ["depthwise"] if "depthwise_conv2d" in layers else []
    chain += ["project"]
    norms = _numbered("tpu_batch_normalization", layers)
    roles = {}
    for role, norm in zip(chain, norms, strict=True):
        if role == "project":
            roles |= {role: layer for layer, role in _SQUEEZE_EXCITE.items() if layer in layers}
        roles[role] = "depthwise_conv2d" if role == "depthwise" else convolutions.pop(0)
        roles[f"{role}_norm"] = norm
    return roles


def _numbered(kind: str, layers: Sequence[str]) -> list[str]:
    """The layers `kind`, `kind_1`, ... in order."""
    return sorted((n for n in layers if re.fullmatch(rf"{kind}(_\d+)?", n)), key=len)
