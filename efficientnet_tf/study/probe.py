"""The process that `study.latency` starts for a network: reads it from stdin, prints numbers.

Memory can only be told for a process that has done nothing else, and a network that does not fit
must not end the study.
"""

import ctypes
import gc
import json
import platform
import re
import sys
from pathlib import Path

import tensorflow as tf

from efficientnet_tf.config import ModelConfig
from efficientnet_tf.exports.frozen import inference_function
from efficientnet_tf.exports.measurement import process_memory, threads
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.pace import measure_pace
from efficientnet_tf.weights.description import network_from_fields

_CLEAR = Path("/proc/self/clear_refs")
_CPUS = Path("/proc/cpuinfo")


def main() -> None:
    """One JSON object on the last line of stdout."""
    request = json.load(sys.stdin)
    network = network_from_fields(request["network"], "stdin")
    print(json.dumps(probe(network, request["seconds"])))


def probe(network: ModelConfig, seconds: float) -> dict[str, float | str | None]:
    """The fields of `latency.Measurement` that must be measured."""
    gpus = tf.config.list_logical_devices("GPU")
    before = process_memory("VmRSS")
    size = network.input_size
    infer = inference_function(build_network(network, input_shape=(size, size, 3)))
    image = tf.random.stateless_uniform([1, size, size, 3], [0, 0], 0.0, 255.0)
    infer(image)  # compiles, and takes what it takes only once
    _forget(bool(gpus))
    pace = measure_pace(lambda: infer(image).numpy(), 1, seconds)
    slowest, fastest = (1000 / rate for rate in pace.spread)
    if gpus:
        bytes_used = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    else:
        peak = process_memory("VmHWM")
        bytes_used = None if peak is None or before is None else peak - before
    return {
        "milliseconds": round(1000 / pace.images_per_second, 3),
        "fastest": round(fastest, 3),
        "slowest": round(slowest, 3),
        "memory_mib": None if bytes_used is None else round(bytes_used / 2**20, 1),
        "device": _device(gpus),
    }


def _forget(has_gpu: bool) -> None:
    """Lets go of what building the network took, and counts the peak of memory from here on."""
    gc.collect()
    if has_gpu:
        tf.config.experimental.reset_memory_stats("GPU:0")
    elif _CLEAR.exists():  # Linux
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5")


def _device(gpus: list) -> str:
    if gpus:
        physical = tf.config.list_physical_devices("GPU")[0]
        return tf.config.experimental.get_device_details(physical).get("device_name", "GPU")
    found = re.search(
        r"^model name\s*:\s*(.+)$", _CPUS.read_text() if _CPUS.exists() else "", re.MULTILINE
    )
    name = found[1] if found else platform.processor() or platform.machine()
    cores = threads()
    return f"{name}, {cores} core{'s' * (cores != 1)}"


if __name__ == "__main__":
    main()
