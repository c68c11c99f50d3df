"""What is drawn, how often, and that pixels follow the draw."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from efficientnet_tf.config import UserError
from efficientnet_tf.data.augment import compiled, policy
from efficientnet_tf.data.augment.autoaugment import POLICIES, AutoAugment
from efficientnet_tf.data.augment.randaugment import RandAugment

NUM_DRAWS = 10_000
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)

V0 = """
Equalize .8/1 ShearY .8/4 · Color .4/9 Equalize .6/3 · Color .4/1 Rotate .6/8 ·
Solarize .8/3 Equalize .4/7 · Solarize .4/2 Solarize .6/2 · Color .2/0 Equalize .8/8 ·
Equalize .4/8 SolarizeAdd .8/3 · ShearX .2/9 Rotate .6/8 · Color .6/1 Equalize 1/2 ·
Invert .4/9 Rotate .6/0 · Equalize 1/9 ShearY .6/3 · Color .4/7 Equalize .6/0 ·
Posterize .4/6 AutoContrast .4/7 · Solarize .6/8 Color .6/9 · Solarize .2/4 Rotate .8/9 ·
Rotate 1/7 TranslateY .8/9 · ShearX 0/0 Solarize .8/4 · ShearY .8/0 Color .6/4 ·
Color 1/0 Rotate .6/2 · Equalize .8/4 Equalize 0/8 · Equalize 1/4 AutoContrast .6/2 ·
ShearY .4/7 SolarizeAdd .6/7 · Posterize .8/2 Solarize .6/10 · Solarize .6/8 Equalize .6/1 ·
Color .8/6 Rotate .4/5
"""


def parsed_v0():
    """The policy as the original's description prints it."""
    for row in V0.split("·"):
        words = row.split()
        numbers = [[float(number) for number in word.split("/")] for word in words[1::2]]
        yield [(name, *pair) for name, pair in zip(words[::2], numbers, strict=True)]


def draws(augment, count=NUM_DRAWS, seed=(1, 2)):
    """`count` draws as NumPy arrays, and the uniform numbers behind them."""
    uniforms = tf.random.stateless_uniform([count, *augment.uniforms_shape], seed)
    return *(field.numpy() for field in augment.draw(uniforms)), uniforms.numpy()


def assert_binomial(hits, trials, probability):
    """Within five standard deviations: fails by chance once in two million."""
    spread = 5 * np.sqrt(probability * (1 - probability) / trials) + 1e-9
    assert abs(hits / trials - probability) < spread


def test_v0_is_the_published_policy():
    assert [[tuple(step) for step in steps] for steps in POLICIES["v0"]] == list(parsed_v0())


def test_sub_policies_are_uniform_and_steps_keep_their_probability():
    augment = AutoAugment()
    operation, argument, _, uniforms = draws(augment)
    chosen = (uniforms[:, 0, 0] * 25).astype(int)
    counts = np.bincount(chosen, minlength=25)
    assert np.sum((counts - 400) ** 2 / 400) < 61  # chi-square, 24 degrees: 1 in 20,000
    for row, steps in enumerate(parsed_v0()):
        for column, (name, probability, magnitude) in enumerate(steps):
            drawn = operation[chosen == row, column]
            neutral = name in ("Rotate", "ShearX", "ShearY") and magnitude == 0
            assert_binomial(np.sum(drawn >= 0), counts[row], 0 if neutral else probability)
            assert {augment.operations[i] for i in drawn if i >= 0} <= {name}


@pytest.mark.slow
def test_whole_images_show_the_probabilities():
    """End to end, from seeds to pixels: sub-policy 25 / 2 of a two-row policy."""
    augment = AutoAugment([[("Invert", 0.3, 0)], [("Posterize", 1, 2)]])
    image = np.full((2, 2, 3), 100, np.uint8)
    seeds = tf.data.Dataset.range(2000).map(
        lambda i: augment(image, tf.stack([0, tf.cast(i, tf.int32)]))
    )
    values = np.array([x[0, 0, 0] for x in seeds.as_numpy_iterator()])
    assert_binomial(np.sum(values == 155), 2000, 0.15)
    assert_binomial(np.sum(values == 0), 2000, 0.5)
    assert_binomial(np.sum(values == 100), 2000, 0.35)


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_signs_flip_with_probability_one_half(name):
    operation, argument, _, _ = draws(AutoAugment([[(name, 0.5, 5)]]))
    assert len(np.unique(np.abs(argument))) == 1
    applied = argument[operation >= 0]
    assert_binomial(np.sum(applied < 0), len(applied), 0.5)


def test_other_arguments_keep_their_sign():
    for name in sorted(set(policy.OPERATIONS) - {"Rotate", "ShearX", "ShearY"}):
        if not name.startswith("Translate"):
            assert np.all(draws(AutoAugment([[(name, 1, 5)]]), 200)[1] >= 0)


def test_randaugment_draws_operations_uniformly_and_independently():
    augment = RandAugment(2, 9)
    operation = draws(augment)[0]
    assert operation.min() == 0 and len(augment.operations) == 16
    pairs = np.bincount(operation[:, 0] * 16 + operation[:, 1], minlength=256)
    expected = NUM_DRAWS / 256
    assert np.sum((pairs - expected) ** 2 / expected) < 350  # 255 degrees: 1 in 15,000


def test_cutout_lands_everywhere():
    place = draws(RandAugment(1, 10))[2].reshape(-1, 2)
    for axis in range(2):
        counts = np.histogram(place[:, axis], bins=10, range=(0, 1))[0]
        assert np.sum((counts - NUM_DRAWS / 10) ** 2 / (NUM_DRAWS / 10)) < 42
    assert abs(np.corrcoef(place.T)[0, 1]) < 0.05


ARGUMENTS = {  # SPEC: the formulae at magnitudes 3 and 10, AutoAugment's reach and RandAugment's
    "Rotate": (9.0, 30.0), "Posterize": (1, 4), "Solarize": (76, 256), "SolarizeAdd": (33, 110),
    "Color": (0.64, 1.9), "Contrast": (0.64, 1.9), "Brightness": (0.64, 1.9),
    "Sharpness": (0.64, 1.9), "ShearX": (0.09, 0.3), "ShearY": (0.09, 0.3),
    "TranslateX": ((75, 30), (250, 100)), "TranslateY": ((75, 30), (250, 100)),
    "Cutout": ((30, 12), (100, 40)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_arguments_follow_the_magnitude(name):
    for magnitude, expected in zip((3, 10), ARGUMENTS[name], strict=True):
        expected = expected if isinstance(expected, tuple) else (expected, expected)
        auto = draws(AutoAugment([[(name, 1, magnitude)]]), 20)[1]
        augment = RandAugment(1, magnitude)
        operation, argument, *_ = draws(augment, 2000)
        rand = argument[operation == augment.operations.index(name)]
        np.testing.assert_allclose(np.abs(auto), expected[0], rtol=1e-6)
        np.testing.assert_allclose(np.abs(rand), expected[1], rtol=1e-6)


def by_hand(augment, image, seed):
    """The draw's operations one after the other, eagerly."""
    draw = augment.draw(tf.random.stateless_uniform(augment.uniforms_shape, seed))
    for index, argument, place in zip(*draw, strict=True):
        if index >= 0:
            row = policy.OPERATIONS[augment.operations[int(index)]]
            image = row.apply(image, argument, place)
    return np.asarray(image)


@pytest.mark.slow
@pytest.mark.parametrize("augment", [AutoAugment(), RandAugment(2, 10), RandAugment(3, 28)])
def test_a_pure_function_of_the_seed_on_every_road(augment):
    seeds = np.stack([np.full(40, 7), np.arange(40)], 1).astype(np.int32)
    expected = [by_hand(augment, IMAGE, seed) for seed in seeds]

    def mapped(static):
        def one(seed):
            image = tf.constant(IMAGE)
            return augment(image if static else tf.reshape(image, tf.stack([40, 48, 3])), seed)

        dataset = tf.data.Dataset.from_tensor_slices(seeds).map(one, num_parallel_calls=2)
        return list(dataset.as_numpy_iterator())

    np.testing.assert_array_equal([augment(tf.constant(IMAGE), s) for s in seeds], expected)
    np.testing.assert_array_equal(mapped(static=True), expected)
    with compiled.plain_graph():
        np.testing.assert_array_equal(mapped(static=True), expected)
    assert len({x.tobytes() for x in expected}) > 15


def test_describes_what_a_seed_applies():
    augment = AutoAugment([[("Invert", 0.5, 0), ("Solarize", 0.5, 10)]])
    image = np.full((2, 2, 3), 30, np.uint8)
    for i in range(12):
        flips = len(augment.describe((i, 0)))  # each of the two inverts this image
        expected = 225 if flips == 1 else 30
        assert augment(tf.constant(image), (i, 0)).numpy()[0, 0, 0] == expected


@pytest.mark.slow
def test_any_size_in_one_dataset():
    sizes = [(9, 30), (64, 64), (33, 7)]
    images = [np.random.default_rng(0).integers(0, 256, (*s, 3)).astype(np.uint8) for s in sizes]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(images), output_signature=tf.TensorSpec([None, None, 3], tf.uint8)
    )
    augmented = dataset.map(lambda x: AutoAugment()(x, (3, 4))).as_numpy_iterator()
    for image, actual in zip(images, augmented, strict=True):
        np.testing.assert_array_equal(actual, by_hand(AutoAugment(), image, (3, 4)))


@pytest.mark.slow
def test_without_a_seed_every_call_differs():
    augment = RandAugment()  # leaves a quarter of the images as they are
    eager = {augment(tf.constant(IMAGE)).numpy().tobytes() for _ in range(24)}
    dataset = tf.data.Dataset.range(24).map(lambda _: augment(tf.constant(IMAGE)))
    assert len(eager) > 4
    assert len({x.tobytes() for x in dataset.as_numpy_iterator()}) > 4


def test_only_the_chosen_operation_is_called():
    """In line, TensorFlow would visit the operations of all branches for every image."""
    traced = tf.function(AutoAugment(), autograph=False).get_concrete_function(IMAGE, (1, 2))
    switches = [op for op in traced.graph.get_operations() if op.type.endswith("Case")]
    assert len(switches) == 2  # a sub-policy has two steps
    assert not any(op.get_attr("_lower_using_switch_merge") for op in switches)


def test_a_user_adds_an_operation(monkeypatch):
    def mirror(image):
        return image[:, ::-1]

    monkeypatch.setitem(policy.OPERATIONS, "Mirror", policy.Operation(mirror))
    augment = AutoAugment([[("Mirror", 1, 0)], [("Mirror", 1, 0), ("Invert", 1, 0)]])
    mirrored = ImageOps.mirror(Image.fromarray(IMAGE))
    expected = {mirrored.tobytes(), ImageOps.invert(mirrored).tobytes()}
    seen = {augment(tf.constant(IMAGE), (0, i)).numpy().tobytes() for i in range(20)}
    assert seen == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AutoAugment("v1"), "AutoAugment policy 'v1'"),
        (lambda: AutoAugment([[("Equalise", 1, 1)]]), "did you mean Equalize"),
        (lambda: AutoAugment([[("Equalize", 1.5, 1)]]), "0..1"),
        (lambda: AutoAugment([[("Rotate", 0.5, -1)]]), "not negative"),
        (lambda: AutoAugment([]), "at least one"),
        (lambda: RandAugment(0, 10), "at least one layer"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("augment", [AutoAugment(), RandAugment()])
@pytest.mark.parametrize(
    ("image", "given"),
    [
        (np.zeros([8, 8, 3], np.float32), r"float32 \(8, 8, 3\)"),
        (np.zeros([2, 8, 8, 3], np.uint8), r"uint8 \(2, 8, 8, 3\)"),
        (np.zeros([8, 8, 1], np.uint8), r"uint8 \(8, 8, 1\)"),
    ],
)
def test_what_is_not_one_byte_image_is_refused_in_one_line(augment, image, given):
    for call in (augment, tf.function(augment, autograph=False)):
        with pytest.raises(UserError, match=f"takes one image, uint8 .H, W, 3., not {given}; "):
            call(tf.constant(image))
