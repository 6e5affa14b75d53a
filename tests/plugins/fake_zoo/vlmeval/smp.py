"""What the child uses of it: a pickle or a table by its suffix, and where a result file goes."""

import csv
import os
import pickle
from pathlib import Path


def dump(value, file):
    if str(file).endswith(".pkl"):
        Path(file).write_bytes(pickle.dumps(value))
    else:
        assert os.environ["PRED_FORMAT"] == "tsv", "a spreadsheet would change the answers"
        value.to_csv(file, sep="\t", index=False)


def load(file):
    if str(file).endswith(".pkl"):
        return pickle.loads(Path(file).read_bytes())
    return Table.read(file)


class Table:
    """As much of a DataFrame as is used: rows are dicts."""

    def __init__(self, rows):
        self.rows = rows

    @classmethod
    def read(cls, file):
        csv.field_size_limit(1 << 30)
        with Path(file).open(newline="", encoding="utf-8") as lines:
            return cls(
                [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(lines, delimiter="\t")]
            )

    @property
    def columns(self):
        return list(self.rows[0]) if self.rows else []

    @property
    def iloc(self):
        return self.rows

    def __contains__(self, name):
        return name in self.columns

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        if isinstance(key, str):
            return [row[key] for row in self.rows]
        return Table([row for row, kept in zip(self.rows, key, strict=True) if kept])

    def __setitem__(self, name, values):
        for row, value in zip(self.rows, values, strict=True):
            row[name] = value

    def copy(self):
        return Table([dict(row) for row in self.rows])

    def drop(self, columns):
        return Table([{name: value for name, value in row.items() if name not in columns} for row in self.rows])

    def to_dict(self, how):
        return list(self.rows) if how == "records" else {name: self[name] for name in self.columns}

    def to_csv(self, file, sep, index):
        with Path(file).open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, self.columns, delimiter=sep)
            writer.writeheader()
            writer.writerows(self.rows)
