"""`EfficientNetB0()` and its siblings, one for every row of `arch.variants`.

Names and arguments are those of `keras.applications`; `build.build_model` takes more of them.
"""

from typing import Any

import keras

from efficientnet_tf.arch.constructor_names import CONSTRUCTOR_NAMES
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.build import build_model
from efficientnet_tf.weights.published.table import published_sets

_DOC = """{class_name}: the network `{model_name}`, {size} x {size} pixels, {classes} classes.

    The arguments are those of `keras.applications`; `build_model` has more.

    Args:
      include_top: end in the classifier.
      weights: a published set, the default being `{weights}`, a path, or None; see `build_model`.
      input_tensor: a Keras tensor [N, H, W, C] to build on.
      input_shape: `(H, W, C)`. Images are RGB in 0..255 where the normalisation is inside.
      pooling: without the top, `avg`, `max` or None for a feature map.
      classes: width of the classifier; the weights' or the variant's own by default.
      classifier_activation: None for logits.{include_preprocessing}
      name: of the Keras model.
    """
_INCLUDE_PREPROCESSING = """
      include_preprocessing: normalise inside; False expects normalised images."""


def _constructor_v1(model_name: str, default_weights: str | None) -> Any:
    """The function that `keras.applications.efficientnet` would have for a variant."""

    def construct(
        include_top: bool = True,
        weights: str | None = default_weights,
        input_tensor: Any = None,
        input_shape: tuple[int | None, int | None, int] | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | None = "softmax",
        name: str | None = None,
    ) -> keras.Model:
        return build_model(
            model_name,
            classes,
            weights,
            include_top=include_top,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classifier_activation=classifier_activation,
            name=name,
        )

    return construct


def _constructor_v2(model_name: str, default_weights: str | None) -> Any:
    """The function that `keras.applications.efficientnet_v2` would have for a variant."""

    def construct(
        include_top: bool = True,
        weights: str | None = default_weights,
        input_tensor: Any = None,
        input_shape: tuple[int | None, int | None, int] | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | None = "softmax",
        include_preprocessing: bool = True,
        name: str | None = None,
    ) -> keras.Model:
        return build_model(
            model_name,
            classes,
            weights,
            include_top=include_top,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classifier_activation=classifier_activation,
            include_preprocessing=include_preprocessing,
            name=name,
        )

    return construct


def _constructor(class_name: str, model_name: str) -> Any:
    """The function that `keras.applications` would have for a variant."""
    v2 = model_name.startswith("efficientnetv2-")
    default_weights = "imagenet" if published_sets(model_name) else None
    construct = (_constructor_v2 if v2 else _constructor_v1)(model_name, default_weights)
    config = VARIANTS[model_name]
    construct.__name__ = construct.__qualname__ = class_name
    construct.__doc__ = _DOC.format(
        class_name=class_name,
        model_name=model_name,
        size=config.input_size,
        classes=config.num_classes,
        weights=default_weights,
        include_preprocessing=_INCLUDE_PREPROCESSING if v2 else "",
    )
    return construct


# {"EfficientNetB0": function, ...}: one for every variant, all of them names of this module.
CONSTRUCTORS = {name: _constructor(name, variant) for name, variant in CONSTRUCTOR_NAMES.items()}
globals().update(CONSTRUCTORS)
