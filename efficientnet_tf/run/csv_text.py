"""Tables as the text of a CSV file."""

import csv
import io
from collections.abc import Iterable


def csv_text(rows: Iterable[Iterable]) -> str:
    """Lines of values separated by commas, the same on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
