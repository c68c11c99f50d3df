"""The pictures that an evaluation got wrong with the greatest certainty."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from efficientnet_tf.train.accuracy import predicted_classes

_COUNT = 24
_LARGEST_SIDE = 160


@dataclass(frozen=True)
class WorstPicture:
    """A picture that was taken for another class.

    Attributes:
      image: uint8 [S, S, 3], small.
      label, predicted: classes as the network counts them.
      label_probability, predicted_probability: what the network gave to each, 0..1.
    """

    image: np.ndarray
    label: int
    predicted: int
    label_probability: float
    predicted_probability: float


class WorstPictures:
    """An `Observer` that keeps the few worst pictures, whatever the number of images.

    Each replica keeps its own, in variables of a fixed shape: the pictures, shrunk by a whole
    factor, and a row of numbers for each. Nothing is exchanged between workers, so with several of
    them the pictures are the worst of those that the reading worker's replicas have seen.

    Args:
      strategy: of the replicas that evaluate.
      image_size: side of the images, S.
    """

    def __init__(self, strategy: tf.distribute.Strategy, image_size: int):
        self._strategy = strategy
        self._factor = -(-image_size // _LARGEST_SIDE)
        side = -(-image_size // self._factor)
        with strategy.scope():
            self._images = _variable([_COUNT, side, side, 3])
            # Predicted and true class's probability, then these classes; zeros in an empty place.
            self._rows = _variable([_COUNT, 4])

    def reset(self) -> None:
        """Forgets the pass before; the pictures of rows without a probability do not count."""
        self._rows.assign(tf.zeros(self._rows.shape), read_value=False)  # each replica has its own

    def add(self, images, labels, logits, counted) -> None:
        """See `Observer.add`."""
        predicted = predicted_classes(labels, logits)
        both = tf.stack([predicted, labels], axis=1)
        probabilities = tf.gather(tf.nn.softmax(logits), both, batch_dims=1)
        is_wrong = tf.cast(predicted != labels, tf.float32) * counted
        rows = tf.concat([probabilities, tf.cast(both, tf.float32)], axis=1) * is_wrong[:, None]
        # Only the candidates of the batch are shrunk.
        rows, images = _worst(rows, tf.cast(images, tf.float32))
        images = tf.nn.avg_pool2d(images, self._factor, self._factor, "SAME")
        rows, images = _worst(
            tf.concat([self._rows, rows], axis=0), tf.concat([self._images, images], axis=0)
        )
        self._rows.assign(rows)
        self._images.assign(images)

    def read(self) -> list[WorstPicture]:
        """The worst first, of this worker's replicas."""
        rows, images = (
            np.concatenate([v.numpy() for v in self._strategy.experimental_local_results(variable)])
            for variable in (self._rows, self._images)
        )
        order = np.argsort(-rows[:, 0], kind="stable")[:_COUNT]
        return [
            WorstPicture(
                np.clip(np.rint(images[index]), 0, 255).astype(np.uint8),
                label=int(label),
                predicted=int(predicted),
                label_probability=float(label_probability),
                predicted_probability=float(probability),
            )
            for index in order
            for probability, label_probability, predicted, label in [rows[index]]
            if probability > 0
        ]


def _worst(rows, images):
    """The rows with the largest first number, at most as many as are kept, and their images."""
    _, order = tf.math.top_k(rows[:, 0], min(_COUNT, rows.shape[0]))
    return tf.gather(rows, order), tf.gather(images, order)


def _variable(shape):
    return tf.Variable(
        tf.zeros(shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.NONE,
    )
