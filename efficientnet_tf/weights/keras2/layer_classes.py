"""The layers of Keras that a file of Keras 2 may ask for, and what else they were called."""

from collections.abc import Mapping

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.keras2.operations import replacement
from efficientnet_tf.weights.keras2.settings import translated

_BUILT_IN = {
    *("Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average"),
    *("AveragePooling1D", "AveragePooling2D", "BatchNormalization", "CenterCrop"),
    *("Concatenate", "Conv1D", "Conv2D", "Conv2DTranspose", "Cropping2D", "Dense"),
    *("DepthwiseConv2D", "Dot", "Dropout", "ELU", "Embedding", "Flatten", "GRU"),
    *("GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "LayerNormalization", "LeakyReLU", "LSTM"),
    *("Masking", "MaxPooling1D", "MaxPooling2D", "Maximum", "Minimum", "MultiHeadAttention"),
    *("Multiply", "Normalization", "PReLU", "Permute", "RandomBrightness", "RandomContrast"),
    *("RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "ReLU"),
    *("RepeatVector", "Rescaling", "Reshape", "Resizing", "SeparableConv2D", "Softmax"),
    *("SpatialDropout1D", "SpatialDropout2D", "Subtract", "UnitNormalization", "UpSampling2D"),
    "ZeroPadding2D",
}
# Classes of the `efficientnet` package, of its first versions too, and of older versions of Keras.
_CALLED_OTHERWISE = {
    "FixedDropout": "Dropout",
    "Swish": "Activation",
    "DropConnect": "Dropout",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
_MORE_ARGUMENTS = {
    "Swish": {"activation": "swish"},
    "DropConnect": {"noise_shape": (None, 1, 1, 1)},
}


def built_in(member: Mapping[str, object], largest_side: int) -> keras.Layer:
    """The layer of Keras 3 for `{"class_name": ..., "config": ...}`.

    Args:
      largest_side: of any array of the file, see `translated`.

    Raises:
      UserError: a class or a setting that has no translation.
    """
    kind, name = str(member["class_name"]), member["config"]["name"]
    known = _CALLED_OTHERWISE.get(kind, kind)
    if known not in _BUILT_IN:
        raise UserError(
            f"layer {name!r} is of class {kind}, which is not known here. Say which layer of Keras "
            f"does the same, {replacement(name, '...')}"
        )
    layer_class = getattr(keras.layers, known)
    arguments = translated(member, layer_class, largest_side)
    return layer_class(**arguments, **_MORE_ARGUMENTS.get(kind, {}))
