"""The block notation: what each token means, and that nothing is lost on the way back."""

import pytest

from efficientnet_tf.arch import block_string, stages
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import BlockSpec

PLAIN = "r2_k5_s22_e6_i24_o40"


@pytest.mark.parametrize(
    "token, field, value",
    [
        ("se0.25", "se_ratio", 0.25),
        ("noskip", "id_skip", False),
        ("c1", "no_depthwise", True),
        ("f1", "fused", True),
        ("d1", "space_to_depth", 1),
        ("d2", "space_to_depth", 2),
        ("a0", "activation", "relu"),
        ("a1", "activation", "swish"),
        ("cc", "condconv", True),
    ],
)
def test_token(token, field, value):
    spec = block_string.parse(f"{PLAIN}_{token}")
    expected = BlockSpec(5, 2, 24, 40, 6, 2, **{field: value})
    assert spec == expected
    assert block_string.format_block(spec) == f"{PLAIN}_{token}"


@pytest.mark.parametrize("name", VARIANTS)
def test_round_trip(name):
    blocks = VARIANTS[name].blocks
    assert block_string.parse_all(block_string.format_all(blocks)) == blocks


def test_order_of_tokens_is_free():
    assert block_string.parse("a0_d1_se0.25_o16_i32_e1_s11_k3_r1") == stages.X[0]


@pytest.mark.parametrize(
    "block, complaint",
    [
        (f"{PLAIN}_q7", "unknown token 'q7'"),
        (f"{PLAIN}_d3", "unknown token 'd3'"),
        (f"{PLAIN}_d1_d2", "space_to_depth twice"),
        ("r2_k5_s21_e6_i24_o40", "two equal digits"),
        ("r2_k5_e6_i24_o40", "no strides"),
        ("r2.5_k5_s22_e6_i24_o40", "r2.5"),
        ("", "unknown token"),
    ],
)
def test_bad_strings(block, complaint):
    with pytest.raises(ValueError, match=complaint):
        block_string.parse(block)


def test_what_has_no_token_is_refused():
    with pytest.raises(ValueError, match="no block string"):
        block_string.format_block(BlockSpec(5, 2, 24, 40, 6, 2, activation="gelu"))
