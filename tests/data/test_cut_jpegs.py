"""JPEGs that end too early: libjpeg is not asked for what is gone, and what is there is decoded."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientnet_tf.data.bad_examples import ExampleLoader
from efficientnet_tf.data.pictures.decode import decode_and_crop
from efficientnet_tf.data.sources import Picture

NOISE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (48, 64, 3)).astype(np.uint8))


def encode(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


BASELINE, PROGRESSIVE = encode(NOISE), encode(NOISE, progressive=True)
STUMPS = [BASELINE[:3], BASELINE[:100]]
STUMPS += [PROGRESSIVE[: int(len(PROGRESSIVE) * share)] for share in (0.5, 0.8, 0.99)]


def top(shape):
    return tf.stack([0, 0, 8, shape[1]])


@pytest.mark.slow
@pytest.mark.parametrize("stump", STUMPS)
def test_libjpeg_is_not_asked_for_what_was_cut_off(capfd, stump):
    with pytest.raises(tf.errors.InvalidArgumentError, match="cut short"):
        decode_and_crop(tf.constant(stump), top)
    loader = ExampleLoader(lambda encoded: Picture(encoded, 0), lambda _: tf.constant("it"))

    @tf.function
    def guarded(encoded):
        loaded = loader.load(encoded, top)
        return loader.finish({"image": loaded.image}, loaded.ok, encoded)

    with pytest.raises(tf.errors.OpError):
        guarded(tf.constant(stump))
    printed = capfd.readouterr().err
    assert "Improper call" not in printed and "read error" not in printed


@pytest.mark.parametrize("whole", [BASELINE, encode(NOISE.convert("L"))])
@pytest.mark.parametrize("lost", [2, 100])
def test_the_part_before_the_cut_is_decoded(whole, lost):
    expected = decode_and_crop(tf.constant(whole), top)
    np.testing.assert_array_equal(decode_and_crop(tf.constant(whole[:-lost]), top), expected)


@pytest.mark.parametrize("whole", [BASELINE, PROGRESSIVE])
def test_bytes_behind_the_end_do_not_matter(whole):
    expected = decode_and_crop(tf.constant(whole), top)
    np.testing.assert_array_equal(decode_and_crop(tf.constant(whole + bytes(3)), top), expected)
