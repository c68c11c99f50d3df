"""Checkpoints of a run: saved by step, found again without trusting the `checkpoint` file."""

import re

import tensorflow as tf

from efficientnet_tf.config import UserError

_NAME = re.compile(r".*/ckpt-(\d+)\.index$")


def find_checkpoints(directory: str) -> list[str]:
    """Prefixes of the run's checkpoints in `directory`, newest first.

    The directory is scanned: TensorFlow's `checkpoint` file may be lost or empty, and TensorFlow
    would then start again at step 0 and overwrite the run.
    """
    found = {}
    for path in tf.io.gfile.glob(f"{directory}/ckpt-*.index"):
        if match := _NAME.match(path):
            found[int(match[1])] = path.removesuffix(".index")
    return [found[step] for step in sorted(found, reverse=True)]


def checkpoint_step(prefix: str) -> int:
    """The step in a checkpoint's name."""
    return int(_NAME.match(f"{prefix}.index")[1])


class RunCheckpoints:
    """Saves and restores everything a run needs to continue exactly.

    A checkpoint holds `model/<path>`, `ema/<path>` and `optimizer/<path>` for every variable, and
    the step inside the optimizer's `iterations`.

    Args:
      directory: the run's model_dir.
      model, optimizer, ema: the state; `ema` may be None.
      max_to_keep: newest checkpoints kept.
    """

    def __init__(self, directory, model, optimizer, ema, max_to_keep):
        self.directory = directory
        self._checkpoint = tf.train.Checkpoint(**_state(model, optimizer, ema))
        _drop_invalid_state_file(directory)
        self._max_to_keep = max_to_keep
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, directory, max_to_keep, checkpoint_name="ckpt"
        )

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step` and returns its prefix."""
        prefix = self._manager.save(checkpoint_number=step)
        # The manager forgets what it does not find in the `checkpoint` file.
        for old in find_checkpoints(self.directory)[self._max_to_keep :]:
            for path in tf.io.gfile.glob(f"{old}.*"):
                tf.io.gfile.remove(path)
        return prefix

    def restore_latest(self) -> int:
        """Loads the newest readable checkpoint; its step, or 0 where there is none.

        Raises:
          UserError: the checkpoint is of another network or recipe, or none can be read.
        """
        prefixes = find_checkpoints(self.directory)
        for prefix in prefixes:
            try:
                self._checkpoint.restore(prefix).assert_consumed()
                return checkpoint_step(prefix)
            except (tf.errors.OpError, IndexError):  # damaged, truncated, or a part is missing
                print(f"{prefix}: unreadable, trying the one before", flush=True)
            except (AssertionError, ValueError) as error:
                raise UserError(
                    f"{prefix} does not fit this run's model and optimizer "
                    f"({str(error).splitlines()[0][:120]}); use another --model_dir"
                ) from None
        if prefixes:
            raise UserError(f"{self.directory}: no checkpoint can be read; use another --model_dir")
        return 0


def _state(model, optimizer, ema):
    state = {
        "model": {v.path: v.value for v in model.weights},
        "optimizer": {v.path: v.value for v in optimizer.variables},
    }
    if ema:
        state["ema"] = {v.path: s for v, s in zip(ema.variables, ema.shadows, strict=True)}
    return state


def _drop_invalid_state_file(directory):
    """An empty or damaged `checkpoint` file says nothing and stops TensorFlow's manager."""
    try:
        tf.train.get_checkpoint_state(directory)
    except ValueError:
        tf.io.gfile.remove(f"{directory}/checkpoint")


def load_run_weights(model, prefix: str, ema: bool = True) -> str:
    """Sets a model's weights from a run's checkpoint; `"ema"` or `"raw"`, which ones it took.

    Raises:
      UserError: the checkpoint is of another network.
    """
    names = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    kind = "ema" if ema and any(name.startswith("ema/") for name in names) else "model"
    state = tf.train.Checkpoint(**{kind: {v.path: v.value for v in model.weights}})
    try:
        state.read(prefix).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"{prefix} does not fit {model.name} ({reason})") from None
    return "ema" if kind == "ema" else "raw"
