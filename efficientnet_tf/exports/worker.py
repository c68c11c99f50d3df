"""Work in a process of its own: runtimes of several makers in one process can end it.

Such a process also has one runtime's memory alone, so that its peak is that runtime's.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from efficientnet_tf.config import UserError

_PACKAGE = Path(__file__).parents[1]
_DONE, _RESULT = "efficientnet_tf done ", "efficientnet_tf result "  # how the lines begin


def run_apart(
    function: str, update: Callable[[int], None] | None = None, **arguments: Any
) -> dict[str, Any]:
    """Calls a function of this room in another process.

    Args:
      function: `module.name`. It takes `arguments` and `update`, and returns what JSON can hold.
      update: told how many pictures are done, as the function tells it.
      **arguments: what JSON can hold.

    Raises:
      UserError: the process failed, with the last line that it wrote.
    """
    paths = [str(_PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "CUDA_VISIBLE_DEVICES": "-1",  # the memory of a GPU is this process's already
    }
    command = [sys.executable, "-m", __name__, function, json.dumps(arguments)]
    result = None
    with tempfile.TemporaryFile("w+", errors="replace") as messages:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=messages, text=True
        ) as process:
            for line in process.stdout or ():
                if line.startswith(_DONE) and update:
                    update(int(line.removeprefix(_DONE)))
                elif line.startswith(_RESULT):
                    result = json.loads(line.removeprefix(_RESULT))
        if process.returncode == 0 and result is not None:
            return result
        messages.seek(0)
        lines = messages.read().strip().splitlines() or [""]
    raise UserError(f"ended with status {process.returncode}: {lines[-1][:300]}".rstrip(": "))


def _done(count: int) -> None:
    print(f"{_DONE}{count}", flush=True)


def main(function: str, arguments: str) -> None:
    """What the other process does."""
    module, name = function.split(".")
    call = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    result = call(update=_done, **json.loads(arguments))
    print(f"{_RESULT}{json.dumps(result)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
