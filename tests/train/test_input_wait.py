"""Who sets the pace of training, the images or the device, is measured and told."""

import time

import pytest
import tensorflow as tf
from helpers.toy import one_device, toy_step
from train.test_trainer import build

from efficientnet_tf.train.loop import DeviceLoop

pytestmark = pytest.mark.slow

BATCH = {"image": tf.fill([16, 32, 32, 3], 9.0), "label": tf.one_hot(tf.range(16) % 10, 10)}


def late(batch, seconds):
    """The same batch, so much later."""

    def wait(image):
        time.sleep(seconds)
        return image

    image = tf.py_function(wait, [batch["image"]], tf.float32)
    return {**batch, "image": tf.ensure_shape(image, batch["image"].shape)}


def loop_of(dataset):
    return DeviceLoop(one_device(), toy_step(one_device()), dataset, max_steps=4, log_every=1)


def slow_batches(seconds=0.5):
    batches = tf.data.Dataset.from_tensors(BATCH).repeat()
    return batches.map(lambda batch: late(batch, seconds)).prefetch(1)


def test_a_pipeline_that_sets_the_pace_is_said_once(tmp_path, capsys):
    loop = loop_of(slow_batches())
    list(build(tmp_path, loop).segments())
    assert loop.input_wait > 0.5
    out = capsys.readouterr().out
    assert out.count("of the time for images: the input pipeline sets the pace") == 1
    assert " input_wait 0." in out


def test_a_pipeline_that_keeps_up_is_not_spoken_of(tmp_path, capsys):
    loop = loop_of(tf.data.Dataset.from_tensors(BATCH).repeat())
    list(build(tmp_path, loop).segments())
    assert loop.input_wait < 0.5
    assert "for images" not in capsys.readouterr().out
