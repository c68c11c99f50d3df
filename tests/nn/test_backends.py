"""The same networks on Keras' JAX and PyTorch backends, from the same `.keras` file.

A backend that is installed beside another interpreter is found through `$JAX_PYTHON` or
`$TORCH_PYTHON`.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.backend_probe import measure

from efficientnet_tf.build import build_model

PROBE = Path(__file__).parents[1] / "helpers" / "backend_probe.py"
TOLERANCE = 1e-4
NAMES = [
    "efficientnet-b0",
    "efficientnet-lite0",
    "efficientnet-x-b0",
    "efficientnet-condconv-b0-4e",
]


def interpreter(backend):
    """A Python that has the backend; skips the test where there is none."""
    python = os.environ.get(f"{backend.upper()}_PYTHON", sys.executable)
    if subprocess.run([python, "-c", f"import {backend}"], capture_output=True).returncode:
        pytest.skip(f"{backend} is not installed for {python}")
    return python


def save_case(name, directory):
    """A small network without randomness, its input and a direction for its gradient."""
    keras.utils.set_random_seed(0)
    model = build_model(
        name,
        num_classes=5,
        width_coefficient=0.25,
        depth_coefficient=0.3,
        input_shape=(48, 64, 3),
        classifier_activation=None,
        dropout_rate=0.0,
        survival_prob=None,
    )
    model.save(directory / "model.keras")
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (3, 48, 64, 3)).astype("float32")
    cotangent = random.normal(size=(3, 5)).astype("float32")
    np.savez(directory / "inputs.npz", images=images, cotangent=cotangent)
    return directory / "model.keras", directory / "inputs.npz"


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", NAMES)
def test_same_as_tensorflow(name, backend, tmp_path):
    python = interpreter(backend)
    case = save_case(name, tmp_path)
    subprocess.run(
        [python, str(PROBE), *map(str, case), str(tmp_path / "results.npz")],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    results, expected = np.load(tmp_path / "results.npz"), measure(*case)
    assert set(results) == set(expected)
    scale = max(abs(value).max() for key, value in expected.items() if key.startswith("gradient"))
    assert scale > 0.01
    for key, value in expected.items():
        reference = scale if key.startswith("gradient") else max(1.0, abs(value).max())
        assert abs(results[key] - value).max() <= TOLERANCE * reference, key
