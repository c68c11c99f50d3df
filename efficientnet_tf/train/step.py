"""One optimizer step on one replica; all shapes are static, so that it compiles for TPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from efficientnet_tf.config import DEFAULT_LOSS, TrainConfig
from efficientnet_tf.nn.step_context import StepContext, step_context
from efficientnet_tf.train import losses
from efficientnet_tf.train.accuracy import top_k_hits
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.loss_scale import LossScale

# The measures that `TrainStep.__call__` returns, in that order.
MEASURES = (
    "loss",
    "cross_entropy",
    "regularization",
    "top_1",
    "top_5",
    "gradient_norm",
    "finite",  # 1 where loss and gradients are numbers, else 0
)
_BEFORE_UPDATE = MEASURES[:5]


@dataclass(frozen=True, eq=False)
class TrainStep:
    """The function that `strategy.run` runs.

    Attributes:
      model: from images to logits [N, classes].
      optimizer: its `iterations` is the global step.
      ema: None for a run without.
      config: of which a step uses loss, label smoothing, weight decay, accumulation, seed.
      global_batch_size: examples per step over all replicas.
      batch_norm_replicas: how many replicas share batch-norm statistics.
      clip_norm: the largest global norm of the gradients, 0 for any.
      rate_factors: what to multiply the rate of each variable by, by its path; empty for nothing.
      class_weights: one for each output of the network; None for none.
      plain_moments, compiled_swish, cpu_gradients: see `StepContext`.
      loss_scale: of a network that computes in float16; None for another.
      compiled: by XLA, forward and backward pass; the sum over replicas is not part of that.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    ema: ExponentialMovingAverage | None
    config: TrainConfig
    global_batch_size: int
    batch_norm_replicas: int = 1
    clip_norm: float = 0.0
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    class_weights: Sequence[float] | None = None
    plain_moments: bool = False
    compiled_swish: bool = False
    cpu_gradients: bool = False
    loss_scale: LossScale | None = None
    compiled: bool = False

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
        accumulate = self._accumulate
        if self.compiled:
            accumulate = tf.function(accumulate, jit_compile=True)
        measures, gradients = accumulate(batch)
        if replicas > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, norm)
        if self.loss_scale:
            tf.cond(finite, lambda: self._apply(gradients), lambda: None)
            self.loss_scale.update(finite)
            norm = tf.where(finite, norm, 0.0)
            finite = tf.constant(True)  # its gradients may overflow: that update is left out
        else:
            self._apply(gradients)
        # By its value: Keras' own method asks TPUs to agree on the number.
        self.optimizer.iterations.value.assign_add(1)
        if self.ema:
            self.ema.update(self.optimizer.iterations.value)
        finite &= tf.math.is_finite(measures[0])
        after = tf.stack([norm, tf.cast(finite, norm.dtype)]) / replicas
        return tf.concat([measures, after], axis=0)

    def _accumulate(self, batch):
        """The measures and gradients of this replica's batch, computed in parts one by one.

        Batch norm takes the statistics of each part alone.
        """
        parts = self.config.grad_accum_steps
        if parts == 1:
            return self._gradients(batch, 0)
        batch = {
            name: tf.reshape(value, [parts, value.shape[0] // parts, *value.shape[1:]])
            for name, value in batch.items()
        }

        def add_part(part, measures, *gradients):
            examples = {name: value[part] for name, value in batch.items()}
            more_measures, more = self._gradients(examples, part)
            sums = [total + gradient for total, gradient in zip(gradients, more, strict=True)]
            return part + 1, measures + more_measures, *sums

        zeros = [tf.zeros(v.shape, v.dtype) for v in self.model.trainable_variables]
        first = (tf.constant(0), tf.zeros(len(_BEFORE_UPDATE)), *zeros)
        _, measures, *gradients = tf.while_loop(lambda part, *_: part < parts, add_part, first)
        return measures, gradients

    def _gradients(self, batch, part):
        """Of one part of a batch: `_BEFORE_UPDATE`, and the gradients."""
        context = tf.distribute.get_replica_context()
        shares = context.num_replicas_in_sync * self.config.grad_accum_steps
        variables = self.model.trainable_variables
        objective = losses.OBJECTIVES[self.config.loss or DEFAULT_LOSS]
        with tf.GradientTape() as tape:
            with step_context(self._layer_context(context, part)):
                logits = self.model(batch["image"], training=True)
            examples = objective(
                batch["label"], logits, self.config.label_smoothing, self.class_weights
            )
            entropy = tf.reduce_sum(examples) / self.global_batch_size
            decay = self.config.weight_decay * losses.weight_decay(variables) / shares
            loss = entropy + decay
            scaled = loss * self.loss_scale.value if self.loss_scale else loss
        gradients = tape.gradient(scaled, [v.value for v in variables])
        if self.loss_scale:
            gradients = [gradient / self.loss_scale.value for gradient in gradients]
        accuracies = self._accuracies(batch["label"], logits)
        return tf.stack([loss, entropy, decay, *accuracies]), gradients

    def _apply(self, gradients):
        """Updates this replica's copy of the weights from the summed gradients.

        `optimizer.apply` would sum them over the replicas once more. Here every replica computes
        the same update, so the copies stay equal without communication.
        """
        rate = self.optimizer.learning_rate
        for gradient, variable in zip(gradients, self.model.trainable_variables, strict=True):
            own = rate * self.rate_factors[variable.path] if self.rate_factors else rate
            self.optimizer.update_step(gradient, variable, own)

    def _layer_context(self, context, part) -> StepContext:
        """Random draws of their own for each part of the batch of each replica in each step."""
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        step = tf.cast(self.optimizer.iterations.value, tf.int64)
        number = step * context.num_replicas_in_sync + replica
        return StepContext(
            seed=self.config.seed,
            counter=number * self.config.grad_accum_steps + tf.cast(part, tf.int64),
            batch_norm_replicas=self.batch_norm_replicas,
            plain_moments=self.plain_moments,
            compiled_swish=self.compiled_swish,
            cpu_gradients=self.cpu_gradients,
            remat=self.config.remat == "blocks",
        )

    def _accuracies(self, labels, logits):
        """This replica's share of the top-1 and top-5 accuracy.

        Of several labels of an image one is to be found; an image without labels is no hit.
        """
        logits = tf.cast(logits, tf.float32)
        is_label = (labels == tf.reduce_max(labels, axis=-1, keepdims=True)) & (labels > 0)
        has_label = tf.cast(tf.reduce_any(is_label, axis=-1), tf.float32)
        target = tf.argmax(tf.where(is_label, logits, -float("inf")), axis=-1)
        return [
            tf.reduce_sum(has_label * top_k_hits(target, logits, k)) / self.global_batch_size
            for k in (1, 5)
        ]
