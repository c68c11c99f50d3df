"""What may look at every batch of an evaluation beside the `Evaluator`."""

from typing import Protocol

import tensorflow as tf


class Observer(Protocol):
    """Collects something over one pass, in variables: it is called inside a compiled graph."""

    def reset(self) -> None:
        """Forgets the pass before."""

    def add(
        self, images: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor, counted: tf.Tensor
    ) -> None:
        """Takes one batch; called inside a replica.

        Args:
          images: float32 [N, S, S, 3] in 0..255.
          labels: int32 [N], 0 for padding.
          logits: float32 [N, classes].
          counted: float32 [N], 0 for padding and 1 for images.
        """
