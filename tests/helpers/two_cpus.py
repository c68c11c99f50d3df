"""The command line on two virtual CPUs, which `--distribution_strategy=mirrored` then means."""

import functools
import os
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import tensorflow as tf

if __name__ == "__main__":
    from efficientnet_tf.run.command_line import console

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    cpus = ["CPU:0", "CPU:1"]
    tf.distribute.MirroredStrategy = functools.partial(tf.distribute.MirroredStrategy, cpus)
    console()
