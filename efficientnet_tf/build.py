"""Any network by its name, with or without its weights, whole or as a backbone."""

import dataclasses
import inspect
from collections.abc import Sequence

import keras

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import ModelConfig, UserError, unknown_name
from efficientnet_tf.nn import freezing, network

_CONFIG_FIELDS = {field.name for field in dataclasses.fields(ModelConfig)} - {"name", "num_classes"}
_NETWORK_OPTIONS = inspect.getfullargspec(network.build_network).kwonlyargs
_TOP_ENDPOINTS = {"pooled_features", "logits"}


def build_model(
    model_name: str,
    num_classes: int | None = None,
    weights: str | None = None,
    *,
    freeze: str | None = None,
    freeze_bn: bool = False,
    **overrides: object,
) -> keras.Model:
    """A network by its name in `available_models()`.

    Args:
      model_name: the original's name, `efficientnet-lite0`.
      num_classes: width of the classifier; the weights' or the variant's own by default.
      weights: what `weights.loading.load_weights` takes: None for the original's initialisation, a
        published set (`imagenet`, `noisy-student`, ...), a TF1 checkpoint or a weights file.
      freeze: what keeps its weights in training: `all` (but the classifier), `stem` or
        `blocks<=N` (the stem too), None for nothing.
      freeze_bn: batch norm runs on its moving statistics and trains nothing.
      **overrides: fields of `ModelConfig` (`dropout_rate`, `width_coefficient`, ...) and keyword
        arguments of `nn.network.build_network` (`include_top`, `input_shape`, `pooling`,
        `include_preprocessing`, `name`, ...).

    Raises:
      UserError: unknown name or override, or weights of another network.
    """
    known = [*_CONFIG_FIELDS, *_NETWORK_OPTIONS]
    for name in overrides:
        if name not in known:
            raise unknown_name("model override", name, known)
    options = {name: overrides.pop(name) for name in _NETWORK_OPTIONS if name in overrides}
    needed = _needed_by(weights, model_name) if weights is not None else {}
    if num_classes is not None:
        needed["num_classes"] = num_classes
    config = model_config(model_name, **{**needed, **overrides})
    model = network.build_network(config, **options)
    if weights is not None:
        _load(model, weights, model_name)
    if freeze:
        freezing.freeze(model, freeze)
    if freeze_bn:
        freezing.freeze_batch_norm(model)
    return model


def _needed_by(weights: str, model_name: str) -> dict[str, object]:
    """The fields of `ModelConfig` that some weights were trained with."""
    from efficientnet_tf.weights.loading import open_source  # TensorFlow, only with weights

    source = open_source(weights, model_name)
    classes = {"num_classes": source.classes} if source.classes else {}
    return {**classes, **source.overrides}


def _load(model: keras.Model, weights: str, model_name: str) -> None:
    from efficientnet_tf.weights.loading import load_weights

    load_weights(model, weights, model_name=model_name)


def feature_extractor(
    model: keras.Model | str, names: Sequence[str], **options: object
) -> keras.Model:
    """A backbone: from images to a dictionary of the endpoints `names`.

    For an image [N, H, W, 3], `reduction_i` is [N, H / 2^i, W / 2^i, C] (rounded up), i = 1..5:
    the levels P1 to P5 of detection and segmentation networks. `C` is in `arch.summary`'s table.

    Args:
      model: a network of this package, whose weights are shared, or the name of one to build.
      names: see `nn.network.endpoint_names`.
      **options: of `build_model`, for a name. The top, and with it the fixed image size, is left
        out where no endpoint needs it.

    Raises:
      UserError: a name that is no endpoint of this network.
    """
    if isinstance(model, str):
        options.setdefault("include_top", not _TOP_ENDPOINTS.isdisjoint(names))
        model = build_model(model, **options)
    elif options:
        raise UserError(f"{', '.join(options)}: only for a network that is built here")
    return network.feature_extractor(model, names)
