"""What TensorBoard shows of a run before its first curve."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.run.hparams import hparams
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.run.session import Session, explained

_IMAGES_SHOWN = 24


def show_beginning(session: Session, start: int, augment=None) -> None:
    """Writes the flags, the network, and the next images as the network will see them.

    Args:
      session: of a run that is about to train.
      start: optimizer steps done before.
      augment: as in `prepare_training`.
    """
    if not session.summaries.enabled:
        return
    config = session.config
    session.summaries.hparams(hparams(config, session.network))
    if not start:
        session.summaries.graph(_inference_graph(session.model))
    flags = "\n".join(f"    {line}" for line in config.flags_text.splitlines())
    session.summaries.text("flags", flags)
    count = min(_IMAGES_SHOWN, config.data.train_batch_size)
    with explained(session.source, lambda: start):
        batches = data.train_dataset(
            session.source, config.data, count, start_step=start, augment=augment, report=False
        )
        batch = next(batches.as_numpy_iterator())
    names = session.source.label_names
    grid = captioned_grid(batch["image"], [_caption(label, names) for label in batch["label"]])
    session.summaries.image("first_batch", grid, start)


def _caption(label: np.ndarray, names: Sequence[str] | None) -> str:
    """The names of the classes of an image, of a mixture the one it has most of."""
    names = names or []
    unnamed = len(label) - len(names)  # a background, or all
    names = [*map(str, range(unnamed)), *names]
    return ", ".join(names[c] for c in np.flatnonzero((label == label.max()) & (label > 0)))


def _inference_graph(model: keras.Model) -> tf.Graph:
    """The operations from images to logits, by layer; the weights are its inputs."""
    function = tf.function(lambda images: model(images, training=False), autograph=False)
    images = tf.TensorSpec(model.input_shape, tf.float32, name="images")
    return function.get_concrete_function(images).graph
