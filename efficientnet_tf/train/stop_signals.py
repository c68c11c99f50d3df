"""SIGINT and SIGTERM as a request to stop at the next opportunity."""

import contextlib
import os
import signal
import socket
import sys
import threading

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Inside the block SIGINT and SIGTERM only set `received`; a second one ends the process.

    Python runs a handler between two of its own instructions, so not before a device call is over,
    which may be long. But it writes the signal's number to a socket at once: a thread that listens
    there says that the signal has come, and ends the process at the second.

    Outside of the main thread Python allows no handlers: the caller's stay in force.
    """

    def __init__(self):
        self.received = False
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is not threading.main_thread():
            return self
        listener, sender = socket.socketpair()
        sender.setblocking(False)
        previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self._receive) for number in _NUMBERS}
        thread = threading.Thread(target=self._listen, args=(listener,), daemon=True)
        thread.start()
        # Undone from the last to the first: the thread ends once the sender is closed.
        self._undo.callback(listener.close)
        self._undo.callback(thread.join)
        self._undo.callback(sender.close)
        self._undo.callback(signal.set_wakeup_fd, previous)
        for number, handler in handlers.items():
            self._undo.callback(signal.signal, number, handler)
        return self

    def _receive(self, *_) -> None:
        self.received = True

    def _listen(self, listener: socket.socket) -> None:
        count = 0
        while byte := listener.recv(1):
            if byte[0] not in _NUMBERS:
                continue
            count += 1
            if count == 2:
                os._exit(128 + byte[0])
            self.received = True
            name = signal.Signals(byte[0]).name
            print(f"\n{name}: stops after what is in progress; a second one ends it at once",
                  file=sys.stderr, flush=True)  # fmt: skip

    def __exit__(self, *_) -> None:
        self._undo.close()
