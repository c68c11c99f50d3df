"""The stages of every family, unscaled, in the original's block notation (`arch.block_string`).

Sources: the original code for all but V2, whose table is in arXiv 2104.00298 (section 3.3) and
automl's `effnetv2_configs.py`, whose token for a fused block is `c1`, not `f1`.
"""

from efficientnet_tf.arch import block_string

B = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 "
    "r3_k3_s22_e6_i40_o80_se0.25 r3_k5_s11_e6_i80_o112_se0.25 r4_k5_s22_e6_i112_o192_se0.25 "
    "r1_k3_s11_e6_i192_o320_se0.25"
)
LITE = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24 r2_k5_s22_e6_i24_o40 r3_k3_s22_e6_i40_o80 "
    "r3_k5_s11_e6_i80_o112 r4_k5_s22_e6_i112_o192 r1_k3_s11_e6_i192_o320"
)
EDGETPU = block_string.parse_all(
    "r1_k3_s11_e4_i24_o24_noskip_c1 r2_k3_s22_e8_i24_o32_c1 r4_k3_s22_e8_i32_o48_c1 "
    "r5_k5_s22_e8_i48_o96 r4_k5_s11_e8_i96_o144 r2_k5_s22_e8_i144_o192"
)
CONDCONV = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 "
    "r3_k3_s22_e6_i40_o80_se0.25 r3_k5_s11_e6_i80_o112_se0.25_cc "
    "r4_k5_s22_e6_i112_o192_se0.25_cc r1_k3_s11_e6_i192_o320_se0.25_cc"
)
X = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16_se0.25_d1_a0 r2_k3_s22_e6_i16_o24_se0.25_f1_d2_a1 "
    "r2_k5_s22_e6_i24_o40_se0.25_f1_a1 r3_k3_s22_e6_i40_o80_se0.25_a0 "
    "r3_k5_s11_e6_i80_o112_se0.25_a0 r4_k5_s22_e6_i112_o192_se0.25_a0 "
    "r1_k3_s11_e6_i192_o320_se0.25_a0"
)
H = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16_se0.25_d1_a0 r2_k3_s22_e4_i16_o24_se0.25_f1_d2_a1 "
    "r2_k5_s22_e4_i24_o40_se0.25_f1_a1 r3_k3_s22_e4_i40_o80_se0.25_a0 "
    "r3_k5_s11_e6_i80_o112_se0.25_a0 r4_k5_s22_e6_i112_o192_se0.25_a0 "
    "r1_k3_s11_e6_i192_o320_se0.25_a0"
)
V2_BASE = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16_f1 r2_k3_s22_e4_i16_o32_f1 r2_k3_s22_e4_i32_o48_f1 "
    "r3_k3_s22_e4_i48_o96_se0.25 r5_k3_s11_e6_i96_o112_se0.25 r8_k3_s22_e6_i112_o192_se0.25"
)
V2_S = block_string.parse_all(
    "r2_k3_s11_e1_i24_o24_f1 r4_k3_s22_e4_i24_o48_f1 r4_k3_s22_e4_i48_o64_f1 "
    "r6_k3_s22_e4_i64_o128_se0.25 r9_k3_s11_e6_i128_o160_se0.25 r15_k3_s22_e6_i160_o256_se0.25"
)
V2_M = block_string.parse_all(
    "r3_k3_s11_e1_i24_o24_f1 r5_k3_s22_e4_i24_o48_f1 r5_k3_s22_e4_i48_o80_f1 "
    "r7_k3_s22_e4_i80_o160_se0.25 r14_k3_s11_e6_i160_o176_se0.25 "
    "r18_k3_s22_e6_i176_o304_se0.25 r5_k3_s11_e6_i304_o512_se0.25"
)
V2_L = block_string.parse_all(
    "r4_k3_s11_e1_i32_o32_f1 r7_k3_s22_e4_i32_o64_f1 r7_k3_s22_e4_i64_o96_f1 "
    "r10_k3_s22_e4_i96_o192_se0.25 r19_k3_s11_e6_i192_o224_se0.25 "
    "r25_k3_s22_e6_i224_o384_se0.25 r7_k3_s11_e6_i384_o640_se0.25"
)
V2_XL = block_string.parse_all(
    "r4_k3_s11_e1_i32_o32_f1 r8_k3_s22_e4_i32_o64_f1 r8_k3_s22_e4_i64_o96_f1 "
    "r16_k3_s22_e4_i96_o192_se0.25 r24_k3_s11_e6_i192_o256_se0.25 "
    "r32_k3_s22_e6_i256_o512_se0.25 r8_k3_s11_e6_i512_o640_se0.25"
)
