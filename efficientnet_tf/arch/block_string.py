"""The original's block notation, `r1_k3_s11_e1_i32_o16_se0.25_noskip`, to and from `BlockSpec`.

`r` repeats, `k` kernel size, `s` strides (two equal digits), `e` expand ratio, `i` and `o` input
and output filters, `se` squeeze-excite ratio, `noskip` no identity shortcut.
"""

import re
from collections.abc import Iterable

from efficientnet_tf.config import BlockSpec

_FIELDS = {
    "r": ("num_repeat", int),
    "k": ("kernel_size", int),
    "s": ("strides", lambda digits: _strides(digits)),
    "e": ("expand_ratio", int),
    "i": ("input_filters", int),
    "o": ("output_filters", int),
    "se": ("se_ratio", float),
}
_WORDS = {"noskip": ("id_skip", False)}
_REQUIRED = {"num_repeat", "kernel_size", "strides", "expand_ratio"} | {
    "input_filters",
    "output_filters",
}


def _strides(digits: str) -> int:
    if len(digits) != 2 or digits[0] != digits[1]:
        raise ValueError("strides must be two equal digits, as in s22")
    return int(digits[0])


def parse(block: str) -> BlockSpec:
    """One stage's description; an unknown, missing or malformed token is a `ValueError`."""
    values = {}
    for token in block.split("_"):
        if token in _WORDS:
            name, value = _WORDS[token]
        else:
            match = re.fullmatch(r"([a-z]+)([\d.]+)", token)
            if not match or match[1] not in _FIELDS:
                raise ValueError(f"block string {block!r}: unknown token {token!r}")
            name, convert = _FIELDS[match[1]]
            try:
                value = convert(match[2])
            except ValueError as error:
                raise ValueError(f"block string {block!r}: token {token!r}: {error}") from None
        values[name] = value
    missing = sorted(_REQUIRED - set(values))
    if missing:
        raise ValueError(f"block string {block!r}: no {', '.join(missing)}")
    return BlockSpec(**values)


def parse_all(blocks: str) -> tuple[BlockSpec, ...]:
    """The stages of a space-separated list of block strings."""
    return tuple(parse(block) for block in blocks.split())


def format_block(spec: BlockSpec) -> str:
    """The block string of `spec`; `parse` undoes it."""
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
    if not spec.id_skip:
        parts.append("noskip")
    return "_".join(parts)


def format_all(specs: Iterable[BlockSpec]) -> str:
    """The space-separated block strings of `specs`."""
    return " ".join(format_block(spec) for spec in specs)
