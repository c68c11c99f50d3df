"""The command `efficientnet-tf`, the same as `python main.py`."""

import contextlib
import logging as python_logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence

from absl import app, logging
from absl import flags as absl_flags

from efficientnet_tf import installation
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.run import flags
from efficientnet_tf.run.flag_help import requested_help


def console(argv: Sequence[str] | None = None) -> None:
    """Entry point; ends the process with status 0, 1 after an error, 42 interrupted and saved.

    Args:
      argv: program name and arguments; the process's own by default.
    """
    flags.define_flags()
    app.run(main, argv=list(argv or sys.argv), flags_parser=parse)


def parse(argv: Sequence[str]) -> list[str]:
    """Sets the flags; returns the program's name and what is no flag.

    Prints the help and ends the process where it is asked for, or where nothing is asked for.
    """
    program, *arguments = argv
    if text := requested_help(arguments):
        print(text)
        sys.exit(0)
    with _errors_on_one_line():
        return [program, *flags.parse(arguments)]


def main(argv: Sequence[str]) -> None:
    """Does what the flags say. TensorFlow starts once they are known to be good."""
    if not absl_flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # below it, TensorFlow logs every save
    logging.get_absl_handler().setFormatter(_Messages())
    with _errors_on_one_line():
        config = flags.run_config(argv[1:])
        for note in flags.notes(config):
            print(f"note: {note}", file=sys.stderr)
        execute(config)


def execute(config: RunConfig) -> None:
    """Starts TensorFlow and runs `config`."""
    installation.check()
    if config.distribution.uses_tpu:
        os.environ.update(installation.pjrt_settings())
    # Several workers: what C++ writes of a lost connection comes again as an exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if _is_worker(config) else "2")
    with _quiet_start():
        import tensorflow as tf

        from efficientnet_tf.run import modes

        tf.config.list_physical_devices()
    modes.execute(config)


def _is_worker(config: RunConfig) -> bool:
    """Whether this process may be one of several; `train.cluster` knows, but loads TensorFlow."""
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1)
    return bool(config.distribution.worker_hosts or os.environ.get("TF_CONFIG")) or tasks > 1


class _Messages(python_logging.Formatter):
    """`warning: what is the matter`, without the time and place that absl puts in front."""

    def format(self, record: python_logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {record.getMessage()}"


@contextlib.contextmanager
def _errors_on_one_line() -> Iterator[None]:
    """Ends the process with a status and one line for an error that the user can mend."""
    try:
        yield
    except (UserError, OSError) as error:  # OSError: a file or folder that cannot be written
        print(f"error: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_status", 1))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's start-up messages off the terminal, and shows them if starting fails.

    C++ code writes them before any log level is read, so the file descriptor itself is diverted.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as messages:
        terminal = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(terminal, messages.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
