"""What a run says, and what it can do, when its loss or weights are no longer numbers."""

import dataclasses

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.run.session import Session
from efficientnet_tf.train.distribute import num_workers
from efficientnet_tf.train.trainer import Diverged

MAX_ROLLBACKS = 3
_NAMES_SHOWN = 3
_SEED_STEP = 1_000_003


def reordered(config: DataConfig, rollbacks: int) -> DataConfig:
    """`config` with the order of the images, and their augmentation, after so many rollbacks."""
    if not rollbacks:
        return config
    return dataclasses.replace(config, seed=(config.seed + rollbacks * _SEED_STEP) % 2**31)


def with_images(session: Session, error: Diverged, rollbacks: int) -> UserError:
    """The error with the images of the step, all of which are listed in the run's folder.

    After a rollback the same step has other images, and a file of its own.
    """
    if not session.is_chief:
        return error
    config = reordered(session.config.data, rollbacks)
    names = data.images_of_step(session.source, config, error.step, num_workers(session.strategy))
    file = f"diverged-{error.step}{f'-{rollbacks}' if rollbacks else ''}.txt"
    session.folder.write_text(file, "".join(f"{name}\n" for name in names))
    first = ", ".join(names[:_NAMES_SHOWN]) + ", …" * (len(names) > _NAMES_SHOWN)
    return UserError(f"{error}; its images ({first}) are listed in {session.folder.file(file)}")


def reason_to_stop(session: Session, error: Diverged, rollbacks: int) -> str | None:
    """Why a run that diverged ends, a clause for the error; None if it goes back and on."""
    if session.config.train.nan_policy == "stop":
        return "--nan_policy=rollback goes back to a checkpoint by itself" if error.saved else ""
    if not error.saved:
        return "there is no checkpoint to go back to"
    if rollbacks >= MAX_ROLLBACKS:
        return f"it went back {MAX_ROLLBACKS} times already"
    return None
