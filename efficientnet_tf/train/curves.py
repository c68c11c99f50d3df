"""The curves of a training run in TensorBoard."""

from collections.abc import Callable, Iterable, Mapping

from efficientnet_tf.train.summaries import Summaries

# Tag of each measure of a training step.
_TAGS = {
    "top_1": "accuracy/top_1",
    "top_5": "accuracy/top_5",
    "loss": "loss/loss",
    "cross_entropy": "loss/cross_entropy",
    "regularization": "loss/regularization",
    "gradient_norm": "optimizer/gradient_norm",
}


class TrainingCurves:
    """Turns the rows of a `DeviceLoop` into points.

    Args:
      summaries: where they go.
      steps_per_epoch: may be fractional.
      schedule: from the number of updates done to the rate of the next.
      decay_after: from the number of updates done to the decay of the run's average; None for a
        run without.
    """

    def __init__(
        self,
        summaries: Summaries,
        steps_per_epoch: float,
        schedule: Callable[[int], object],
        decay_after: Callable[[int], object] | None = None,
    ):
        self.summaries, self.schedule = summaries, schedule
        self.steps_per_epoch, self.decay_after = steps_per_epoch, decay_after

    def write(
        self,
        rows: Iterable[Mapping[str, float]],
        step: int,
        images_per_second: float,
        input_wait: float = 0.0,
    ) -> None:
        """One point of every curve for each row; `step` is the one before the first row."""
        for row in rows:
            step += int(row["steps"])
            values = {
                **{tag: row[measure] for measure, tag in _TAGS.items()},
                "optimizer/learning_rate": self.last_rate(step),
                "run/epoch": self.epoch(step),
                "run/images_per_second": images_per_second,
                "run/input_wait": input_wait,
            }
            if self.decay_after:
                values["optimizer/ema_decay"] = float(self.decay_after(step))
            self.summaries.scalars("train", step, values)

    def epoch(self, step: int) -> float:
        """Passes over the training images after `step` updates."""
        return step / self.steps_per_epoch

    def last_rate(self, step: int) -> float:
        """The learning rate of the last of `step` updates."""
        return float(self.schedule(step - 1))

    def flush(self) -> None:
        """Makes what was written visible to a reader."""
        self.summaries.flush()
