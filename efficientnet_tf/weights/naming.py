"""The original's names of a network's variables, and which layer each of them belongs to.

The name is the variable's Keras path, `blocks_3/conv2d/kernel`, but for the exceptions in
`_checkpoint_name`. Within a block the original numbers the layers of one kind in call order;
`layer_roles` tells by the numbers which convolution expands and which projects.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import keras


def _checkpoint_name(path: str, cond_blocks: Sequence[str]) -> str:
    """The original's name, without scope, for the path of a Keras variable.

    The original numbers the convolutions of its conditional blocks (`cond_blocks`, in order)
    through the whole network. It creates three in each block and does not use the first, which
    would be the fused one.
    """
    block, _, name = path.partition("/")
    if "cond_conv2d" in name:
        kind, number = re.match(r"(depthwise_cond_conv2d|cond_conv2d)_?(\d*)/", name).groups()
        index = cond_blocks.index(block)
        number = 3 * index + 1 + int(number or 0) if kind == "cond_conv2d" else index
        leaf = name.rpartition("/")[2]
        return f"model/{block}/{kind}{f'_{number}' if number else ''}/{leaf}"
    path = path.replace("depthwise_conv2d/kernel", "depthwise_conv2d/depthwise_kernel")
    return re.sub(r"^predictions/", "head/dense/", path)


def checkpoint_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by their names in a checkpoint, without scope, in model order."""
    paths = [variable.path for variable in model.weights]
    cond_blocks = list(dict.fromkeys(p.split("/")[0] for p in paths if "cond_conv2d" in p))
    return {_checkpoint_name(variable.path, cond_blocks): variable for variable in model.weights}


_ENDS = {
    "stem": "stem/conv2d",
    "stem_norm": "stem/tpu_batch_normalization",
    "head": "head/conv2d",
    "head_norm": "head/tpu_batch_normalization",
    "classifier": "head/dense",
}
_BEFORE_BLOCKS = {"stem", "stem_norm"}
_BLOCK_LAYER = re.compile(r"(?:model/)?blocks_(\d+)/(.+)")
_IN_BLOCK = {
    "space2depth/conv2d": "space_to_depth",
    "space2depth/tpu_batch_normalization": "space_to_depth_norm",
    "dense": "router",
    "se/conv2d": "se_reduce",
    "se/conv2d_1": "se_expand",
}


class Roles(dict[tuple[int | None, str], str]):
    """`{(block or None, role): layer}` in call order.

    Roles outside of the blocks: stem, stem_norm, head, head_norm, classifier. In a block, as far as
    it has them: space_to_depth, space_to_depth_norm, router, expand, expand_norm, depthwise,
    depthwise_norm, se_reduce, se_expand, project, project_norm.
    """

    def variable(self, block: int | None, role: str, leaf: str) -> str:
        """The name of a variable; where the network has no such layer, one that fits none."""
        foreign = _ENDS[role] if block is None else f"blocks_{block}/{role}"
        return f"{self.get((block, role), foreign)}/{leaf}"


def layer_roles(names: Iterable[str]) -> Roles:
    """Which layer of a network plays which role.

    Args:
      names: checkpoint names of its variables, without scope.
    """
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    blocks: dict[int, dict[str, str]] = {}
    for layer in layers:
        if match := _BLOCK_LAYER.fullmatch(layer):
            blocks.setdefault(int(match[1]), {})[match[2]] = layer
    ends = {(None, role): layer for role, layer in _ENDS.items() if layer in layers}
    roles = Roles({place: layer for place, layer in ends.items() if place[1] in _BEFORE_BLOCKS})
    for index in sorted(blocks):
        for role, name in _block_roles(list(blocks[index])):
            roles[index, role] = blocks[index][name]
    roles.update(ends)
    return roles


def _block_roles(layers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`(role, layer)` of one block in call order."""
    named = {role: layer for layer, role in _IN_BLOCK.items() if layer in layers}
    convolutions = _numbered("(cond_)?conv2d", layers)
    depthwise = _numbered("depthwise_(cond_)?conv2d", layers)
    chain = [("expand", layer) for layer in convolutions[:-1]]
    chain += [("depthwise", layer) for layer in depthwise]
    norms = _numbered("tpu_batch_normalization", layers)
    for role in ("space_to_depth", "space_to_depth_norm", "router"):
        if role in named:
            yield role, named[role]
    for role, layer in chain:
        yield role, layer
        yield f"{role}_norm", norms.pop(0)
    for role in ("se_reduce", "se_expand"):
        if role in named:
            yield role, named[role]
    yield "project", convolutions[-1]
    yield "project_norm", norms.pop(0)


def _numbered(kind: str, layers: Sequence[str]) -> list[str]:
    """The layers `kind`, `kind_1`, ... in order."""
    found = {n: re.fullmatch(rf"{kind}(?:_(?P<number>\d+))?", n) for n in layers}
    return sorted((n for n in layers if found[n]), key=lambda n: int(found[n]["number"] or 0))
