"""A network small enough to train in a test, on real digits, under any strategy."""

import dataclasses
import functools

import keras
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.arch import block_string
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import DataConfig, OptimizerConfig, RunConfig, TrainConfig
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import TrainStep

BATCH = 16
DATA = DataConfig(
    dataset="digits",
    image_size=32,
    resize_method="bicubic",
    train_batch_size=BATCH,
    eval_batch_size=BATCH,
    min_crop_area=0.6,
    horizontal_flip=False,
)
TINY_BLOCKS = "r1_k3_s11_e1_i32_o16_se0.25 r1_k3_s22_e6_i16_o24_se0.25 r1_k5_s22_e6_i24_o40_se0.25"
# What makes B0 the network of `command.TINY` and `TINY_RUN`.
TINY_OVERRIDES = {"width_coefficient": 0.25, "blocks": block_string.parse_all(TINY_BLOCKS)}
# A run of the command line that takes seconds.
TINY_RUN = RunConfig(
    overrides=TINY_OVERRIDES,
    data=DataConfig(
        dataset="digits",
        image_size=32,
        train_batch_size=16,
        eval_batch_size=60,
        min_crop_area=0.6,
    ),
)
NO_DROPOUT = {"dropout_rate": 0.0, "survival_prob": None}


def tiny_run(folder, train_steps: int, **changes: object) -> RunConfig:
    """`TINY_RUN` in a folder, evaluated once at its end; `changes` are fields of `TrainConfig`."""
    train = TrainConfig(
        model_dir=str(folder),
        train_steps=train_steps,
        steps_per_eval=max(2, train_steps),
        iterations_per_loop=10,
        log_step_count_steps=1,
        **changes,
    )
    return dataclasses.replace(TINY_RUN, train=train)


def toy_config(**overrides):
    """B0's first two stages at a quarter of the width: three blocks, two with shortcuts."""
    blocks = VARIANTS["efficientnet-b0"].blocks[:2]
    return model_config(
        "efficientnet-b0",
        **{"blocks": blocks, "width_coefficient": 0.25, "num_classes": 10, **overrides},
    )


def toy_step(strategy, batch_norm_replicas=1, seed=0, **overrides) -> TrainStep:
    """A step whose initial weights depend on the seed alone."""
    keras.utils.set_random_seed(seed)
    rate = build_schedule(OptimizerConfig(base_learning_rate=0.01), BATCH, 10, 100)
    with strategy.scope():
        model = build_network(
            toy_config(**overrides), input_shape=(32, 32, 3), classifier_activation=None
        )
        optimizer = build_optimizer(OptimizerConfig(), rate)
        optimizer.build(model.trainable_variables)
        ema = ExponentialMovingAverage(model.weights, 0.9999)
    config = TrainConfig(seed=seed)
    return TrainStep(model, optimizer, ema, config, BATCH, batch_norm_replicas)


def toy_loop(
    strategy, train_step: TrainStep, start_step=0, max_steps=8, **data_changes
) -> DeviceLoop:
    """The loop around a step, one row of measures a step."""
    config = dataclasses.replace(DATA, **data_changes)
    source = data.open_source(config)

    def pipeline(context):
        return data.train_dataset(
            source,
            config,
            BATCH // strategy.num_replicas_in_sync,
            start_step=start_step,
            host_index=context.input_pipeline_id,
            host_count=context.num_input_pipelines,
        )

    dataset = strategy.distribute_datasets_from_function(pipeline)
    return DeviceLoop(strategy, train_step, dataset, max_steps=max_steps, log_every=1)


def toy_losses(strategy, steps, batch_norm_replicas=1, **overrides) -> list[float]:
    """The losses of the first steps of a new network."""
    step = toy_step(strategy, batch_norm_replicas, **overrides)
    return [row["loss"] for row in toy_loop(strategy, step).run(steps)]


@functools.cache
def two_cpus() -> tf.distribute.Strategy:
    """Two replicas on the virtual CPUs that conftest sets up.

    One strategy for the whole process: two of them would mix up their collectives.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def one_device() -> tf.distribute.Strategy:
    """No distribution."""
    return tf.distribute.get_strategy()
