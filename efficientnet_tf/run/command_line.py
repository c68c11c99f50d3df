"""The command `efficientnet-tf`, the same as `python main.py`."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence

from absl import app, logging
from absl import flags as absl_flags

from efficientnet_tf.config import UserError
from efficientnet_tf.run import flags


def main(arguments: Sequence[str]) -> None:
    """Reads the flags, then hands over to the run; nothing is loaded before the flags are good."""
    if not absl_flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # below it, TensorFlow logs every save
    try:
        config = flags.run_config(arguments[1:])
        with _quiet_start():
            import tensorflow as tf

            from efficientnet_tf.run import modes

            tf.config.list_physical_devices()
        modes.execute(config)
    except (UserError, OSError) as error:  # OSError: a file or folder that cannot be written
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Keeps TensorFlow's start-up chatter off the terminal, and shows it if starting fails.

    It comes from C++ before any log level is read, so the file descriptor itself is diverted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as chatter:
        terminal = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except BaseException:
            chatter.seek(0)
            os.write(terminal, chatter.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def console() -> None:
    """Entry point."""
    flags.define_flags()
    app.run(main, flags_parser=_parse)


def _parse(arguments: list[str]) -> list[str]:
    try:
        return absl_flags.FLAGS(arguments)
    except absl_flags.Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
