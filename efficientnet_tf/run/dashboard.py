"""What TensorBoard shows of a run before its first curve."""

import keras
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
    classes = batch["label"].argmax(-1)
    offset = batch["label"].shape[-1] - len(names) if names else 0
    captions = [names[c - offset] if names and c >= offset else str(c) for c in classes]
    grid = captioned_grid(batch["image"], captions)
    session.summaries.image("first_batch", grid, start)


def _inference_graph(model: keras.Model) -> tf.Graph:
    """The operations from images to logits, by layer; the weights are its inputs."""
    function = tf.function(lambda images: model(images, training=False), autograph=False)
    images = tf.TensorSpec(model.input_shape, tf.float32, name="images")
    return function.get_concrete_function(images).graph
