"""Lengths said in epochs, in steps."""

import dataclasses

from efficientnet_tf.config import DataConfig, TrainConfig, UserError


def in_steps(train: TrainConfig, data: DataConfig, num_train_images: int | None) -> TrainConfig:
    """`train` with `train_steps` and `steps_per_eval` from the lengths that were said in epochs.

    Args:
      data: its batch size.
      num_train_images: of an epoch, None if unknown.

    Raises:
      UserError: the length of an epoch is needed and unknown.
    """
    steps = {
        "train_steps": _steps("train_epochs", train, data, num_train_images),
        "steps_per_eval": _steps("eval_every_epochs", train, data, num_train_images),
    }
    said = {name: count for name, count in steps.items() if count}
    return dataclasses.replace(train, **said, train_epochs=None, eval_every_epochs=None)


def _steps(name: str, train: TrainConfig, data: DataConfig, images: int | None) -> int | None:
    epochs = getattr(train, name)
    if epochs is None:
        return None
    if not images:
        raise UserError(f"--{name}={epochs:g} needs the length of an epoch: --num_train_images")
    return max(1, round(epochs * images / data.train_batch_size))
