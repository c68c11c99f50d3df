"""Registers the package's layers with Keras without importing Keras.

Keras finds a custom layer in a saved model only if its class is registered, and loading Keras
takes seconds that a command with a mistyped flag should not cost. So: register now if Keras is
loaded, else right after whoever loads it.
"""

import importlib.abc
import sys

_LAYERS = "efficientnet_tf.nn.network"


class _Loader(importlib.abc.Loader):
    """Keras' own loader, and our layers after it."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
        self._loader.exec_module(module)
        importlib.import_module(_LAYERS)


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
    """Makes `keras.models.load_model` know the package's layers."""
    if "keras" in sys.modules:
        importlib.import_module(_LAYERS)
    else:
        sys.meta_path.insert(0, _Finder())
