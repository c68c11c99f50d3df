"""A run whose loss is no longer a number names the images, and goes back where it may."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import tiny_run

from efficientnet_tf import data
from efficientnet_tf.config import UserError
from efficientnet_tf.run.fit import fit
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints

pytestmark = pytest.mark.slow


class Poisoned(data.IndexedSource):
    """Grey pictures; those that are listed are NaN."""

    name, num_classes, is_encoded = "poisoned", 2, False
    train_size, eval_size = 64, 16

    def __init__(self, config, bad):
        super().__init__(config)
        self.bad = tf.constant(list(bad), tf.int64)

    def read_train(self, raw):
        image = tf.fill([32, 32, 3], tf.cast(raw * 3, tf.float32))
        is_bad = tf.reduce_any(self.bad == raw)
        image = tf.where(is_bad, float("nan"), image)
        return data.Picture(image, tf.cast(raw % 2, tf.int32))

    read_eval = read_train

    def name_train(self, raw):
        return tf.strings.format("picture {}", raw)

    name_eval = name_train


def run_config(folder, **changes):
    config = tiny_run(folder, train_steps=8, **changes)
    train = dataclasses.replace(config.train, steps_per_eval=2, iterations_per_loop=2)
    return dataclasses.replace(config, train=train, mode="train")


def images_of(config, step, seed=0):
    """By the source's own stream, from its beginning."""
    stream = Poisoned(config.data, ()).train_stream(seed, 0, 0, 1)
    raw = [int(e["raw"]) for e in stream.take(step * 16).as_numpy_iterator()]
    return raw[(step - 1) * 16 :]


def steps_kept(folder):
    return [int(prefix.rpartition("-")[2]) for prefix in list_checkpoints(str(folder))]


@pytest.mark.fault(
    "Divergence",
    "the loss is NaN",
    "one line with step, rate and images; all images of the step in a file",
)
def test_the_step_and_its_images_are_named(tmp_path):
    config = run_config(tmp_path)
    bad = images_of(config, 4)[5:6]  # the second of the two steps of a call
    assert bad[0] not in images_of(config, 3)
    first = next(step for step in range(1, 9) if bad[0] in images_of(config, step))
    with pytest.raises(UserError) as error:
        fit(config, Poisoned(config.data, bad))
    assert f"not finite in step {first}, " in str(error.value)
    assert "--nan_policy=rollback" in str(error.value) or first <= 2
    listed = (tmp_path / f"diverged-{first}.txt").read_text().splitlines()
    assert listed == [f"picture {raw}" for raw in images_of(config, first)]
    assert all(step < first for step in steps_kept(tmp_path))


class OnePlace(Poisoned):
    """NaN at one place of the stream of the first order only."""

    def __init__(self, config, place):
        super().__init__(config, ())
        self.place = place

    def train_stream(self, seed, start, host_index, host_count):
        stream = super().train_stream(seed, start, host_index, host_count)
        if seed != self.config.seed:
            return stream
        bad = tf.constant(self.place, tf.int64)

        def poison(number, element):
            return {
                **element,
                "raw": tf.where(number == bad, tf.constant(-1, tf.int64), element["raw"]),
            }

        return stream.enumerate(start).map(poison)

    def read_train(self, raw):
        picture = super().read_train(tf.maximum(raw, 0))
        image = tf.where(raw < 0, float("nan"), picture.image)
        return data.Picture(image, picture.label)


def of_length(config, steps, folder):
    train = dataclasses.replace(config.train, train_steps=steps, model_dir=str(folder))
    return dataclasses.replace(config, train=train)


@pytest.mark.fault(
    "Divergence",
    "the same with --nan_policy=rollback",
    "back to the last checkpoint, on with another order; a restart keeps to it",
)
def test_rollback_goes_on_with_another_order_and_a_restart_knows_it(tmp_path):
    config = run_config(tmp_path / "whole", nan_policy="rollback")
    source = OnePlace(config.data, place=4 * 16 + 3)
    whole = fit(config, source)
    assert steps_kept(tmp_path / "whole")[0] == 8
    record = json.loads((tmp_path / "whole" / "run.json").read_text())["segments"]
    assert [(s["step"], s["rollbacks"]) for s in record] == [(0, 0), (4, 1)]
    assert (tmp_path / "whole" / "diverged-5.txt").exists()
    parts = [fit(of_length(config, steps, tmp_path / "parts"), source) for steps in (6, 8)]
    for one, other in zip(whole.model.get_weights(), parts[1].model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.fault(
    "Divergence",
    "it diverges again and again",
    "ends after the third rollback",
)
def test_at_most_three_times(tmp_path):
    config = run_config(tmp_path, nan_policy="rollback")
    rate = dataclasses.replace(config.optimizer, base_learning_rate=1e30, lr_warmup_epochs=0.5)
    good = fit(dataclasses.replace(config, train=dataclasses.replace(config.train, train_steps=2)))
    assert np.isfinite(good.model.get_weights()[0]).all()
    config = dataclasses.replace(config, optimizer=rate, allow_config_change=True)
    with pytest.raises(UserError, match="it went back 3 times already"):
        fit(config)
    assert steps_kept(tmp_path) == [2]


@pytest.mark.fault(
    "Divergence",
    "it diverges before its first checkpoint",
    "ends, said",
)
def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path):
    config = run_config(tmp_path, nan_policy="rollback")
    with pytest.raises(UserError, match="no checkpoint to go back to"):
        fit(config, Poisoned(config.data, range(64)))
