"""Captioned grids: where the pixels lie, and that captions are drawn below them."""

import numpy as np

from efficientnet_tf.run.picture import captioned_grid


def test_images_lie_in_rows_enlarged_by_a_whole_factor():
    images = np.zeros([3, 32, 32, 3], "float32")
    images[1] = 300.0  # clipped
    grid = captioned_grid(images, ["a", "b", ""], columns=2)
    side = 32 * 4
    assert grid.shape == (2 * side + 2 * 22 + 4, 2 * side + 4, 3)
    assert not grid[:side, :side].any()
    assert (grid[:side, side + 4 :] == 255).all()
    assert (grid[side + 22 + 4 + side :, :side] == 255).all()  # the empty caption
    for left in (0, side + 4):
        assert (grid[side : side + 22, left : left + side] < 128).any()


def test_long_captions_stay_below_their_image():
    grid = captioned_grid(np.full([2, 112, 112, 3], 255.0), ["word " * 40, ""], columns=2)
    assert (grid[:, 112:] == 255).all()
