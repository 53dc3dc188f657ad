"""Learning curves: curves.csv and TensorBoard events, written at every evaluation.

The table has a row per round, run, arm and evaluation: `interval_X` is the mean of the
training metric X over the steps since the last evaluation (or since the round began),
`heldout_X` is X on the held-out images at this step. Columns of `eval.metrics` have a
value at the last evaluation before the last tenth of the training of the networks whose
gates are judged: the dense ones, or compact ones of early-bird tickets.

Rows are appended in the order of measurement, and are on disk when the call returns. A
process that resumes from a checkpoint repeats the measurements after it: its first new
rows replace all rows that a killed process wrote beyond that point, so the file is
identical to that of an uninterrupted run.
"""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, reading, tables

_TAIL_BYTES = 8192  # read from the end of a file, enough for its last row

Rows = list[dict[str, Any]]


class CurveWriter:
    """Writes the learning curves of one workdir."""

    def __init__(
        self,
        workdir: str | pathlib.Path | None,
        events: events_lib.EventWriter | events_lib.CluWriter,
    ):
        """Writes nothing until the first evaluation.

        Args:
          workdir: None in processes that do not write.
          events: writer of TensorBoard events, see `workdir.events`.
        """
        self._path = None if workdir is None else paths.curves_path(workdir)
        self._events = events

    def write(
        self,
        tag: str,
        round_number: int,
        step: int,
        arms: Sequence[str],
        runs: Sequence[int],
        num_steps: int,
        totals: Mapping[str, np.ndarray],
        heldout: Mapping[str, np.ndarray],
        measured: Mapping[str, Sequence[float]] = {},
    ) -> None:
        """Writes one evaluation of a population of M = arms x runs members.

        Args:
          tag: of the events, such as "round_03"; each arm is a TensorBoard run.
          round_number, step: of the evaluation.
          arms, runs: names of the arms and numbers of the runs; members are ordered
            by arm.
          num_steps: training steps since the last evaluation, at least 1.
          totals: {metric: sum over these steps [M]}.
          heldout: {metric: mean over the held-out images [M]}.
          measured: {column of `eval.metrics`: its values [M]}.

        Raises:
          UserError: curves.csv cannot be read or written.
        """
        if self._path is None:
            return
        keys = [
            {"round": round_number, "run": run, "arm": arm, "step": step}
            for arm in arms
            for run in runs
        ]
        metrics = {f"interval_{x}": _floats(s, num_steps) for x, s in totals.items()}
        metrics |= {f"heldout_{x}": _floats(values) for x, values in heldout.items()}
        scalars = _scalars(arms, metrics)
        metrics |= {name: list(values) for name, values in measured.items()}
        append(
            self._path,
            [
                {**key, **{name: values[i] for name, values in metrics.items()}}
                for i, key in enumerate(keys)
            ],
        )
        for arm, of_arm in scalars.items():
            self._events.write(f"{arm}/{tag}", step, of_arm)


def _floats(values: np.ndarray, divisor: int = 1) -> list[float]:
    """values / divisor in float32, each as its shortest decimal."""
    quotients = np.asarray(values, np.float32) / np.float32(divisor)
    return [float(str(x)) for x in quotients]


def _scalars(
    arms: Sequence[str], metrics: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, float]]:
    """{"winning": {"train/loss": mean over runs, "heldout/loss": ...}, ...}."""
    scalars: dict[str, dict[str, float]] = {arm: {} for arm in arms}
    for name, values in metrics.items():
        source, _, metric = name.partition("_")
        group = {"interval": "train", "heldout": "heldout"}[source]
        means = np.reshape(values, (len(arms), -1)).mean(1)
        for arm, mean in zip(arms, means, strict=True):
            scalars[arm][f"{group}/{metric}"] = float(mean)
    return scalars


def append(path: pathlib.Path, rows: Rows) -> None:
    """Appends the rows of one evaluation to the table at `path`, created if missing.

    Args:
      rows: of one round and step, with the columns round, run, arm, step first.

    Raises:
      UserError: the file is damaged, or cannot be written.
    """
    names = _columns_if_continued(path, rows)
    if names:
        paths.append(path, tables.to_csv(names, rows).encode())
        return
    runs = {row["run"] for row in rows}
    place = (rows[0]["round"], rows[0]["step"])

    def is_earlier(row: Mapping[str, Any]) -> bool:
        return row["run"] not in runs or (row["round"], row["step"]) < place

    # Rows are in the order of measurement, so all rows after a repeated one will be
    # repeated too.
    earlier = itertools.takewhile(is_earlier, read(path) if path.exists() else [])
    tables.write_rows(path, [*earlier, *rows])


def _columns_if_continued(path: pathlib.Path, rows: Rows) -> list[str]:
    """The columns of the file, if these rows can be appended to it; else [].

    They can if the file has all their columns, and its last row is complete, earlier
    and of the same runs.
    """
    if not path.exists():
        return []
    with reading.explained(path, "table"), open(path, "rb") as file:
        names = file.readline().decode(errors="replace").rstrip("\n").split(",")
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read().decode(errors="replace")
    if not set(rows[0]) <= set(names) or not tail.endswith("\n"):
        return []
    last = dict(zip(names, tail.splitlines()[-1].split(",")))
    numbers = [last["round"], last["run"], last["step"]]
    if not all(number.isdecimal() for number in numbers):
        return []
    round_number, run, step = map(int, numbers)
    is_earlier = (round_number, step) < (rows[0]["round"], rows[0]["step"])
    return names if is_earlier and run in {row["run"] for row in rows} else []


def read(path: str | pathlib.Path) -> Rows:
    """Returns the rows of curves.csv, without an incomplete last line.

    Raises:
      UserError: the file is missing or damaged.
    """
    text = tables.read_text(path)
    return tables.parse(path, text[: text.rfind("\n") + 1])
