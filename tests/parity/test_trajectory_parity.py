"""Eight training steps equal to the original's: losses, rates, weights, statistics, EMA, slots."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.reference import read_case, reference_cases

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import OptimizerConfig, TrainConfig
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import MEASURES, TrainStep
from efficientnet_tf.weights.formats.tf1_checkpoint import (
    EMA_SUFFIX,
    TF1Checkpoint,
    load_tf1_checkpoint,
)
from efficientnet_tf.weights.naming import checkpoint_variables

CASES = reference_cases("trajectory")
# Slots are held to five times the weights' tolerance, because that is what the reference itself is
# good for: our step evaluated in float64 is 2.6e-4 (momentum), 1.0e-4 (RMSProp) and 0.6e-4 (LARS)
# away from the original's float32 slots, and 1e-7 from its weights.
SLOT_FACTOR = 5
SLOTS = {
    "rmsprop": {"RMSProp": "mean_squares", "RMSProp_1": "momentums"},
    "momentum": {"Momentum": "momentums"},
    "lars": {"LARSOptimizer": "momentums"},
}


def test_there_are_cases():
    assert CASES


def optimizer_config(case):
    schedule, arguments = case["lr_schedule"], case["optimizer_args"]
    return OptimizerConfig(
        optimizer=case["optimizer"],
        # The case gives the rate of its own batch, the configuration that of 256 examples.
        base_learning_rate=schedule["initial_lr"] * 256 / case["batch_size"],
        lr_schedule=schedule["type"],
        lr_decay_epoch=schedule["decay_epochs"],
        lr_decay_factor=schedule["decay_factor"],
        lr_warmup_epochs=schedule["warmup_epochs"],
        **arguments,
    )


def build(case, directory):
    """The step of a case, its model as the original's initial checkpoint has it."""
    size, schedule = case["image_size"], case["lr_schedule"]
    model = build_network(
        model_config(case["model_name"], **case["overrides"]),
        input_shape=(size, size, 3),
        classifier_activation=None,
    )
    load_tf1_checkpoint(model, str(directory / case["init_checkpoint"]), ema=False)
    rate = build_schedule(
        optimizer_config(case),
        case["batch_size"],
        schedule["steps_per_epoch"],
        schedule["total_steps"],
    )
    optimizer = build_optimizer(optimizer_config(case), rate)
    optimizer.build(model.trainable_variables)
    ema = ExponentialMovingAverage(model.weights, case["moving_average_decay"])
    config = TrainConfig(label_smoothing=case["label_smoothing"], weight_decay=case["weight_decay"])
    return TrainStep(model, optimizer, ema, config, case["batch_size"])


def relative_difference(values, expected):
    values, expected = (np.concatenate([np.ravel(v) for v in vs]) for vs in (values, expected))
    return np.linalg.norm(values - expected) / np.linalg.norm(expected)


@pytest.mark.slow
@pytest.mark.parametrize("directory", CASES, ids=lambda path: path.name)
def test_trajectory_case(directory):
    case = read_case(directory)
    data = np.load(directory / case["data"])
    step, tolerance = build(case, directory), case["tolerance"]
    classes = step.model.output_shape[-1]
    run, measured, rates = tf.function(step), [], []
    for images, labels in zip(data["images"], data["labels"], strict=True):
        rates.append(float(step.optimizer.learning_rate))
        batch = {"image": tf.cast(images, tf.float32), "label": tf.one_hot(labels, classes)}
        measured.append(dict(zip(MEASURES, run(batch).numpy(), strict=True)))

    np.testing.assert_allclose(rates, data["learning_rate"], rtol=tolerance["learning_rate"])
    for name in ("loss", "cross_entropy"):
        values = [m[name] for m in measured]
        np.testing.assert_allclose(values[:5], data[name][:5], rtol=tolerance["first_five_losses"])
        np.testing.assert_allclose(values, data[name], rtol=tolerance["losses"])
    check_final_state(step, TF1Checkpoint(str(directory / case["final_checkpoint"])), case)


def check_final_state(step, final, case):
    """Weights, statistics, averages and every optimizer slot against the last checkpoint."""
    variables = checkpoint_variables(step.model)
    names = list(variables)
    limit = case["tolerance"]["weights"]

    def expected(names, suffix=""):
        return [final.read(name + suffix) for name in names]

    groups = {
        "trainable": [n for n in names if variables[n].trainable],
        "statistics": [n for n in names if not variables[n].trainable],
    }
    for group, members in groups.items():
        values = [variables[n].numpy() for n in members]
        assert relative_difference(values, expected(members)) <= limit, group
    shadows = dict(zip(names, step.ema.shadows, strict=True))
    values = [shadows[n].numpy() for n in names]
    assert relative_difference(values, expected(names, EMA_SUFFIX)) <= limit
    for suffix, attribute in SLOTS[case["optimizer"]].items():
        slots = [slot.numpy() for slot in getattr(step.optimizer, attribute)]
        difference = relative_difference(slots, expected(groups["trainable"], f"/{suffix}"))
        assert difference <= SLOT_FACTOR * limit, suffix
