"""The modes of the command line: a file and a row each."""

import importlib

import tensorflow as tf

from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.train.lost_worker import lost_worker_explained

# The file in this folder, and in it the function that takes the `RunConfig`.
_MODES = {
    "train_and_eval": ("train", "train_and_eval"),
    "train": ("train", "train"),
    "eval": ("evaluate", "evaluate"),
    "predict": ("predict", "predict"),
    "convert": ("convert", "convert"),
    "export": ("export", "export"),
    "summary": ("summary", "summary"),
    "lr_range": ("lr_range", "lr_range"),
    "benchmark": ("benchmark", "benchmark"),
    "study": ("study", "study"),
    "prepare": ("prepare", "prepare"),
    "data_service": ("data_service", "data_service"),
}


def execute(config: RunConfig) -> None:
    """Does what `config.mode` says.

    Raises:
      UserError: anything the person at the keyboard can mend.
    """
    file, function = _MODES[config.mode]
    mode = importlib.import_module(f"{__name__}.{file}")
    trains = config.mode in ("train", "train_and_eval")
    try:
        with lost_worker_explained(config.train.model_dir if trains else None):
            getattr(mode, function)(config)
    except (
        tf.errors.FailedPreconditionError,
        tf.errors.PermissionDeniedError,
        tf.errors.ResourceExhaustedError,
        tf.errors.UnavailableError,
    ) as error:
        raise UserError(error.message.splitlines()[0]) from None
