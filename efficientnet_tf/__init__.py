"""EfficientNet in TensorFlow and Keras, numerically equal to the original TPU code.

    import efficientnet_tf as en
    model = en.build_model("efficientnet-b0", num_classes=10)

Importing the package loads neither Keras nor TensorFlow: the names below load what they need when
they are first used. Editors and type checkers read them in `__init__.pyi`. The package's layers,
optimizers and augmentations are registered as soon as Keras is loaded, so that saved models load
without `custom_objects`.
"""

import importlib

from efficientnet_tf import installation
from efficientnet_tf.arch.constructor_names import CONSTRUCTOR_NAMES
from efficientnet_tf.serializable import register_with_keras

__version__ = "0.1.0"

# Public name -> the module of this package that defines it. A name of its own module is that
# module itself. Every row has its line in `__init__.pyi`.
_PUBLIC = {
    "available_models": "arch.variants",
    "input_size": "arch.variants",
    "model_config": "arch.variants",
    "summary": "network_summary",
    "build_model": "build",
    "feature_extractor": "build",
    "DataConfig": "config",
    "DistributionConfig": "config",
    "ModelConfig": "config",
    "OptimizerConfig": "config",
    "RunConfig": "config",
    "TrainConfig": "config",
    "UserError": "config",
    "data": "data",
    "train": "train",
    "export": "exports.exporting",
    "inference_function": "exports.frozen",
    "decode_predictions": "imagenet",
    "preprocess_input": "imagenet",
    "fold_batch_norm": "nn.folding",
    "quantize_aware": "nn.quantization",
    "freeze": "nn.freezing",
    "grad_cam": "nn.grad_cam",
    "fit": "run.fit",
    "recipe": "run.flags",
    "load_weights": "weights.loading",
    "open_weights": "weights.loading",
    "warm_start": "weights.warm_start",
    "convert": "weights.conversion",
    "load_keras2_model": "weights.keras2.loading",
    "load_tf1_checkpoint": "weights.formats.tf1_checkpoint",
    "save_tf1_checkpoint": "weights.formats.tf1_export",
    **dict.fromkeys(CONSTRUCTOR_NAMES, "applications"),  # EfficientNetB0, EfficientNetB1, ...
}
__all__ = [*_PUBLIC]

register_with_keras()


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_PUBLIC[name]}")
    except ModuleNotFoundError as error:
        if not installation.is_part_of_tensorflow(error.name):
            raise
        raise ImportError(installation.without_tensorflow(error.name)) from None
    value = module if _PUBLIC[name] == name else getattr(module, name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
