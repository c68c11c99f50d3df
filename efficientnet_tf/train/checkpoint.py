"""Checkpoints of a run: saved under the step's number, found by listing the folder."""

import re

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.train.agreement import chief_value, fail_together
from efficientnet_tf.weights.assignment import assign, listing
from efficientnet_tf.weights.formats.run_checkpoint import RunCheckpoint
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files, folder_files

_NAME = re.compile(r"ckpt-(\d+)")


def find_checkpoints(directory: str) -> list[str]:
    """Prefixes of the run's checkpoints in `directory`, newest first.

    The directory is listed because TensorFlow's `checkpoint` file may be lost or empty, and
    TensorFlow would then start again at step 0 and overwrite the run.
    """
    names = [n.removesuffix(".index") for n in folder_files(directory) if n.endswith(".index")]
    prefixes = [f"{directory.rstrip('/')}/{name}" for name in names if _NAME.fullmatch(name)]
    return sorted(prefixes, key=checkpoint_step, reverse=True)


def is_checkpoint_name(name: str) -> bool:
    """Whether a file name, without its directory, is that of a run's checkpoint."""
    return bool(_NAME.fullmatch(name))


def checkpoint_step(prefix: str) -> int:
    """The step in a checkpoint's name."""
    return int(_NAME.fullmatch(prefix.rpartition("/")[2])[1])


class CheckpointSaver:
    """Saves everything a run needs to continue exactly, and restores it.

    A checkpoint holds `model/<path>`, `ema/<path>` and `optimizer/<path>` for every variable, and
    the step inside the optimizer's `iterations`.

    Args:
      directory: the run's model_dir.
      model, optimizer, ema: the state; `ema` may be None.
      max_to_keep: newest checkpoints kept.
    """

    def __init__(self, directory, model, optimizer, ema, max_to_keep):
        self.directory = directory
        self._state = _state(model, optimizer, ema)
        self._checkpoint = tf.train.Checkpoint(**self._state)
        _drop_invalid_state_file(directory)
        self._max_to_keep = max_to_keep
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, directory, max_to_keep, checkpoint_name="ckpt"
        )

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step` and returns its prefix."""
        prefix = self._manager.save(checkpoint_number=step)
        # The manager only deletes checkpoints that the `checkpoint` file lists.
        for old in find_checkpoints(self.directory)[self._max_to_keep :]:
            for path in bundle_files(old):
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
                shapes = RunCheckpoint(prefix).shapes
            except UserError as error:  # the index is damaged
                print(f"{error}; trying the one before", flush=True)
                continue
            # TensorFlow's own error would name one variable and log a warning for each other one.
            self._check_fit(prefix, shapes)
            try:
                self._checkpoint.restore(prefix).assert_consumed()
                return checkpoint_step(prefix)
            except (tf.errors.OpError, IndexError):  # truncated, or a part is missing
                print(f"{prefix}: unreadable, trying the one before", flush=True)
        if prefixes:
            raise UserError(f"{self.directory}: no checkpoint can be read; use another --model_dir")
        return 0

    def restore_in_all_workers(self, strategy: tf.distribute.Strategy) -> int:
        """`restore_latest` in every worker, which must find the step that the chief found.

        Raises:
          UserError: in every worker, if one of them cannot load the chief's checkpoint.
        """
        with fail_together(strategy):
            step = self.restore_latest()
        chief_step = chief_value(strategy, step)
        with fail_together(strategy):
            if step != chief_step:
                raise UserError(
                    f"--model_dir={self.directory}: this worker can read step {step}, the chief "
                    f"step {chief_step}; give all workers the same shared folder"
                )
        return chief_step

    def _check_fit(self, prefix, shapes):
        """Raises a `UserError` that lists the variables whose name or shape differs.

        Those of the network are looked at first: if they differ, the others follow from it.
        """
        for parts in (("model/",), ("ema/", "optimizer/")):
            held = {name: shape for name, shape in shapes.items() if name.startswith(parts)}
            own = {
                f"{part}/{path}": tuple(value.shape)
                for part, values in self._state.items()
                for path, value in values.items()
                if f"{part}/" in parts
            }
            wrong = [
                f"{n} {held[n]} (here {own[n]})" for n in own.keys() & held if own[n] != held[n]
            ]
            faults = (
                listing("missing", own.keys() - held),
                listing("not in this run", held.keys() - own),
                listing("of another shape", wrong),
            )
            if any(faults):
                raise UserError(
                    f"{prefix} does not fit this run's model and optimizer: "
                    f"{'; '.join(filter(None, faults))}; use another --model_dir"
                )


def _state(model, optimizer, ema):
    state = {
        "model": {v.path: v.value for v in model.weights},
        "optimizer": {v.path: v.value for v in optimizer.variables},
    }
    if ema:
        state["ema"] = {v.path: s for v, s in zip(ema.variables, ema.shadows, strict=True)}
    return state


def _drop_invalid_state_file(directory):
    """Deletes a damaged `checkpoint` file, on which TensorFlow's manager would fail."""
    try:
        tf.train.get_checkpoint_state(directory)
    except ValueError:
        tf.io.gfile.remove(f"{directory}/checkpoint")


def load_run_weights(model, prefix: str, ema: bool = True) -> str:
    """Sets a model's weights from a run's checkpoint.

    Args:
      ema: whether to take the averages, if the checkpoint holds any.

    Returns:
      `"ema"` or `"raw"`: which weights it took.

    Raises:
      UserError: there is no such checkpoint, it is damaged or of another network; nothing is set.
    """
    checkpoint = RunCheckpoint(prefix)
    assign(model, checkpoint.source(ema).read(model), prefix)
    return checkpoint.kind(ema)
