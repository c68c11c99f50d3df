"""What a run is trained with, in `run.json` of its folder: one segment for each change of it."""

import dataclasses
import json

from efficientnet_tf.config import UserError
from efficientnet_tf.run.flag_table import ALL_FLAGS
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.session import Session
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints

_FILE = "run.json"
# What may differ between two invocations of a run: lengths, cadences, places, and how its steps
# are computed where the result is the same. Everything else makes it another run.
_FREE = {
    "data": {
        "data_dir",
        "eval_batch_size",
        "max_bad_examples",
        "tf_data_service",
        "use_cache",
    },
    "train": {
        "archive_ckpt",
        "early_stopping_evals",
        "eval_every_epochs",
        "eval_name",
        "eval_timeout",
        "iterations_per_loop",
        "keep_checkpoint_every_epochs",
        "keep_checkpoint_max",
        "log_step_count_steps",
        "lr_range_steps",
        "model_dir",
        "nan_policy",
        "profile_steps",
        "remat",
        "skip_host_call",
        "steps_per_eval",
        "train_epochs",
        "train_steps",
        "use_async_checkpointing",
    },
}
# Of the network: its other fields are its architecture, see `RunFolder.check`.
_OF_NETWORK = ("dropout_rate", "survival_prob", "batch_norm_momentum")
_PARTS = {"step", "rollbacks", "replicas", "train_steps", "settings"}
_FLAGS = {path: flag.name for flag in ALL_FLAGS.values() for path in flag.fields}


def settings(session: Session, augment: object = None) -> dict[str, object]:
    """What decides the result of a run's steps, by flag, as JSON has it.

    Args:
      session: with everything decided.
      augment: a policy in place of `config.data.augment_name`, of which only that is known.
    """
    config = session.config
    found = {_name("overrides", name): getattr(session.network, name) for name in _OF_NETWORK}
    for section in ("data", "optimizer", "train"):
        for name, value in dataclasses.asdict(getattr(config, section)).items():
            if name not in _FREE.get(section, ()):
                found[_name(section, name)] = value
    found |= {
        "dataset": session.source.name,
        "num_train_images": session.source.num_train_images,
        "num_eval_images": session.source.num_eval_images,
        "type of the computation": session.model.compute_dtype,
    }
    if augment is not None:
        found["augment_name"] = "a function"
    return json.loads(json.dumps(found))


def _name(section: str, field: str) -> str:
    return _FLAGS.get((section, field), field)


class RunRecord:
    """The segments of a run, the last one as it is.

    Args:
      session: of this invocation, with everything decided.
      augment: see `settings`.

    Attributes:
      rollbacks: how often the run has gone back to a checkpoint for other images.

    Raises:
      UserError: `run.json` is damaged.
    """

    def __init__(self, session: Session, augment: object = None):
        self._folder = session.folder
        # Before its first checkpoint a run has been trained with nothing.
        has_begun = bool(list_checkpoints(session.folder.path))
        self._segments = _read(session.folder) if has_begun else []
        self._last = self._segments[-1] if self._segments else None
        self._now = {
            "replicas": session.strategy.num_replicas_in_sync,
            "train_steps": session.config.train.train_steps,
            "settings": settings(session, augment),
        }
        self.rollbacks: int = self._last["rollbacks"] if self._last else 0

    def check(self, may_change: bool) -> list[str]:
        """What differs from the run so far, in lines to print.

        Args:
          may_change: `--allow_config_change`.

        Raises:
          UserError: a setting differs and may not.
        """
        changes = self._changes()
        if changes and not may_change:
            raise UserError(
                f"--model_dir={self._folder.path} was trained with other settings: "
                f"{'; '.join(changes)}. Give the old ones (see {self._folder.file('flags.txt')}), "
                "use another --model_dir, or go on with the new ones by --allow_config_change"
            )
        lines = [f"changed from here on: {change}" for change in changes]
        return lines + list(filter(None, [self._of_replicas(), self._of_length()]))

    def begin(self, step: int) -> None:
        """Writes a new segment from `step` on, if anything differs from the last one."""
        last = self._last and {name: self._last[name] for name in ("replicas", "train_steps")}
        now = {name: self._now[name] for name in ("replicas", "train_steps")}
        if last == now and not self._changes():
            return
        self._add(step)

    def roll_back(self, step: int) -> None:
        """Writes that the run goes on from `step` with other images."""
        self.rollbacks += 1
        self._add(step)

    def _add(self, step):
        self._last = {"step": step, "rollbacks": self.rollbacks, **self._now}
        self._segments.append(self._last)
        self._folder.write_text(_FILE, json.dumps({"segments": self._segments}, indent=1) + "\n")

    def _changes(self) -> list[str]:
        before = self._last["settings"] if self._last else {}
        return [
            f"{_as_flag(name)} was {json.dumps(before[name])}, is {json.dumps(value)}"
            for name, value in self._now["settings"].items()
            if name in before and before[name] != value and not _starts_nothing(name, value)
        ]

    def _of_replicas(self) -> str | None:
        before, now = self._last and self._last["replicas"], self._now["replicas"]
        if before in (None, now):
            return None
        return f"{now} replicas, {before} before: the run goes on, not as it would have to the bit"

    def _of_length(self) -> str | None:
        """That the length decides the rate, where it does."""
        before, now = self._last and self._last["train_steps"], self._now["train_steps"]
        given = self._now["settings"]
        is_part_of_rate = (
            given["lr_schedule"] in ("cosine", "polynomial") or given["lr_warmup_share"]
        )
        if before in (None, now) or not is_part_of_rate:
            return None
        return f"{now} steps in all, {before} before: the learning rate follows the new length"


def _starts_nothing(name: str, value: object) -> bool:
    """A run that goes on needs nothing to start from; that it is not said is no change."""
    return name == "init_checkpoint" and value is None


def _as_flag(name: str) -> str:
    return f"--{name}" if name in ALL_FLAGS else f"the {name}"


def _read(folder: RunFolder) -> list[dict]:
    text = folder.read_text(_FILE)
    if text is None:
        return []
    try:
        segments = json.loads(text)["segments"]
        if segments and all(s.keys() >= _PARTS and s["settings"].keys() for s in segments):
            return segments
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise UserError(
        f"{folder.file(_FILE)} is damaged; remove it to go on with the settings as they are given"
    )
