"""Checkpoints of a run: saved under the step's number, found by listing the folder."""

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.train.agreement import chief_value, fail_together
from efficientnet_tf.train.finite import first_not_finite
from efficientnet_tf.train.writing import writing
from efficientnet_tf.weights.assignment import listing
from efficientnet_tf.weights.formats.run_checkpoint import (
    RunCheckpoint,
    checkpoint_step,
    list_checkpoints,
)
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files


class CheckpointSaver:
    """Saves everything a run needs to continue exactly, and restores it.

    A checkpoint holds `model/<path>`, `ema/<path>` and `optimizer/<path>` for every variable, and
    the step inside the optimizer's `iterations`.

    Args:
      directory: the run's model_dir.
      model, optimizer, ema: the state; `ema` may be None.
      max_to_keep: newest checkpoints kept.
      check: raises where the directory has become another run's; called before each save.
    """

    def __init__(self, directory, model, optimizer, ema, max_to_keep, check=None):
        self.directory = directory
        self._state = _state(model, optimizer, ema)
        self._iterations = optimizer.iterations
        self._checkpoint = tf.train.Checkpoint(**self._state)
        _drop_invalid_state_file(directory)
        self._max_to_keep, self._check = max_to_keep, check or (lambda: None)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, directory, max_to_keep, checkpoint_name="ckpt"
        )

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step` and returns its prefix.

        Raises:
          UserError: it cannot be written; the one before is as it was.
        """
        self._check()
        with writing(f"the checkpoint of step {step} in {self.directory}", self._intact()):
            prefix = self._manager.save(checkpoint_number=step)
        # The manager only deletes checkpoints that the `checkpoint` file lists.
        for old in list_checkpoints(self.directory)[self._max_to_keep :]:
            for path in bundle_files(old):
                tf.io.gfile.remove(path)
        return prefix

    def _intact(self):
        before = list_checkpoints(self.directory)
        newest = f"that of step {checkpoint_step(before[0])} is intact; " if before else ""
        return f"{newest}see to room and permission, and start again"

    def restore_latest(self) -> int:
        """Loads the newest readable checkpoint; its step, or 0 where there is none.

        Raises:
          UserError: the checkpoint is of another network or recipe, or none can be read.
        """
        prefixes = list_checkpoints(self.directory)
        for prefix in prefixes:
            try:
                shapes = RunCheckpoint(prefix).shapes
            except UserError as error:  # the index is damaged
                print(f"{error}; trying the one before", flush=True)
                continue
            # Before restoring: TensorFlow would name one culprit and log a warning for each other.
            self._check_fit(prefix, shapes)
            try:
                self._checkpoint.restore(prefix).assert_consumed()
            except (tf.errors.OpError, IndexError):  # truncated, or a part is missing
                print(f"{prefix}: unreadable, trying the one before", flush=True)
                continue
            if not (fault := self._fault(prefix)):
                return checkpoint_step(prefix)
            print(f"{prefix} {fault}; trying the one before", flush=True)
        if prefixes:
            raise UserError(f"{self.directory}: no checkpoint can be used; use another --model_dir")
        return 0

    def _fault(self, prefix):
        """Why a run cannot go on from what was restored, None where it can."""
        step = int(self._iterations.numpy())
        if step != checkpoint_step(prefix):
            # It would repeat other data, and every later start would find this checkpoint again.
            return f"is of step {step}"
        names = {f"{part}/{path}": v for part, vs in self._state.items() for path, v in vs.items()}
        name = first_not_finite(names)
        return name and f"is of no use, as {name} is not finite"

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
        """Raises a `UserError` with what differs: the network, else the average and optimizer."""
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
    """An empty or damaged `checkpoint` file says nothing and stops TensorFlow's manager."""
    try:
        tf.train.get_checkpoint_state(directory)
    except ValueError:
        tf.io.gfile.remove(f"{directory}/checkpoint")
