"""Compound scaling, against the paper's numbers."""

import pytest

from efficientnet_tf.arch import scaling
from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import model_config

B0 = model_config("efficientnet-b0")


def test_the_papers_coefficients_double_the_multiply_adds():
    assert (scaling.ALPHA, scaling.BETA, scaling.GAMMA) == (1.2, 1.1, 1.15)
    one = scaling.compound_coefficients(1)
    assert one == (1.2, 1.1, 1.15)
    assert one.growth == pytest.approx(2, abs=0.1)  # 1.92, "about 2" in the paper
    for phi in (-1, 0, 0.5, 3):
        assert scaling.compound_coefficients(phi).growth == pytest.approx(one.growth**phi)


@pytest.mark.parametrize("phi, name", [(0, "b0"), (1, "b2"), (2, "b3")])
def test_phi_of_published_variants(phi, name):
    """Whose coefficients are those of the formula, rounded to a digit, and a size near by."""
    published = model_config(f"efficientnet-{name}")
    scaled = scaling.scale(B0, phi)
    assert round(scaled.width_coefficient, 1) == published.width_coefficient
    assert round(scaled.depth_coefficient, 1) == published.depth_coefficient
    assert abs(scaled.input_size - published.input_size) <= 4
    assert total(scaled).multiply_adds == pytest.approx(total(published).multiply_adds, rel=0.02)


def test_scaling_starts_from_the_networks_own_coefficients_and_keeps_the_rest():
    b2 = model_config("efficientnet-lite2", num_classes=7)
    scaled = scaling.scale(b2, 1, alpha=2.0, beta=1.5, gamma=1.1)
    assert (scaled.depth_coefficient, scaled.width_coefficient) == (2.4, pytest.approx(1.65))
    assert scaled.input_size == 286
    same = {"depth_coefficient": 1.2, "width_coefficient": 1.1, "input_size": 260}
    assert scaled.replace(**same) == b2
    assert scaling.scale(b2, 0) == b2
