"""The policies as Keras layers, and a gallery of what they do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import JIT_COMPILE

from efficientnet_tf.data import Augmentation, AutoAugment, RandAugment
from efficientnet_tf.data.augment.gallery import gallery

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
INVERT = AutoAugment([[("Invert", 1, 0)]])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_augments_in_training_only_and_keeps_the_type(dtype):
    images = IMAGES.astype(dtype)
    layer = Augmentation(INVERT)
    for inputs in (images, images[0]):
        outputs = layer(tf.constant(inputs), training=True)
        assert outputs.dtype == dtype and outputs.shape == inputs.shape
        np.testing.assert_array_equal(outputs, 255 - inputs)
        np.testing.assert_array_equal(layer(tf.constant(inputs), training=False), inputs)


def test_images_of_a_batch_differ_and_the_seed_repeats():
    same = tf.constant(np.stack([IMAGES[0]] * 12))
    first = Augmentation(RandAugment(), seed=3)(same, training=True).numpy()
    again = Augmentation(RandAugment(), seed=3)(same, training=True).numpy()
    other = Augmentation(RandAugment(), seed=4)(same, training=True).numpy()
    assert len({image.tobytes() for image in first}) > 6
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_trains_inside_a_model_and_inside_tf_data():
    model = keras.Sequential(
        [
            keras.Input([32, 32, 3]),
            Augmentation(AutoAugment()),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=JIT_COMPILE)
    history = model.fit(IMAGES.astype("float32"), np.arange(6) % 2, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(3).map(Augmentation(INVERT))
    np.testing.assert_array_equal(np.concatenate(list(batches)), 255 - IMAGES)


@pytest.mark.parametrize(
    "policy", [AutoAugment(), RandAugment(3, 7), AutoAugment([[("Invert", 1, 0), ("Color", 0, 2)]])]
)
def test_saves_and_loads(policy, tmp_path):
    model = keras.Sequential([keras.Input([32, 32, 3]), Augmentation(policy, seed=5)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0].policy) is type(policy)
    assert loaded.layers[0].policy.get_config() == policy.get_config()
    images = IMAGES.astype("float32")
    np.testing.assert_array_equal(loaded(images, training=True), model(images, training=True))


def test_gallery_shows_originals_then_each_policy_and_names_what_was_applied():
    policies = {"negative": INVERT, "random": RandAugment()}
    pictures, captions = gallery(IMAGES, policies, rows=2, seed=3)
    assert pictures.shape == (5 * 6, 32, 32, 3) and len(captions) == 30
    np.testing.assert_array_equal(pictures[:6], IMAGES)
    np.testing.assert_array_equal(pictures[6:18], 255 - np.concatenate([IMAGES, IMAGES]))
    assert captions[0] == "as it is" and captions[6] == "negative: Invert"
    assert all(caption.startswith("random: ") for caption in captions[18:])
    np.testing.assert_array_equal(pictures, gallery(IMAGES, policies, rows=2, seed=3)[0])
