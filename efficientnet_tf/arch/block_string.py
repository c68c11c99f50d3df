"""The original's block notation, `r1_k3_s11_e1_i32_o16_se0.25_noskip`, to and from `BlockSpec`.

`r` repeats, `k` kernel size, `s` strides (two equal digits), `e` expand ratio, `i` and `o` input
and output filters, `se` squeeze-excite ratio, `noskip` no identity shortcut, `c1` no depthwise
convolution, `f1` fused expansion, `d1` / `d2` into / out of space-to-depth, `a0` relu, `a1` swish,
`cc` conditional convolution.

Divergence from the original: a block with `f1` and `e1` has a single k x k convolution, as in
EfficientNetV2 (the original never builds one, and would put a 1x1 projection after it).
"""

import re
from collections.abc import Iterable

from efficientnet_tf.config import BlockSpec


def _strides(digits: str) -> int:
    if len(digits) != 2 or digits[0] != digits[1]:
        raise ValueError("strides must be two equal digits, as in s22")
    return int(digits[0])


# letters: (field of BlockSpec, from the characters after the letters)
_NUMBERS = {
    "r": ("num_repeat", int),
    "k": ("kernel_size", int),
    "s": ("strides", _strides),
    "e": ("expand_ratio", int),
    "i": ("input_filters", int),
    "o": ("output_filters", int),
    "se": ("se_ratio", float),
}
_REQUIRED = {name for letters, (name, _) in _NUMBERS.items() if letters != "se"}

# In the order in which `format_block` writes them.
_WORDS = {
    "noskip": ("id_skip", False),
    "c1": ("no_depthwise", True),
    "f1": ("fused", True),
    "d1": ("space_to_depth", 1),
    "d2": ("space_to_depth", 2),
    "a0": ("activation", "relu"),
    "a1": ("activation", "swish"),
    "cc": ("condconv", True),
}


def _parse_token(token: str) -> tuple[str, object]:
    """The field and value of one token."""
    if token in _WORDS:
        return _WORDS[token]
    match = re.fullmatch(r"([a-z]+)([\d.]+)", token)
    if not match or match[1] not in _NUMBERS:
        raise ValueError(f"unknown token {token!r}")
    name, convert = _NUMBERS[match[1]]
    try:
        return name, convert(match[2])
    except ValueError as error:
        raise ValueError(f"token {token!r}: {error}") from None


def parse(block: str) -> BlockSpec:
    """One stage's description; an unknown, repeated, missing or bad token is a `ValueError`."""
    values = {}
    for token in block.split("_"):
        try:
            name, value = _parse_token(token)
        except ValueError as error:
            raise ValueError(f"block string {block!r}: {error}") from None
        if name in values:
            raise ValueError(f"block string {block!r}: {name} twice")
        values[name] = value
    missing = sorted(_REQUIRED - set(values))
    if missing:
        raise ValueError(f"block string {block!r}: no {', '.join(missing)}")
    return BlockSpec(**values)


def parse_all(blocks: str) -> tuple[BlockSpec, ...]:
    """The stages of a space-separated list of block strings."""
    return tuple(parse(block) for block in blocks.split())


def format_block(spec: BlockSpec) -> str:
    """The block string of `spec`; `parse` undoes it.

    Raises:
      ValueError: a value that the notation has no token for.
    """
    parts = [
        f"r{spec.num_repeat}",
        f"k{spec.kernel_size}",
        f"s{spec.strides}{spec.strides}",
        f"e{spec.expand_ratio}",
        f"i{spec.input_filters}",
        f"o{spec.output_filters}",
    ]
    if spec.se_ratio is not None:
        parts.append(f"se{spec.se_ratio:g}")
    parts += [word for word, (name, value) in _WORDS.items() if getattr(spec, name) == value]
    block = "_".join(parts)
    if parse(block) != spec:
        raise ValueError(f"no block string says {spec}")
    return block


def format_all(specs: Iterable[BlockSpec]) -> str:
    """The space-separated block strings of `specs`."""
    return " ".join(format_block(spec) for spec in specs)
