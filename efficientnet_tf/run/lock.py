"""One run at a time in a folder: `lock.json` there names the process that trains."""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import uuid
from pathlib import Path

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.run.folder import RunFolder

_FILE = "lock.json"
_BEAT_SECONDS = 10.0
# An owner that cannot be asked is taken for gone after so long without a beat.
_SILENT_SECONDS = 45.0
_POLL_SECONDS = 1.0
# Of two processes that take a lock over at the same moment, the last to write has it.
_SETTLE_SECONDS = 1.0


class RunLock:
    """Held inside `with`; the processes of one host see at once whether its owner lives.

    Across hosts there is only the file: its owner writes a new number into it every ten seconds,
    and whoever finds a lock watches that number, which needs no common clock. A local file is
    created by one process alone. A bucket, and a lock that is taken over, have no such step: both
    processes write, wait, and read who was the last. One that is put to sleep between its reading
    and its writing would still win a lock that is not free; so an owner looks again, with `check`,
    before everything that it must not write into another's run.

    Args:
      folder: of the run.
    """

    def __init__(self, folder: RunFolder):
        self._folder = folder
        self._owner = _this_process()
        self._beat, self._made_folder = 0, False
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> "RunLock":
        """Takes the lock.

        Raises:
          UserError: another process trains in the folder.
        """
        if not self._create():
            self._take_over()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._released.set()
        self._thread.join()
        if self._is_mine(self._read()):
            tf.io.gfile.remove(self._folder.file(_FILE))
        if self._made_folder:
            with contextlib.suppress(OSError):  # not empty: there is a run in it now
                os.rmdir(self._folder.path)

    def check(self) -> None:
        """Raises a `UserError` if another run has taken the folder over."""
        if (found := self._read()) and not self._is_mine(found):
            raise UserError(
                f"--model_dir={self._folder.path} was taken over by {_name(found)} while this "
                "process gave no sign of life; it stops without saving"
            )

    def _create(self) -> bool:
        """Writes the lock where there is none; whether it did."""
        if self._read() is not None:
            return False
        if "://" in self._folder.path:
            return self._write_and_settle()
        path = self._folder.file(_FILE)
        with self._folder.writing(_FILE):
            self._made_folder = not os.path.isdir(self._folder.path)
            os.makedirs(self._folder.path, exist_ok=True)
            try:
                with open(path, "x") as file:
                    file.write(self._text())
            except FileExistsError:
                return False
            except OSError:  # nobody's lock: there is no room for a name in it
                with contextlib.suppress(OSError):
                    os.remove(path)
                raise
        return True

    def _take_over(self) -> None:
        """Replaces the lock of a process that is gone."""
        found = self._read()
        if found is not None and not _is_dead(found):
            is_free = not _is_local(found) and self._stays_silent(found)
            if not is_free:
                raise self._in_use(found)
        if not self._write_and_settle():
            raise self._in_use(self._read())
        if found is not None:
            print(f"note: {_name(found)} trained in {self._folder.path} and is gone; its lock is "
                  "taken over", file=sys.stderr)  # fmt: skip

    def _stays_silent(self, found: dict) -> bool:
        print(
            f"{self._folder.file(_FILE)} is of {_name(found)}: waiting up to "
            f"{_SILENT_SECONDS:.0f} s for a sign of life",
            file=sys.stderr,
            flush=True,
        )
        deadline = time.monotonic() + _SILENT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            if (now := self._read()) != found:
                return now is None
        return True

    def _write_and_settle(self) -> bool:
        self._folder.write_text(_FILE, self._text())
        time.sleep(_SETTLE_SECONDS)
        return self._is_mine(self._read())

    def _keep_beating(self) -> None:
        while not self._released.wait(_BEAT_SECONDS):
            self._beat += 1
            try:
                found = self._read()
                if found is None or self._is_mine(found):
                    self._folder.write_text(_FILE, self._text())
            except (UserError, OSError, tf.errors.OpError):
                pass  # a full disk or a lost connection; who watches will wait, then `check` tells

    def _read(self) -> dict | None:
        """What the lock says, None where there is none; empty while it is being written."""
        text = self._folder.read_text(_FILE)
        if text is None:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _text(self) -> str:
        return json.dumps({**self._owner, "beat": self._beat}) + "\n"

    def _is_mine(self, found: dict | None) -> bool:
        return bool(found) and found.get("token") == self._owner["token"]

    def _in_use(self, found: dict | None) -> UserError:
        return UserError(
            f"--model_dir={self._folder.path} is in use: {_name(found or {})} trains there; wait "
            "for it, stop it, or use another --model_dir"
        )


def _this_process() -> dict:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "started": _started(pid),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "token": uuid.uuid4().hex,
    }


def _started(pid: int) -> str | None:
    """When a local process began, in the kernel's ticks; None if it is gone or cannot be asked."""
    try:
        # The name of the program, in parentheses, may hold anything.
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else numbers[18]  # ended, and only its parent has not looked


def _is_local(found: dict) -> bool:
    """Whether the kernel of this host can tell if the owner lives."""
    can_tell = _started(os.getpid()) is not None and isinstance(found.get("pid"), int)
    return can_tell and found.get("host") == socket.gethostname()


def _is_dead(found: dict) -> bool:
    return _is_local(found) and _started(found["pid"]) != found.get("started")


def _name(found: dict) -> str:
    if not found:
        return "an unknown process"
    return f"process {found.get('pid')} on {found.get('host')} (since {found.get('since')})"
