"""SIGINT and SIGTERM as a request to stop at the next opportunity."""

import signal


class StopSignals:
    """Inside the block SIGINT and SIGTERM only set `received`; a second one ends the process.

    Outside of the main thread Python allows no handlers: the caller's stay in force.
    """

    def __init__(self):
        self.received = False
        self._previous = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._receive)
            except ValueError:  # not the main thread
                break
        return self

    def _receive(self, number, _):
        self.received = True
        signal.signal(number, signal.SIG_DFL)

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
