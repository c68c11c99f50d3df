"""Any network by its name, with or without its weights, whole or as a backbone."""

import dataclasses
import inspect
import logging
from collections.abc import Sequence

import keras

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import ModelConfig, UserError, unknown_name
from efficientnet_tf.nn import freezing, network
from efficientnet_tf.nn.quantization import quantize_aware

_log = logging.getLogger(__name__)

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
      num_classes: width of the classifier; the weights' or the variant's own by default. With
        weights of another number of classes the classifier is left new, and a warning says so.
      weights: what `weights.loading.load_weights` takes: None for the original's initialisation, a
        published set (`imagenet`, `noisy-student`, ...), a run's folder, a TF1 checkpoint or a
        file of weights.
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
    said = overrides if num_classes is None else {**overrides, "num_classes": num_classes}
    if weights is None:
        model = network.build_network(model_config(model_name, **said), **options)
    else:
        model = _build_with_weights(model_name, weights, said, options)
    if freeze:
        freezing.freeze(model, freeze)
    if freeze_bn:
        freezing.freeze_batch_norm(model)
    return model


def _build_with_weights(model_name, weights, said, options) -> keras.Model:
    # TensorFlow reads the files: only a model with weights needs it.
    from efficientnet_tf.weights.loading import load_opened, open_weights
    from efficientnet_tf.weights.opened import network_for
    from efficientnet_tf.weights.warm_start import start_from

    opened = open_weights(weights, model_name)
    config = network_for(opened, model_name, said)
    # Ranges are not in other weights: the network is quantised once it has them.
    becomes_quantized = config.quantize_aware and not opened.needs.get("quantize_aware")
    config = config.replace(quantize_aware=config.quantize_aware and not becomes_quantized)
    new_classifier = "num_classes" in said and config.num_classes != opened.classes
    if not new_classifier:
        options = {"classifier_activation": opened.classifier_activation, **options}
    model = network.build_network(config, **options)
    if new_classifier:
        report = start_from(model, opened)
        if report.skipped:
            _log.warning(
                "%s: its classifier of %d classes is left out; the one of %d classes is new",
                opened.where,
                opened.classes,
                config.num_classes,
            )
    else:
        load_opened(model, opened)
    return quantize_aware(model) if becomes_quantized else model


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
