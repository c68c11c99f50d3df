"""What a run says before it trains."""

import importlib.util
import sys

from efficientnet_tf.run.session import Session
from efficientnet_tf.run.step_memory import StepMemory


def announce(session: Session, start: int, report: str | None, profiled: range) -> None:
    """Prints what is trained on what, from where, and where the results go.

    Args:
      session: of a run that is about to train.
      start: optimizer steps done before.
      report: what starting weights gave, in words.
      profiled: the steps to record.
    """
    config, replicas = session.config, session.strategy.num_replicas_in_sync
    parameters = sum(v.shape.num_elements() for v in session.model.trainable_variables)
    source, size = session.source, config.data.image_size
    session.say(
        f"{session.network.name}: {parameters:,} parameters, {size}x{size}, "
        f"{session.network.num_classes} classes",
        f"{config.data.dataset}: {source.num_train_images} training images, "
        f"{source.num_eval_images or 'an unknown number'} to evaluate",
        f"{config.train.train_steps} steps of {config.data.train_batch_size} images, "
        f"{_epochs(session):,.1f} epochs, on {replicas} replica{'s' * (replicas > 1)} "
        f"({type(session.strategy).__name__.lstrip('_')}){_precision(session)}, "
        f"{f'from step {start}' if start else 'from the start'}",
        *([report] if report and not start else []),
        f"results: {session.folder.path}",
        *([_profile(session, start, profiled)] if profiled else []),
        *([_at_end(session, start)] if start >= config.train.train_steps else []),
    )


def say_memory(session: Session, memory: StepMemory) -> None:
    """Warns of a step that will hardly fit; tells what `--remat=auto` chose."""
    if memory.fits:
        if memory.wanted == "auto":
            session.say(f"--remat=auto: {memory}")
    elif session.is_chief:
        print(f"warning: {memory} (an estimate); {memory.advice()} would fit", file=sys.stderr)


def _precision(session: Session) -> str:
    if session.network.quantize_aware:
        return ", rounding as int8 does"
    dtype = session.model.compute_dtype
    return "" if dtype == "float32" else f" in {dtype}"


def _epochs(session: Session) -> float:
    config = session.config
    images = config.train.train_steps * config.data.train_batch_size
    return images / session.source.num_train_images


def _at_end(session: Session, start: int) -> str:
    return (
        f"nothing to train: the run is at step {start} and "
        f"--train_steps={session.config.train.train_steps}"
    )


def _profile(session: Session, start: int, profiled: range) -> str:
    first, last = max(start + 1, profiled[0]), profiled[-1]
    if first > last:
        return f"no profile: steps {profiled[0]}..{last} are done already"
    has_tab = importlib.util.find_spec("tensorboard_plugin_profile")
    return (
        f"profile of steps {first}..{last}: {session.folder.file('train')}/plugins/profile, for "
        f"TensorBoard's PROFILE tab{'' if has_tab else ' (pip install tensorboard-plugin-profile)'}"
    )
