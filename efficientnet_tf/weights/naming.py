"""What the original calls a network's variables.

A variable of ours is called what its Keras path says: `blocks_3/conv2d/kernel`. The exceptions are
in `checkpoint_name`. Within a block the original numbers the layers of one kind in call order, so
the number of convolutions tells which of them expands and which projects: `block_layers`.
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
    "stem/conv2d": "stem",
    "stem/tpu_batch_normalization": "stem_norm",
    "head/conv2d": "head",
    "head/tpu_batch_normalization": "head_norm",
    "head/dense": "classifier",
}
_BLOCK = re.compile(r"blocks_(\d+)/(.+)")
_SQUEEZE_EXCITE = {"se/conv2d": "se_reduce", "se/conv2d_1": "se_expand"}


def layer_roles(names: Iterable[str]) -> dict[tuple[int | None, str], str]:
    """Which layer plays which role.

    Args:
      names: checkpoint names of a network's variables, without scope.

    Returns:
      `{(block or None, role): layer}` in call order. Roles outside of the blocks: stem, stem_norm,
      head, head_norm, classifier; in a block, where it has them: expand, expand_norm, depthwise,
      depthwise_norm, se_reduce, se_expand, project, project_norm.
    """
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    blocks: dict[int, list[str]] = {}
    for layer in layers:
        if match := _BLOCK.fullmatch(layer):
            blocks.setdefault(int(match[1]), []).append(match[2])
    found = {(None, role): layer for layer, role in _ENDS.items() if layer in layers}
    for index in sorted(blocks):
        for role, layer in _block_roles(blocks[index]).items():
            found[index, role] = f"blocks_{index}/{layer}"
    return found


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
