"""Test-wide settings: this checkout's package, a quiet TensorFlow on two virtual CPUs, no GPU."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorflow as tf

# MirroredStrategy(["CPU:0", "CPU:1"]) is then two replicas.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


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
