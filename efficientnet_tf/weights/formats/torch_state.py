"""Converts state dictionaries of timm's and torchvision's EfficientNets to our weights and back.

1. Both number blocks by stage; timm names layers by the kind of block, torchvision by position.
2. Kernels are OIHW there and HWIO here, depthwise ones C1HW and HWC1, dense ones transposed; the
   flattened experts of a conditional convolution likewise, inside each expert.
3. Networks that PyTorch trained pad symmetrically, and most have an epsilon of 1e-5; timm's `tf_*`
   are the original's weights and keep its 'same' padding and 1e-3. The variables' names are the
   same for both; `torch_files` looks at the file's surroundings.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from efficientnet_tf.arch.scaling import stage_sizes
from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.weights.assignment import Weights
from efficientnet_tf.weights.naming import Roles, layer_roles

Stages = Sequence[tuple[int, int]]

# (expands, has a depthwise convolution): {role: layer}; timm's four kinds of block.
_TIMM_BLOCKS = {
    (True, True): {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"},
    (False, True): {"depthwise": "conv_dw", "project": "conv_pw"},
    (True, False): {"expand": "conv_exp", "project": "conv_pwl"},
    (False, False): {"project": "conv"},
}
_TIMM_EXTRA = {
    "se_reduce": "se.conv_reduce",
    "se_expand": "se.conv_expand",
    "router": "routing_fn",
}
_TIMM_ENDS = {
    "stem": "conv_stem",
    "stem_norm": "bn1",
    "head": "conv_head",
    "head_norm": "bn2",
    "classifier": "classifier",
}
_LEAVES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "condconv_kernel": "weight",
    "depthwise_condconv_kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_EXPERTS = ("condconv_kernel", "depthwise_condconv_kernel")


def library_of(state: Mapping[str, np.ndarray]) -> str | None:
    """Whose names these are: `timm`, `torchvision` or None."""
    if "conv_stem.weight" in state:
        return "timm"
    return "torchvision" if "features.0.0.weight" in state else None


def stages_of_state(state: Mapping[str, np.ndarray]) -> Stages:
    """(stage, repeat) of every block in order, from the names."""
    offset = 0 if library_of(state) == "timm" else 1
    places = (name.split(".")[1:3] for name in state if name.startswith(("blocks.", "features.")))
    pairs = {(int(a) - offset, int(b)) for a, b in places if b.isdigit()}
    if offset:  # the stem and the head are features too, of one convolution and its norm
        last = max(stage for stage, _ in pairs)
        pairs = {(stage, repeat) for stage, repeat in pairs if 0 <= stage < last}
    return sorted(pairs)


def stages_of_config(config: ModelConfig) -> Stages:
    """(stage, repeat) of every block in order, from the architecture."""
    sizes = stage_sizes(config)
    return [(stage, repeat) for stage, size in enumerate(sizes) for repeat in range(size)]


def torch_names(variables: Sequence[str], stages: Stages, library: str) -> dict[str, str]:
    """{PyTorch's name: ours} for the variables of a network.

    Args:
      variables: checkpoint names, without scope.
      stages: (stage, repeat) of every block.
      library: `timm` or `torchvision`.

    Raises:
      UserError: a block that the library does not have (space-to-depth).
    """
    roles = layer_roles(variables)
    layers = {}
    for place, layer in roles.items():
        block, role = place
        if block is None:
            layers[layer] = _end_layer(role, stages, library)
        elif block < len(stages):
            layers[layer] = _block_layer(role, _roles_of(roles, block), stages[block], library)
    return {
        f"{layers[layer]}.{_LEAVES[leaf]}": name
        for name in variables
        for layer, _, leaf in [name.rpartition("/")]
        if layer in layers
    }


def _roles_of(roles: Roles, block: int) -> list[str]:
    return [role for index, role in roles if index == block]


def _end_layer(role: str, stages: Stages, library: str) -> str:
    if library == "timm":
        return _TIMM_ENDS[role]
    if role == "classifier":
        return "classifier.1"
    feature = 0 if role.startswith("stem") else stages[-1][0] + 2
    return f"features.{feature}.{1 if role.endswith('_norm') else 0}"


def _block_layer(role: str, roles: list[str], place: tuple[int, int], library: str) -> str:
    """The layer of one role in a block that has `roles`."""
    stage, repeat = place
    if "space_to_depth" in roles:
        raise UserError(f"{library} has no blocks with space-to-depth")
    chain = [r for r in ("expand", "depthwise", "se_reduce", "project") if r in roles]
    base = role.removesuffix("_norm")
    if library == "torchvision":
        layer = {"se_reduce": "fc1", "se_expand": "fc2"}.get(role, "1" if base != role else "0")
        position = chain.index("se_reduce" if base == "se_expand" else base)
        return f"features.{stage + 1}.{repeat}.block.{position}.{layer}"
    names = _TIMM_BLOCKS["expand" in roles, "depthwise" in roles] | _TIMM_EXTRA
    chain = [r for r in chain if r != "se_reduce"]
    layer = names[base] if base == role else f"bn{chain.index(base) + 1}"
    return f"blocks.{stage}.{repeat}.{layer}"


def from_torch(state: Mapping[str, np.ndarray], shapes: Mapping[str, tuple]) -> Weights:
    """The weights of a state dictionary by our names, in our layouts.

    Args:
      state: arrays by PyTorch's names; `num_batches_tracked` and the like do not matter.
      shapes: of the network's variables by name.
    """
    library, stages = library_of(state), stages_of_state(state)
    names = torch_names(list(shapes), stages, library)
    weights = {}
    for torch_name, value in state.items():
        if torch_name.endswith("num_batches_tracked"):
            continue
        # A layer that the network lacks keeps PyTorch's name, for the error that lists it. The
        # classifier gets ours: a network without the top ignores it.
        foreign = torch_name.replace(f"{_end_layer('classifier', stages, library)}.", "head/dense/")
        name = names.get(torch_name, foreign.replace("/weight", "/kernel"))
        weights[name] = _to_ours(value, name, shapes)
    return weights


def to_torch(weights: Weights, stages: Stages, library: str = "timm") -> dict[str, np.ndarray]:
    """The inverse of `from_torch`: a state dictionary that the library's network loads."""
    names = torch_names(list(weights), stages, library)
    shapes = {name: value.shape for name, value in weights.items()}
    return {theirs: _to_theirs(weights[name], name, shapes) for theirs, name in names.items()}


def _to_ours(value: np.ndarray, name: str, shapes: Mapping[str, tuple]) -> np.ndarray:
    leaf = name.rpartition("/")[2]
    if leaf in _EXPERTS:
        filters = _filters(name, shapes)
        if value.shape[-1] % filters:
            return value  # of another network; `check_fit` reports the shape
        experts = value.reshape(len(value), filters, -1)
        return experts.transpose(0, 2, 1).reshape(len(value), -1)
    if value.ndim == 4:
        return (
            value.transpose(2, 3, 0, 1)
            if leaf == "depthwise_kernel"
            else value.transpose(2, 3, 1, 0)
        )
    return value.T


def _to_theirs(value: np.ndarray, name: str, shapes: Mapping[str, tuple]) -> np.ndarray:
    leaf = name.rpartition("/")[2]
    if leaf in _EXPERTS:
        experts = value.reshape(len(value), -1, _filters(name, shapes))
        return experts.transpose(0, 2, 1).reshape(len(value), -1)
    if value.ndim == 4:
        return (
            value.transpose(2, 3, 0, 1)
            if leaf == "depthwise_kernel"
            else value.transpose(3, 2, 0, 1)
        )
    return value.T


def _filters(name: str, shapes: Mapping[str, tuple]) -> int:
    """Output channels of a conditional convolution, whose kernels are flat: its norm's."""
    roles = layer_roles(shapes)
    block, role = next(place for place, layer in roles.items() if name.startswith(f"{layer}/"))
    return shapes[roles.variable(block, f"{role}_norm", "gamma")][0]
