"""Installs the `efficientnet_tf` package and the `efficientnet-tf` command."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="efficientnet-tf",
    version="0.1.0",
    description="EfficientNet in TensorFlow and Keras, numerically equal to the original TPU code.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["efficientnet_tf", "efficientnet_tf.*"]),
    package_data={"efficientnet_tf": ["data/*.json"]},
    install_requires=[
        "tensorflow>=2.21",
        "tensorflow-datasets",
        "importlib_resources",  # tensorflow-datasets 4.9.10 imports it and does not ask for it
        "keras-cv",
        "absl-py",
        "tensorboard",
        "pillow",  # TensorBoard needs it too
    ],
    extras_require={
        "quickstart": ["scikit-learn"],
        "safetensors": ["safetensors"],
        "test": ["pytest", "ruff", "scikit-learn", "safetensors"],
    },
    entry_points={"console_scripts": ["efficientnet-tf=efficientnet_tf.run.command_line:console"]},
)
