"""Checkpoints of a run: saved under the step's number, found by listing the folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.train.agreement import chief_value, fail_together
from efficientnet_tf.train.background_copy import BackgroundCopy
from efficientnet_tf.train.finite import first_not_finite
from efficientnet_tf.train.writing import write_whole, writing
from efficientnet_tf.weights.assignment import listing
from efficientnet_tf.weights.formats.run_checkpoint import (
    RunCheckpoint,
    checkpoint_step,
    list_checkpoints,
)
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files, folder_files

_DATA_FILE = re.compile(r"ckpt-(\d+)\.data-")


@dataclass(frozen=True)
class Keeping:
    """Which checkpoints stay.

    Attributes:
      newest: how many of the newest.
      every: steps; of each stretch of so many the first checkpoint after its end stays for good.
        None for the newest alone.
    """

    newest: int
    every: float | None = None

    def superfluous(self, steps: Sequence[int]) -> list[int]:
        """Those of the steps saved that may go. It does not matter which went before."""
        steps, going, before = sorted(steps), [], 0
        for step in steps:
            is_milestone = self.every and step // self.every > before // self.every
            if not is_milestone and step not in steps[-self.newest :]:
                going.append(step)
            before = step
        return going


class CheckpointSaver:
    """Saves everything a run needs to continue exactly, and restores it.

    A checkpoint holds `model/<path>`, `ema/<path>` and `optimizer/<path>` for every variable, and
    the step inside the optimizer's `iterations`.

    Args:
      directory: the run's model_dir.
      model, optimizer, ema: the state; `ema` may be None.
      keeping: which checkpoints stay.
      check: raises where the directory has become another run's; called before each save.
      in_background: write while training goes on, from a copy of the state in the host's memory.
    """

    def __init__(self, directory, model, optimizer, ema, keeping, check=None, in_background=False):
        self.directory = directory
        self._state = _state(model, optimizer, ema)
        self._iterations = optimizer.iterations
        self._checkpoint = tf.train.Checkpoint(**self._state)
        _drop_invalid_state_file(directory)
        self._keeping, self._check = keeping, check or (lambda: None)
        self._background = BackgroundCopy(self._state) if in_background else None
        saved = self._background.checkpoint if self._background else self._checkpoint
        # It deletes only what the `checkpoint` file lists, and knows no checkpoints that stay.
        self._manager = tf.train.CheckpointManager(
            saved, directory, max_to_keep=None, checkpoint_name="ckpt"
        )

    def save(self, step: int) -> str:
        """Writes the checkpoint of `step`; in the background, once the one before is written.

        Returns:
          Its prefix.

        Raises:
          UserError: it, or in the background the one before, cannot be written; older ones are as
            they were.
        """
        self._check()
        if self._background:
            self._background.run(lambda: self._write(step))
        else:
            self._write(step)
        return self._prefix(step)

    def wait(self) -> None:
        """Returns when everything is written.

        Raises:
          UserError: it could not be.
        """
        if self._background:
            self._background.wait()

    def _write(self, step):
        with writing(f"the checkpoint of step {step} in {self.directory}", self._intact()):
            self._manager.save(checkpoint_number=step)
            for old in self._keeping.superfluous(self._steps()):
                for path in bundle_files(self._prefix(old)):
                    tf.io.gfile.remove(path)
            self._write_state_file(f"ckpt-{step}")

    def _write_state_file(self, newest):
        """TensorFlow's `checkpoint` file, of what is there: for other programs."""
        kept = [f"ckpt-{step}" for step in sorted(self._steps())]
        lines = [f'model_checkpoint_path: "{newest}"\n']
        lines += [f'all_model_checkpoint_paths: "{name}"\n' for name in kept]
        write_whole(f"{self.directory.rstrip('/')}/checkpoint", "".join(lines))

    def _prefix(self, step):
        return f"{self.directory.rstrip('/')}/ckpt-{step}"

    def _steps(self):
        return [checkpoint_step(prefix) for prefix in list_checkpoints(self.directory)]

    def _intact(self):
        newest = f"that of step {max(steps)} is intact; " if (steps := self._steps()) else ""
        return f"{newest}see to room and permission, and start again"

    def restore_latest(self) -> int:
        """Loads the newest readable checkpoint; its step, or 0 where there is none.

        Raises:
          UserError: the checkpoint is of another network or recipe, or none can be read.
        """
        self.wait()
        prefixes = list_checkpoints(self.directory)
        self._say_what_lost_its_index(prefixes)
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

    def _say_what_lost_its_index(self, prefixes):
        """A checkpoint without its `.index` is not in the list, and would be written over.

        Raises:
          UserError: there is no other.
        """
        names = folder_files(self.directory)
        data = {int(found[1]) for name in names if (found := _DATA_FILE.match(name))}
        for step in sorted(data - {checkpoint_step(prefix) for prefix in prefixes}):
            lost = f"{self.directory}: the checkpoint of step {step} has lost its .index file"
            if not prefixes:
                raise UserError(f"{lost}, and there is no other; use another --model_dir")
            print(f"{lost}; it is passed over", flush=True)

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
