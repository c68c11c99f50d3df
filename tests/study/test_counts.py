"""Grid, single axis and published numbers, without a network being built."""

import pytest

from efficientnet_tf.arch import block_string, scaling
from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.study import grid, single_axis
from efficientnet_tf.study.published import SCALED_NETWORKS, is_of_paper, published_networks

B0 = model_config("efficientnet-b0")
# Sandler et al. 2018 (arXiv 1801.04381), table 2.
MOBILENET_V2 = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24 r3_k3_s22_e6_i24_o32 r4_k3_s22_e6_i32_o64 "
    "r3_k3_s11_e6_i64_o96 r3_k3_s22_e6_i96_o160 r1_k3_s11_e6_i160_o320"
)
# Tan & Le 2019, table 2: millions of parameters and billions of multiply-adds, as printed.
TABLE_2 = {
    "b0": (5.3, 0.39), "b1": (7.8, 0.70), "b2": (9.2, 1.0), "b3": (12, 1.8),
    "b4": (19, 4.2), "b5": (30, 9.9), "b6": (43, 19), "b7": (66, 37),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE_2)
def test_counted_sizes_are_those_of_the_papers_table_2(name):
    row = next(
        row
        for row in published_networks()
        if (row.name, row.weights) == (f"efficientnet-{name}", "autoaugment")
    )
    parameters, multiply_adds = TABLE_2[name]
    assert row.parameters / 1e6 == pytest.approx(parameters, rel=0.03)
    assert row.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.05)
    assert row.source.endswith("table 2") and row.sizes == "counted"


def test_the_papers_table_3_of_mobilenet_v2():
    """Its coefficients are in the table, but for those of compound scaling."""
    network = B0.replace(blocks=MOBILENET_V2)
    printed = {r.axis: r.multiply_adds for r in SCALED_NETWORKS if r.network == "MobileNetV2"}
    for axis, coefficient in {"depth": 4.0, "width": 2.0, "resolution": 2.0}.items():
        counted = total(single_axis.AXES[axis](network, coefficient)).multiply_adds / 1e9
        assert round(counted, 1) == printed[axis]
    assert round(total(network).multiply_adds / 1e9, 1) == printed["baseline"]


def test_the_coefficients_of_table_7_give_other_counts_than_it_prints():
    """What docs/scaling.md says of it: 1.8, 1.8 and 1.9 are printed; the compound one agrees."""
    counted = {axis: total(scaled(B0, c)) for (axis, scaled), c in
               zip(single_axis.AXES.items(), (4.0, 2.0, 2.0), strict=True)}  # fmt: skip
    billions = {axis: round(cost.multiply_adds / 1e9, 2) for axis, cost in counted.items()}
    assert billions == {"depth": 1.58, "width": 1.45, "resolution": 1.54}
    compound = scaling.apply(B0, scaling.Coefficients(1.4, 1.2, 1.3))
    printed = {r.axis: r.multiply_adds for r in SCALED_NETWORKS if r.network == "EfficientNet-B0"}
    assert round(total(compound).multiply_adds / 1e9, 1) == printed["compound"] == 1.8


def test_every_number_has_a_source_and_every_family_is_there():
    rows = published_networks()
    assert all(row.source for row in rows)
    assert len({(row.name, row.weights) for row in rows}) == len(rows)
    drawn = {row.family for row in rows if is_of_paper(row)}
    assert drawn >= {
        *("EfficientNet", "EfficientNetV2", "EfficientNet-Lite", "ResNet", "ResNeXt", "DenseNet"),
        *("Inception", "SENet", "NASNet", "AmoebaNet", "GPipe"),
    }
    b_s = [r.name for r in rows if is_of_paper(r) and r.family == "EfficientNet"]
    assert b_s == [f"efficientnet-b{number}" for number in range(8)]
    # "8.4x smaller than the best existing ConvNet": the paper's abstract.
    sizes = {row.name: row.parameters for row in rows}
    assert sizes["GPipe"] / sizes["efficientnet-b7"] == pytest.approx(8.4, abs=0.05)


def test_the_grid_holds_the_papers_optimum_and_its_constraint():
    points = grid.search(B0)
    found = {(point.alpha, point.beta, point.gamma): point for point in points}
    assert len(found) == len(points) > 50
    assert all(abs(point.product - 2) <= 0.1 + 1e-6 for point in points)
    assert all(min(bases) >= 1 for bases in found)
    best = found[1.2, 1.1, 1.15]
    cost = total(scaling.scale(B0, 1))
    assert (best.parameters, best.multiply_adds) == (cost.trainable, cost.multiply_adds)
    assert best.growth == pytest.approx(cost.multiply_adds / total(B0).multiply_adds, abs=1e-4)
    for wrong in ({"step": 0.0}, {"step": 1e-6}, {"tolerance": 0.0}):
        with pytest.raises(UserError):
            grid.search(B0, **wrong)


@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-lite0", "efficientnetv2-b0"])
def test_networks_of_all_axes_cost_as_much_as_the_compound_one(name):
    config = VARIANTS[name]
    rows = single_axis.compare(config, (0, 2))
    assert [row.axis for row in rows] == ["depth", "width", "resolution", "compound"] * 2
    assert all(row.off_target == 0 and row.input_size == 224 for row in rows[:4])
    depth, width, resolution, compound = rows[4:]
    assert all(abs(row.off_target) < 0.05 for row in rows)
    assert depth.width_coefficient == resolution.width_coefficient == 1
    assert depth.depth_coefficient > compound.depth_coefficient > 1
    assert width.width_coefficient > compound.width_coefficient > 1
    assert resolution.input_size > compound.input_size > 224
    assert resolution.parameters == total(config).trainable


def test_a_target_in_between_is_met_by_the_nearest_network():
    """Against a search through every resolution."""
    for target in (10**8, 5 * 10**8, 2 * 10**9):
        off = {
            size: abs(total(B0.replace(input_size=size)).multiply_adds - target)
            for size in range(32, 700)
        }
        found = single_axis.matched(B0, "resolution", target)
        assert off[found.input_size] == min(off.values())
    with pytest.raises(UserError, match="depht"):
        single_axis.matched(B0, "depht", 10**9)
