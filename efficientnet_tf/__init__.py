"""EfficientNet in TensorFlow and Keras, numerically equal to the original TPU code.

    import efficientnet_tf as en
    model = en.build_model("efficientnet-b0", num_classes=10)

Importing the package is cheap: the names below load what they need when they are first used, and
the layers register with Keras as soon as Keras is there, so that saved models load without custom
objects.
"""

import importlib

from efficientnet_tf.registration import register_with_keras

_PUBLIC = {
    "available_models": "arch.variants",
    "input_size": "arch.variants",
    "model_config": "arch.variants",
    "summary": "arch.summary",
    "build_model": "build",
    "feature_extractor": "build",
    "UserError": "config",
    "data": "data",
    "train": "train",
    "decode_predictions": "imagenet",
    "preprocess_input": "imagenet",
    "freeze": "nn.freezing",
    "load_weights": "weights.loading",
    "warm_start": "weights.warm_start",
    "convert": "weights.conversion",
    "load_tf1_checkpoint": "weights.formats.tf1_checkpoint",
    "save_tf1_checkpoint": "weights.formats.tf1_export",
}
_CONSTRUCTORS = "EfficientNet"  # EfficientNetB0 ...: every variant has one, in `applications`
__all__ = [*_PUBLIC]

register_with_keras()


def __getattr__(name: str) -> object:
    if name.startswith(_CONSTRUCTORS):
        return getattr(importlib.import_module(f"{__name__}.applications"), name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_PUBLIC[name]}")
    return module if _PUBLIC[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
