"""What a run is, once everybody who knows something about it has been asked."""

import dataclasses

from efficientnet_tf.config import DEFAULT_LOSS, DataConfig, ModelConfig, RunConfig, UserError
from efficientnet_tf.data import Source
from efficientnet_tf.run.lengths import in_steps
from efficientnet_tf.weights.opened import OpenedWeights, network_for


def resolve(
    config: RunConfig,
    weights: OpenedWeights | None = None,
    source: Source | None = None,
    *,
    new_classifier: bool = False,
) -> tuple[ModelConfig, RunConfig]:
    """The network of a run, and its configuration with what was not said filled in.

    Each question is answered by the first who knows:
      1. what was said: a flag, or a field of `config` that is not None;
      2. the weights: the run's own checkpoint, or what the run starts from or evaluates;
      3. the data;
      4. the variant's own value.
    The number of classes of a new classifier is the data's before it is the weights'.

    Args:
      weights: opened, if the run has any.
      source: the data, for modes that have some.
      new_classifier: the run fine-tunes `weights` on data with classes of their own.

    Raises:
      UserError: an unknown variant, weights and data of different classes, or a loss that the
        labels do not fit.
    """
    said = {**config.overrides, **_said_of_the_input(config.data)}
    network = network_for(weights, config.model_name, said)
    classes = _classes(config.data, weights, source, new_classifier) or network.num_classes
    network = network.replace(num_classes=classes)
    train = config.train
    if source:
        _check_classes(classes, weights, source)
        _check_labels(config.train.loss, source)
        train = in_steps(train, config.data, source.num_train_images)
    data = dataclasses.replace(
        config.data.for_network(network), dataset=config.data.source_name, num_classes=classes
    )
    return network, dataclasses.replace(config, model_name=network.name, data=data, train=train)


def with_loss(
    config: RunConfig, weights: OpenedWeights | None, *, new_classifier: bool
) -> RunConfig:
    """`config` with its loss, and with data that may have several labels where the loss is for it.

    The loss is what was said; else, unless the classifier is a new one, that of the weights.
    """
    known = weights.loss if weights and not new_classifier else DEFAULT_LOSS
    loss = config.train.loss or known
    return dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, loss=loss),
        data=dataclasses.replace(config.data, multi_label=loss != "softmax"),
    )


def _said_of_the_input(data: DataConfig) -> dict[str, object]:
    said = {"input_size": data.image_size, "resize_method": data.resize_method}
    return {name: value for name, value in said.items() if value is not None}


def _classes(data, weights, source, new_classifier) -> int | None:
    of_weights = weights.classes if weights else None
    of_data = source.num_classes if source else None
    order = (of_data, of_weights) if new_classifier else (of_weights, of_data)
    return next((count for count in (data.num_classes, *order) if count), None)


def _check_labels(loss: str | None, source: Source) -> None:
    if source.is_multi_label and loss == "softmax":
        raise UserError(
            f"{source.multi_label_reason}, and softmax is for one label a picture; give "
            "--loss=sigmoid"
        )


def _check_classes(classes, weights, source) -> None:
    """A classifier has as many classes as the data, or one more for the background."""
    if source.num_classes is None or classes - source.num_classes in (0, 1):
        return
    who = weights.where if weights and weights.classes == classes else "the network"
    raise UserError(
        f"{who} has {classes} classes, --dataset={source.name} has {source.num_classes}; see "
        "--num_label_classes"
    )
