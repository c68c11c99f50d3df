"""The whole training and evaluation step of every family goes through the TPU's own compiler."""

import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from helpers.toy import BATCH, one_device

pytest.importorskip("jax", reason="pip install -e '.[tpu-compile]' in an environment of its own")
pytest.importorskip("libtpu", reason="pip install -e '.[tpu-compile]' in an environment of its own")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from recipe_step import recipe_step
from tpu_compiler import CHIPS, compile_for, stablehlo

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import TrainConfig
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.train.confusion import ConfusionMatrix
from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.worst_pictures import WorstPictures

pytestmark = pytest.mark.slow
FAMILIES = [
    "efficientnet-b0",
    "efficientnet-lite0",
    "efficientnet-edgetpu-S",
    "efficientnet-condconv-b0-4e",
    "efficientnet-x-tpu-b0",
    "efficientnet-h-b5",
    "efficientnetv2-s",
]


@pytest.fixture(params=FAMILIES)
def network(request):
    """One small network of a family, computing in bfloat16 as on a TPU."""
    config = model_config(
        request.param, width_coefficient=0.25, depth_coefficient=0.1, num_classes=10
    )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield build_network(config, input_shape=(32, 32, 3), classifier_activation=None)
    finally:
        keras.config.set_dtype_policy(policy)


def eval_step(network):
    observers = [ConfusionMatrix(one_device(), 10), WorstPictures(one_device(), 32)]
    return Evaluator(one_device(), network, None, BATCH, BATCH, False, observers=observers)


def test_a_step_compiles_for_tpus(network):
    images = tf.zeros([BATCH, 32, 32, 3])
    steps = [
        (
            recipe_step(network, BATCH, TrainConfig(), plain_moments=True),
            {"image": images, "label": tf.zeros([BATCH, 10])},
        ),
        (eval_step(network)._replica_step, {"image": images, "label": tf.zeros([BATCH], tf.int32)}),
    ]
    for step, batch in steps:
        module = stablehlo(tf.function(step, jit_compile=True), batch)
        for chip in (CHIPS["v3"], CHIPS["v5e"]):
            needs = compile_for(chip, module)
            assert 0 < needs.memory < 2**30 and needs.flops > 0
