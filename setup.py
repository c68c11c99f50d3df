"""Installs the `efficientnet_tf` package and the `efficientnet-tf` command."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Where the source is published, `https://host/owner/name`. Who publishes a release says it when
# building one; the README's links to files of the repository then become absolute.
REPOSITORY = os.environ.get("EFFICIENTNET_TF_REPOSITORY", "").rstrip("/")
# Folder at the top of the repository -> the files of it that a wheel has inside the package.
INSIDE_PACKAGE = {"flags": "*.flags", "docs": "*.md"}
# The builds of TensorFlow are packages of their own with one module. pip would lay a second one
# over the first, so that none of them can be a requirement of every installation.
PC = "platform_machine in 'x86_64 AMD64' and sys_platform != 'darwin'"  # else there is no -cpu
NOT_PC = "platform_machine not in 'x86_64 AMD64' or sys_platform == 'darwin'"
TENSORFLOW = {
    "cpu": [f"tensorflow-cpu>=2.20; {PC}", f"tensorflow>=2.20; {NOT_PC}"],
    "gpu": ["tensorflow[and-cuda]>=2.20"],
    # A later libtpu lacks symbols that this build needs, and ends the process at import.
    "tpu": ["tensorflow-tpu>=2.20,<2.21", "libtpu>=0.0.17,<0.0.22"],
}
# Converters and runtimes of exports.
LITERT = ["ai-edge-litert>=2.3", "ai-edge-quantizer>=0.10"]
ONNX = ["tf2onnx>=1.17", "onnx", "onnxruntime"]


class BuildWithRecipes(build_py):
    """Copies the recipes and the documents into the package that is built."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # an editable install finds them in the repository
            for source, target in self._copies():
                self.mkpath(os.path.dirname(target))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return super().get_outputs(include_bytecode) + [target for _, target in self._copies()]

    def get_source_files(self) -> list[str]:
        """What a source distribution needs."""
        return super().get_source_files() + [source for source, _ in self._copies()]

    def _copies(self) -> list[tuple[str, str]]:
        package = Path(self.build_lib, "efficientnet_tf")
        return [
            (str(path.relative_to(ROOT)), str(package / folder / path.name))
            for folder, pattern in INSIDE_PACKAGE.items()
            for path in sorted((ROOT / folder).glob(pattern))
        ]


def version() -> str:
    """The package's `__version__`, read without importing it."""
    source = (ROOT / "efficientnet_tf" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]


def long_description() -> str:
    """The README with links that work outside of the repository.

    Without a published repository, links to its files are their text alone and pictures are left
    out: a package's page would show them broken.
    """

    def link(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        if REPOSITORY:
            return f"{picture}[{text}]({REPOSITORY}/{'raw' if picture else 'blob'}/main/{target})"
        return "" if picture else text

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)", link, readme)


setup(
    name="efficientnet-tf",
    version=version(),
    description="EfficientNet in TensorFlow and Keras, numerically equal to the original TPU code.",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords="efficientnet tensorflow keras image-classification autoaugment tpu imagenet",
    project_urls={
        "Paper": "https://arxiv.org/abs/1905.11946",
        "Original code": "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet",
        **({"Source": REPOSITORY} if REPOSITORY else {}),
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["efficientnet_tf", "efficientnet_tf.*"]),
    package_data={"efficientnet_tf": ["data/*.json", "py.typed", "*.pyi"]},
    cmdclass={"build_py": BuildWithRecipes},
    install_requires=[
        "tensorflow-datasets",
        "importlib_resources",  # tensorflow-datasets 4.9.10 imports it and does not ask for it
        "keras-cv",
        "absl-py",
        "tensorboard",
        "pillow",  # TensorBoard needs it too
    ],
    extras_require={
        **TENSORFLOW,
        # The TPU's compiler, for benchmarks/tpu_compile.py: later than the build for TPUs takes, so
        # in an environment of its own. JAX's inner names are used: pinned to what works.
        "tpu-compile": [*TENSORFLOW["cpu"], "jax==0.10.2", "libtpu==0.0.52"],
        "quickstart": ["scikit-learn"],
        "safetensors": ["safetensors"],
        "plots": ["matplotlib", "scipy"],  # --mode=study: charts, and the test of its experiment
        "beam": ["apache-beam"],  # docs/batch_prediction.md
        "export": [*LITERT, *ONNX, "openvino"],  # docs/deploy.md
        "test": [
            "pytest",
            "pytest-xdist>=3.7",  # the tests on two cores
            "ruff",
            "pyright[nodejs]",  # with the Node.js that it runs on
            "setuptools>=77",  # the tests build a wheel
            "scikit-learn",
            "safetensors",
            "matplotlib",
            "scipy",
            *LITERT,
            *ONNX,
        ],
    },
    entry_points={"console_scripts": ["efficientnet-tf=efficientnet_tf.run.command_line:console"]},
)
