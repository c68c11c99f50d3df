"""A run whose processes are killed, at a moment counted from the first training step of each.

A kill while TensorFlow starts would prove nothing.
"""

import random
import re
import subprocess
import threading
import time
from collections import Counter

from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints
from helpers.command import ROOT

# How long after a run is seen at it the kill comes, in seconds at most. Saves of a small network
# take some 30 ms.
PHASES = {"training": 2.0, "saving": 0.03, "evaluating": 0.3}


class Attempt:
    """The processes of one start of a run; the chief's output line by line."""

    def __init__(self, commands):
        self._processes = [
            subprocess.Popen(
                words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for words in commands
        ]
        self.lines, self._training = [], threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(process, index == 0))
            for index, process in enumerate(self._processes)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, process, is_chief):
        for line in process.stdout:
            if is_chief:
                self.lines.append(line.rstrip())
                if line.startswith("train step"):
                    self._training.set()

    def kill(self, is_time, delay) -> bool:
        """Kills all processes so long after it is time; whether they were still at it."""
        while not self._training.wait(0.05):
            assert self._processes[0].poll() is None, "\n".join(self.lines)
        while not is_time() and self._processes[0].poll() is None:
            time.sleep(0.002)
        time.sleep(delay)
        caught = all(process.poll() is None for process in self._processes)
        for process in self._processes:
            process.kill()
        status = self._end()
        assert caught or status == [0] * len(status), "\n".join(self.lines)
        return caught

    def finish(self):
        status = self._end(timeout=300)
        assert status == [0] * len(status), "\n".join(self.lines)

    def _end(self, timeout=30):
        try:
            status = [process.wait(timeout) for process in self._processes]
        finally:
            for process in self._processes:
                process.kill()
        for reader in self._readers:
            reader.join()
        return status

    @property
    def resumed_from(self) -> int:
        """The step it went on from, 0 for the start."""
        found = re.search(r"from step (\d+)", "\n".join(self.lines))
        return int(found[1]) if found else 0


def checkpoint_steps(folder) -> list[int]:
    """The steps of a run's checkpoints, the newest first."""
    return [int(prefix.rpartition("-")[2]) for prefix in list_checkpoints(str(folder))]


def phase(folder) -> str:
    """What a run is about, or was when it was killed, by what lies in its folder."""
    data = {path.name.partition(".")[0] for path in folder.glob("ckpt-*.data-*")}
    whole = {path.stem for path in folder.glob("ckpt-*.index")}
    if data != whole or list(folder.glob("*_temp*")):
        return "saving"
    results = folder / "eval.jsonl"
    done = results.read_text() if results.exists() else ""
    newest = checkpoint_steps(folder)
    return "evaluating" if newest and f'"step": {newest[0]},' not in done else "training"


def kill_until_done(make_commands, folder, steps, kills, draw: random.Random):
    """Trains to the end, through at most so many kills.

    Returns the steps that the starts went on from, and how often it was killed in each phase.
    """
    resumed, killed = [0], Counter()
    while killed.total() < kills and checkpoint_steps(folder)[:1] != [steps]:
        attempt, aim = Attempt(make_commands(folder)), draw.choice(list(PHASES))

        def is_time(aim=aim):
            return checkpoint_steps(folder) and phase(folder) == aim

        if attempt.kill(is_time, draw.uniform(0, PHASES[aim])):
            killed[phase(folder)] += 1
        assert attempt.resumed_from >= resumed[-1], "a later start began earlier"
        resumed.append(attempt.resumed_from)
    attempt = Attempt(make_commands(folder))
    attempt.finish()
    return [*resumed[1:], attempt.resumed_from], killed
