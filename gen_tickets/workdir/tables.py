"""The tables of a workdir, as CSV files, and the description of their columns.

A table is a list of dicts, one per line of the file: `results.csv` has one row per
round, run and arm, `layers.csv` one per round, run and layer. `columns` defines the
columns. A missing value is an empty cell; a non-finite number is `nan`. Files are
replaced atomically, so a killed run leaves the table of its last finished round.
"""

import csv
import io
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gen_tickets.config.column import Column
from gen_tickets.errors import UserError
from gen_tickets.workdir import columns as columns_lib
from gen_tickets.workdir import paths, reading

#: All arms, in the order of the rows of a round.
ARMS = (
    "dense",
    "winning",
    "random",
    "rewound_random",
    "transferred",
    "early_bird",
    "rigl",
    "magran",
    "set",
    "static",
)

_RESTORE = "restore the file or start anew"


def write_rows(path: str | pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replaces the table at `path` with one or more `rows`.

    Columns are the union of the rows' keys in first-seen order. Floats have enough
    digits to restore the same float64.
    """
    if not rows:
        raise ValueError(f"{path}: a table needs at least one row")
    names = list(dict.fromkeys(name for row in rows for name in row))
    paths.write_atomically(path, (header(names) + to_csv(names, rows)).encode())


def header(names: Sequence[str]) -> str:
    """Returns the first line of a table with the columns `names`."""
    return _lines([names])


def to_csv(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a line for each row, with the columns `names`."""
    columns = [columns_lib.find(name) for name in names]
    return _lines(
        [_format(x, row[x.name]) if x.name in row else "" for x in columns]
        for row in rows
    )


def _lines(lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def read_rows(path: str | pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of the table at `path`, each value with the type of its column.

    An unknown integer is the float nan. Rows have no keys for empty cells.

    Raises:
      UserError: the file is missing, empty, truncated or not such a table.
    """
    text = read_text(path)
    if not text.endswith("\n"):
        raise UserError(path, "is empty or cut short", _RESTORE)
    return parse(path, text)


def read_text(path: str | pathlib.Path) -> str:
    """Returns the text of a table.

    Raises:
      UserError: the file is missing or not text.
    """
    path = pathlib.Path(path)
    with reading.explained(path, "table", _RESTORE):
        if not reading.is_there(path):
            raise UserError(
                path, "is missing", "a workdir has it after its first round"
            )
        return path.read_bytes().decode()


def parse(path: str | pathlib.Path, text: str) -> list[dict[str, Any]]:
    """Returns the rows in the text of a table, like `read_rows`.

    Args:
      path: of the file, for messages.
      text: complete lines.

    Raises:
      UserError: it is not such a table.
    """
    try:
        names, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise UserError(path, "is not a table of gen_tickets", _RESTORE) from error
    if not {"round", "run"} <= set(names) or len(set(names)) < len(names):
        raise UserError(path, f"is not a table of gen_tickets: columns {names}")
    if not lines:
        raise UserError(path, "holds no rows", _RESTORE)
    columns = [columns_lib.find(name) for name in names]
    return [_row(path, i, columns, line) for i, line in enumerate(lines, start=2)]


def _format(column: Column, value: Any) -> str:
    if column.dtype == "str":
        return str(value)
    value = np.asarray(value).item()
    if isinstance(value, str):
        raise ValueError(f"column {column.name!r}: {value!r} is not a number")
    if isinstance(value, (bool, int)):
        return str(value)
    return repr(float(value)) if math.isfinite(value) else "nan"


def _row(
    path: str | pathlib.Path, line_number: int, columns: list[Column], cells: list[str]
) -> dict[str, Any]:
    place = f"{path}, line {line_number}"
    if len(cells) != len(columns):
        raise UserError(place, f"has {len(cells)} of {len(columns)} cells", _RESTORE)
    row: dict[str, Any] = {}
    for column, cell in zip(columns, cells):
        if cell == "":
            continue
        try:
            row[column.name] = _value(column, cell)
        except (ValueError, KeyError) as error:
            problem = f"{cell!r} is no {column.dtype}"
            raise UserError(
                f"{place}, column {column.name}", problem, _RESTORE
            ) from error
    return row


def _value(column: Column, cell: str) -> str | bool | int | float:
    if column.dtype == "str":
        return cell
    if column.dtype == "bool":
        return {"True": True, "False": False}[cell]
    if column.dtype == "int" and cell != "nan":
        return int(cell)
    return float(cell)


def replace_round(
    rows: Iterable[dict[str, Any]],
    round_number: int,
    new_rows: Iterable[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Returns `rows` with those of one round replaced by `new_rows`, in table order.

    Order: round, arm (in the order of ARMS), run. Rows that are equal in these, such as
    the layers of one run, keep their order.
    """
    if any(row["round"] != round_number for row in new_rows):
        raise ValueError(f"rows of another round among those of round {round_number}")
    kept = [row for row in rows if row["round"] != round_number]
    return sorted(kept + list(new_rows), key=_place)


def _place(row: Mapping[str, Any]) -> tuple:
    arm = row["arm"] if "arm" in row else ""
    rank = ARMS.index(arm) if arm in ARMS else len(ARMS)
    return row["round"], rank, arm, row["run"]


def write_columns(workdir: str | pathlib.Path) -> None:
    """Writes columns.json, the description of the columns of the workdir's tables.

    It describes the columns of user-defined metrics for programs that do not load the
    file in which they are declared, such as `python -m gen_tickets.report`.
    """
    names: list[str] = []
    for find_path in (paths.results_path, paths.layers_path, paths.curves_path):
        if find_path(workdir).exists():
            names += next(csv.reader(io.StringIO(read_text(find_path(workdir)))))
    names += [columns_lib.metric_of(name) for name in names]
    described = {name: columns_lib.find(name)._asdict() for name in names}
    text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    paths.write_atomically(paths.columns_path(workdir), text.encode())


def read_columns(workdir: str | pathlib.Path) -> list[Column]:
    """Returns the columns described by columns.json; none if there is no such file.

    Raises:
      UserError: the file is damaged.
    """
    path = paths.columns_path(workdir)
    with reading.explained(
        path, "description of columns", "restore the file, or remove it"
    ):
        if not reading.is_there(path):
            return []
        described = json.loads(path.read_text(encoding="utf-8"))
        found = [Column(**fields) for fields in described.values()]
        if not all(map(columns_lib.is_valid, found)):
            raise ValueError("a field has a value that it may not have")
        return found
