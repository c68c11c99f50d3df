"""The folder of a study: tables as CSV files and charts as PNG files."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.csv_text import read_records, records_text
from efficientnet_tf.run.folder import RunFolder


class StudyFolder(RunFolder):
    """A folder whose tables a study that was stopped goes on from."""

    def table(self, name: str, kind: type) -> list:
        """The lines of `<name>.csv` as objects of a dataclass, none where there is no such file.

        Raises:
          UserError: it holds something else.
        """
        try:
            return read_records(self.read_text(f"{name}.csv") or "", kind)
        except ValueError:
            raise UserError(f"{self.file(name)}.csv is damaged; remove it, or use another "
                            "--model_dir") from None  # fmt: skip

    def write_table(self, name: str, rows: Sequence[Any]) -> None:
        """Writes `<name>.csv`, whole or not at all."""
        self.write_text(f"{name}.csv", records_text(rows))

    def write_chart(self, name: str, picture: bytes) -> None:
        """Writes `<name>.png`."""
        with self.writing(f"{name}.png"):
            tf.io.write_file(self.file(f"{name}.png"), picture)
