"""The results of an experiment, finished or not, and how several experiments differ."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from gen_tickets.config import defaults
from gen_tickets.config.registry import nearest
from gen_tickets.errors import UserError
from gen_tickets.paper import published
from gen_tickets.report import statistics, verdict
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import baselines, columns, curves, paths, reading, tables
from gen_tickets.workdir.baselines import Baselines


class Outcome(NamedTuple):
    """The contents of a workdir: its flat config and its tables."""

    workdir: pathlib.Path
    config: dict[str, Any]  #: {"data.name": "digits", ...}
    rows: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    baselines: Baselines

    def judge(self) -> Verdict:
        """The verdict by the metric of its config, with its gates."""
        return verdict.verdict(self.rows, self.metric, self.curves, self.baselines)

    @property
    def metric(self) -> str:
        return str(self.config["eval.verdict"])

    @property
    def paper_sparsity(self) -> float:
        return published.winning_sparsity(self.config)

    def cost(self) -> tuple[float, float]:
        """(FLOPs, seconds) of all trainings whose rows have FLOPs."""
        early_bird = self.config["prune.schedule"] == "early_bird"
        column = "flops_compact" if early_bird else "flops_dense"
        rows = [row for row in self.rows if column in row]
        # The seconds of a round are those of all members, repeated in every row;
        # early-bird runs train one at a time.
        seconds = {
            (r["round"], r["run"] if early_bird else 0): r["seconds"] for r in rows
        }
        return sum(row[column] for row in rows), sum(seconds.values())


def load(workdir: str | pathlib.Path, metric: str = "") -> Outcome:
    """Reads a workdir.

    Columns unknown to this process are taken from columns.json.

    Args:
      workdir: of a run that has finished at least one round.
      metric: column that the verdict compares; "" = the run's eval.verdict.

    Raises:
      UserError: it is not a workdir, one of its files is damaged or cannot be read, or
        the metric was not measured.
    """
    workdir = pathlib.Path(workdir)
    if not workdir.is_dir():
        raise UserError(workdir, "is not a folder", "give a workdir of gen_tickets")
    columns.remember(*tables.read_columns(workdir))
    rows = tables.read_rows(paths.results_path(workdir))
    if not all({"arm", "sparsity", "remaining", "diverged"} <= set(r) for r in rows):
        raise UserError(paths.results_path(workdir), "is not a table of results")
    layers, learning = paths.layers_path(workdir), paths.curves_path(workdir)
    config = config_of(workdir)
    if metric:
        measured = statistics.of_role(rows, "metric")
        if metric not in measured:
            raise UserError(
                f"eval.verdict={metric!r}",
                f"measured in {workdir} are {', '.join(measured)}",
                nearest(metric, measured),
            )
        config["eval.verdict"] = metric
    return Outcome(
        workdir=workdir,
        config=config,
        rows=rows,
        layers=tables.read_rows(layers) if layers.exists() else [],
        curves=curves.read(learning) if learning.exists() else [],
        baselines=baselines.read(workdir),
    )


def config_of(workdir: str | pathlib.Path) -> dict[str, Any]:
    """The flat options of a workdir; raises UserError if there are none."""
    path = paths.config_path(workdir)
    with reading.explained(path, "configuration", "restore it"):
        config = json.loads(path.read_bytes())
    flat = defaults.flatten_nested(config) if isinstance(config, dict) else {}
    if "eval.verdict" not in flat:
        raise UserError(path, "has no eval.verdict", "give a workdir of gen_tickets")
    # Tuples, as options are written on the command line.
    return {k: tuple(v) if isinstance(v, list) else v for k, v in flat.items()}


def differences(configs: list[dict[str, Any]]) -> dict[str, list]:
    """Returns {option: its value in each config} for all options that differ."""
    names = dict.fromkeys(name for config in configs for name in config)
    values = {name: [c.get(name, "–") for c in configs] for name in names}
    return {name: of for name, of in values.items() if any(v != of[0] for v in of)}


def labels(workdirs: Sequence[pathlib.Path], different: dict[str, list]) -> list[str]:
    """Returns a label for each run: its differing options if short, else its folder."""
    said = [
        ", ".join(f"{name}={values[i]!r}" for name, values in different.items())
        for i in range(len(workdirs))
    ]
    names = [workdir.resolve().name for workdir in workdirs]
    if len(set(said)) == len(said) and max(map(len, said)) <= 48:
        return said
    return names if len(set(names)) == len(names) else list(map(str, workdirs))
