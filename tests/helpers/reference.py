"""Where the reference cases lie: small ones beside the tests, or a directory of the user's."""

import json
import os
from pathlib import Path


def reference_dir() -> Path:
    """The directory of cases, `$EFFICIENTNET_REFERENCE_DIR` or the one shipped with the tests."""
    shipped = Path(__file__).parents[1] / "data" / "reference"
    return Path(os.environ.get("EFFICIENTNET_REFERENCE_DIR") or shipped)


def reference_cases(kind: str) -> list[Path]:
    """The directories of all cases of one kind (`forward`, `trajectory`) that has a case.json."""
    return sorted(path.parent for path in reference_dir().glob(f"{kind}/*/case.json"))


def read_case(directory: Path) -> dict:
    """The constants and tolerances of a case."""
    return json.loads((directory / "case.json").read_text())
