"""Every class of the package that Keras can save, and its registration when Keras is loaded.

`keras.models.load_model` finds a class of this package only if it is registered, that is if its
module has been imported. Importing those modules imports Keras, seconds that a command with a
mistyped flag should not cost. So they are imported at once if Keras is loaded already, and
otherwise right after something else loads it.
"""

import importlib
import importlib.abc
import sys

# Name under `efficientnet_tf>` in saved files -> the module that registers the class. The names
# stand in users' files: a row may move to another module, never change its name.
CLASSES = {
    "BatchNormalization": "nn.layers",
    "BlockWithExpansion": "nn.expansion",
    "CondConv2D": "nn.condconv",
    "CondMBConvBlock": "nn.mbconv",
    "ConvBatchNorm": "nn.layers",
    "DepthwiseCondConv2D": "nn.condconv",
    "Dropout": "nn.dropout",
    "FakeQuant": "nn.fake_quant",
    "FusedMBConvBlock": "nn.mbconv",
    "MBConvBlock": "nn.mbconv",
    "Normalization": "nn.normalization",
    "QuantizedDense": "nn.fake_quant",
    "QuantizedNormalization": "nn.fake_quant",
    "QuantizedPooling": "nn.fake_quant",
    "SqueezeExcite": "nn.squeeze_excite",
    "SymmetricConv2D": "nn.convolutions",
    "SymmetricDepthwiseConv2D": "nn.convolutions",
    "Constant": "train.schedule",
    "AdamW": "train.optimizer",
    "LARS": "train.optimizer",
    "Momentum": "train.optimizer",
    "RMSprop": "train.optimizer",
    "Warmup": "train.schedule",
    "Augmentation": "data.augment.layer",
    "AutoAugment": "data.augment.autoaugment",
    "RandAugment": "data.augment.randaugment",
}
# Packages whose modules import TensorFlow, which Keras has loaded only where it is the backend.
_TENSORFLOW_ONLY = ("data", "train")


def modules_to_register(backend: str) -> list[str]:
    """The modules whose classes are registered under a Keras backend (`tensorflow`, `jax`, ...).

    The others register when they are imported, as ever.
    """
    modules = dict.fromkeys(CLASSES.values())
    if backend != "tensorflow":
        modules = [name for name in modules if name.split(".")[0] not in _TENSORFLOW_ONLY]
    return list(modules)


def _register() -> None:
    package, backend = __name__.rpartition(".")[0], sys.modules["keras"].config.backend()
    for module in modules_to_register(backend):
        importlib.import_module(f"{package}.{module}")


class _Loader(importlib.abc.Loader):
    """Keras' own loader, followed by the registration."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
        self._loader.exec_module(module)
        _register()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `keras` as the other finders do and wraps its loader."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "keras":
            return None
        others = (finder for finder in sys.meta_path if not isinstance(finder, _Finder))
        for finder in others:
            if spec := finder.find_spec(fullname, path, target):
                spec.loader = _Loader(spec.loader)
                return spec
        return None


def register_with_keras() -> None:
    """Makes `keras.models.load_model` know the classes of the package, now or once Keras loads."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Finder())
