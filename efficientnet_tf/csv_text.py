"""Tables as the text of a CSV file."""

import csv
import dataclasses
import io
import typing
from collections.abc import Iterable, Sequence

Record = typing.TypeVar("Record")


def csv_text(rows: Iterable[Iterable]) -> str:
    """Lines of values separated by commas, the same on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def records_text(records: Sequence[typing.Any]) -> str:
    """A line for each of several objects of one dataclass, under the names of its fields.

    None is an empty value; there is at least one object.
    """
    names = [field.name for field in dataclasses.fields(records[0])]
    return csv_text([names, *([getattr(record, name) for name in names] for record in records)])


def read_records(text: str, kind: type[Record]) -> list[Record]:
    """The inverse of `records_text`, for fields that are str, int or float, or None besides.

    Raises:
      ValueError: not such a table.
    """
    hints = typing.get_type_hints(kind)
    records = []
    for row in csv.DictReader(io.StringIO(text)):
        if set(row) != set(hints) or None in row.values():
            raise ValueError(f"a line is not of {', '.join(hints)}")
        records.append(kind(**{name: _value(row[name], hint) for name, hint in hints.items()}))
    return records


def _value(text: str, hint: typing.Any) -> object:
    options = typing.get_args(hint) or (hint,)
    if text == "" and type(None) in options:
        return None
    return options[0](text)
