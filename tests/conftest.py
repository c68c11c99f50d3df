"""Test-wide settings: this checkout's package, a quiet TensorFlow on two virtual CPUs, no GPU."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import pytest
import tensorflow as tf

# MirroredStrategy(["CPU:0", "CPU:1"]) is then two replicas.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same initial weights and draws in every run, whichever tests ran before.

    A test of a bound that random weights pass in 97% of all runs would fail now and then
    for everybody and could be repeated by nobody.
    """
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def module_seed() -> None:
    """The same for what a whole file shares: such fixtures are made before `seed`."""
    keras.utils.set_random_seed(0)


def pytest_addoption(parser):
    parser.addoption(
        "--mutations",
        type=int,
        default=300,
        help="how many damaged files each test in tests/faults/test_fuzz_*.py tries",
    )
    parser.addoption(
        "--kills",
        type=int,
        default=1,
        help="how often each test in tests/faults/test_kills.py kills its run",
    )
