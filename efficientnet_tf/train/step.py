"""One optimizer step on one replica; all shapes are static, so that it compiles for TPU."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from efficientnet_tf.config import TrainConfig
from efficientnet_tf.nn.step_context import StepContext, step_context
from efficientnet_tf.train import losses
from efficientnet_tf.train.accuracy import top_k_hits
from efficientnet_tf.train.ema import ExponentialMovingAverage

# The measures that `TrainStep.__call__` returns, in that order.
MEASURES = ("loss", "cross_entropy", "regularization", "top_1", "top_5", "gradient_norm")


@dataclass(frozen=True)
class TrainStep:
    """The function that `strategy.run` runs.

    Attributes:
      model: from images to logits [N, classes].
      optimizer: its `iterations` is the global step.
      ema: None for a run without.
      config: of which a step uses weight decay, label smoothing and seed.
      global_batch_size: examples per step over all replicas.
      batch_norm_replicas: how many replicas share batch-norm statistics.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    ema: ExponentialMovingAverage | None
    config: TrainConfig
    global_batch_size: int
    batch_norm_replicas: int = 1

    def __call__(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Updates the model from this replica's part of the batch.

        Args:
          batch: `image` [n, H, W, C] and `label` float32 [n, classes].

        Returns:
          float32 [len(MEASURES)], to be *summed* over replicas; the losses are those before the
          update.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            with step_context(self._layer_context(context)):
                logits = self.model(batch["image"], training=True)
            examples = losses.cross_entropy(batch["label"], logits, self.config.label_smoothing)
            entropy = tf.reduce_sum(examples) / self.global_batch_size
            decay = self.config.weight_decay * losses.weight_decay(variables) / replicas
            loss = entropy + decay
        gradients = tape.gradient(loss, [v.value for v in variables])
        if replicas > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        self._apply(gradients, variables)
        if self.ema:
            self.ema.update(self.optimizer.iterations.value)
        accuracies = self._accuracies(batch["label"], logits)
        return tf.stack([loss, entropy, decay, *accuracies, norm / replicas])

    def _apply(self, gradients, variables):
        """Updates this replica's copy of the weights from the summed gradients.

        `optimizer.apply` would sum them over the replicas once more. Here every replica computes
        the same update, so the copies stay equal without communication.
        """
        rate = self.optimizer.learning_rate
        for gradient, variable in zip(gradients, variables, strict=True):
            self.optimizer.update_step(gradient, variable, rate)
        self.optimizer.iterations.assign_add(1)

    def _layer_context(self, context) -> StepContext:
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        step = tf.cast(self.optimizer.iterations.value, tf.int64)
        return StepContext(
            seed=self.config.seed,
            counter=step * context.num_replicas_in_sync + replica,
            batch_norm_replicas=self.batch_norm_replicas,
        )

    def _accuracies(self, labels, logits):
        """This replica's share of the top-1 and top-5 accuracy."""
        logits = tf.cast(logits, tf.float32)
        target = tf.argmax(labels, axis=-1)
        return [
            tf.reduce_sum(top_k_hits(target, logits, k)) / self.global_batch_size for k in (1, 5)
        ]
