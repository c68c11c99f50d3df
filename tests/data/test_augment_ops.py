"""Every operation against the original's outputs, PIL and NumPy, on every road to it."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.reference import reference_dir
from PIL import Image, ImageOps

from efficientnet_tf.data.augment import color_ops, compiled, geometry
from efficientnet_tf.data.augment.policy import OPERATIONS

CASES_DIR = reference_dir() / "augment"
CASES = json.loads(Path(CASES_DIR / "augment_ops.json").read_text())
ARRAYS = np.load(CASES_DIR / "augment_ops.npz")
OPS = sorted({case["op"] for case in CASES})
# Blends may be one level off on 0.1% of the values, by the reference's own tolerance.
BLENDS = {"Brightness", "Color", "Contrast", "Sharpness"}


def photo(height=61, width=83, seed=0):
    """A smooth colourful picture with some noise; not square, no power of two."""
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)]
    return np.clip(110 + 80 * np.stack(waves, -1) + noise, 3, 250).astype(np.uint8)


def signature(examples):
    """Of the image and the arguments; images of any size."""
    arguments = (tf.TensorSpec(np.shape(argument)) for argument in examples[0][1:])
    return (tf.TensorSpec([None, None, 3], tf.uint8), *arguments)


def in_dataset(function, examples, static=True):
    """`function(image, *arguments)` of each example in one tf.data map; arguments are tensors."""
    shape = examples[0][0].shape

    def mapped(image, *arguments):
        return function(tf.ensure_shape(image, shape) if static else image, *arguments)

    dataset = tf.data.Dataset.from_generator(
        lambda: iter(map(tuple, examples)), output_signature=signature(examples)
    )
    return list(dataset.map(mapped).as_numpy_iterator())


def road_eager(function, examples):
    return [function(tf.constant(image), *arguments).numpy() for image, *arguments in examples]


def road_function(function, examples):
    """As in a model: TensorFlow's graph optimizer rewrites it, which it does not in tf.data."""
    traced = tf.function(function, input_signature=signature(examples), autograph=False)
    examples = [(image, *map(np.float32, arguments)) for image, *arguments in examples]
    return [traced(*example).numpy() for example in examples]


def road_compiled(function, examples):
    return in_dataset(function, examples)


def road_plain(function, examples):
    with compiled.plain_graph():
        return in_dataset(function, examples)


def road_dynamic(function, examples):
    return in_dataset(function, examples, static=False)


ROADS = [road_eager, road_function, road_compiled, road_plain, road_dynamic]


def test_every_operation_has_cases():
    assert set(OPS) | {"Cutout"} == set(OPERATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("op", OPS)
def test_equals_the_original(op, road):
    cases = [case for case in CASES if case["op"] == op]
    examples = [(ARRAYS[case["input"]], *case["args"]) for case in cases]
    for case, actual in zip(cases, road(OPERATIONS[op].function, examples), strict=True):
        difference = np.abs(actual - ARRAYS[case["case"]].astype(int))
        assert difference.max() <= (op in BLENDS), case
        assert np.mean(difference > 0) <= 0.001 * (op in BLENDS), case


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS[1:])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_all_roads_give_equal_pixels(name, road):
    arguments = {"Cutout": [17, (0.9, 0.2)], "Posterize": [3], "Solarize": [90]}.get(name, [0.3])
    if OPERATIONS[name].argument is None:
        arguments = []
    function = OPERATIONS[name].function
    examples = [(photo(), *arguments)]
    np.testing.assert_array_equal(road(function, examples), road_eager(function, examples))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BLENDS))
def test_blends_round_alike_with_and_without_xla(name):
    function = OPERATIONS[name].function
    factors = (np.arange(0, 31, 2.5) * 0.18 + 0.1).astype(np.float32)
    examples = [(photo(97, 101, seed), factor) for seed, factor in enumerate(factors)]
    np.testing.assert_array_equal(road_compiled(function, examples), road_eager(function, examples))


@pytest.mark.parametrize(
    ("function", "by_pil"),
    [
        (color_ops.invert, ImageOps.invert),
        (color_ops.equalize, ImageOps.equalize),
        (lambda x: color_ops.posterize(x, 3), lambda x: ImageOps.posterize(x, 3)),
        (lambda x: color_ops.solarize(x, 77), lambda x: ImageOps.solarize(x, 77)),
    ],
)
def test_equals_pil(function, by_pil):
    expected = np.asarray(by_pil(Image.fromarray(photo())))
    np.testing.assert_array_equal(function(tf.constant(photo())), expected)


def test_autocontrast_is_pils_within_rounding():
    expected = np.asarray(ImageOps.autocontrast(Image.fromarray(photo()))).astype(int)
    assert np.abs(color_ops.autocontrast(tf.constant(photo())).numpy() - expected).max() <= 1


def affine_by_numpy(image, matrix):
    """TF1's kernel, written out: float32 throughout, C's round, one pixel at a time."""
    matrix = np.float32(matrix)
    height, width, _ = image.shape
    result = np.full_like(image, 128)
    for y in range(height):
        for x in range(width):
            source = matrix[:, 0] * np.float32(x) + matrix[:, 1] * np.float32(y) + matrix[:, 2]
            column, row = (int(math.copysign(math.floor(abs(s) + 0.5), s)) for s in source.tolist())
            if 0 <= column < width and 0 <= row < height:
                result[y, x] = image[row, column]
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0.5, 0], [0, 1, 0]],  # halves everywhere
        [[1, 0, 0], [-0.25, 1, 0]],
        [[1, 0, 12.5], [0, 1, -7.5]],
        [[0.9, -0.43, 11.3], [0.43, 0.9, -9.1]],
        [[-1, 0, 82], [0, -1, 60]],
        [[1, 0, 0.49999997], [0, 1, 0]],
        [[1, 0, 500], [0, 1, 0]],
    ],
)
def test_affine_equals_numpy(matrix):
    expected = affine_by_numpy(photo(), matrix)
    for road in ROADS:
        np.testing.assert_array_equal(road(geometry.affine, [(photo(), matrix)])[0], expected)


def test_rotation_keeps_the_centre_and_turns_like_pil():
    square = photo(65, 65)
    expected = np.asarray(Image.fromarray(square).rotate(-90))
    # The border may lose a pixel: the cosine of 90 degrees is not quite 0.
    turned = geometry.rotate(tf.constant(square), -90.0).numpy()
    np.testing.assert_array_equal(turned[1:-1, 1:-1], expected[1:-1, 1:-1])


@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.0, 0.0), (0.99, 0.3)])
def test_cutout_hides_a_square(centre):
    image = photo()
    row, column = int(centre[0] * 61), int(centre[1] * 83)
    expected = image.copy()
    expected[max(row - 9, 0) : row + 9, max(column - 9, 0) : column + 9] = 128
    np.testing.assert_array_equal(geometry.cutout(tf.constant(image), 9, centre), expected)


def test_byte_arguments_wrap_as_in_the_original():
    image = tf.constant(photo())
    np.testing.assert_array_equal(color_ops.solarize(image, 256), 255 - photo())
    np.testing.assert_array_equal(color_ops.solarize(image, 300), color_ops.solarize(image, 44))
    for bits in (0, 9, 11):
        np.testing.assert_array_equal(color_ops.posterize(image, bits), photo() & 128)


def test_static_shapes_are_compiled_and_others_are_not():
    if not compiled.xla_works():
        pytest.skip("no XLA for the CPU here")

    def num_compiled(shape):
        function = tf.function(color_ops.equalize, autograph=False)
        graph = function.get_concrete_function(tf.TensorSpec(shape, tf.uint8)).graph.as_graph_def()
        return sum(f.attr["_XlaMustCompile"].b for f in graph.library.function)

    assert num_compiled([61, 83, 3]) >= 2
    assert num_compiled([None, 83, 3]) == 0
    with compiled.plain_graph():
        assert num_compiled([61, 83, 3]) == 0


def test_without_xla_the_plain_graph_is_taken(monkeypatch):
    def no_xla(function, jit_compile=False, **_):
        def call(*_):
            raise tf.errors.UnimplementedError(None, None, "no XLA_CPU_JIT")

        return call if jit_compile else function

    compiled.xla_works.cache_clear()
    monkeypatch.setattr(tf, "function", no_xla)
    try:
        assert not compiled.xla_works()
        monkeypatch.undo()
        image = photo()
        expected = np.asarray(ImageOps.equalize(Image.fromarray(image)))
        np.testing.assert_array_equal(in_dataset(color_ops.equalize, [(image,)])[0], expected)
    finally:
        compiled.xla_works.cache_clear()


def test_compiled_once_for_all_images_of_a_shape():
    # tf.math.bincount made XLA compile equalize for each image anew, at about a second each.
    images = np.stack([photo(seed=seed) for seed in range(40)])
    dataset = tf.data.Dataset.from_tensor_slices(images).map(color_ops.equalize)
    next(iter(dataset))
    start = time.monotonic()
    assert sum(1 for _ in dataset) == 40
    assert time.monotonic() - start < 4
