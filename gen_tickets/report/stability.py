"""Figure and sentence of an instability analysis, from stability.csv alone."""

import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from gen_tickets.evaluation import instability
from gen_tickets.evaluation.instability import Instability
from gen_tickets.workdir import columns, paths, tables


def draw(workdir: str | pathlib.Path, config: ConfigDict) -> str:
    """Writes figures/stability.png; returns a table and what it comes to, as text.

    Args:
      workdir: of a finished analysis.
      config: its options.

    Raises:
      UserError: stability.csv is missing or damaged.
    """
    rows = tables.read_rows(paths.stability_path(workdir))
    name = column(config, rows)
    found = instability.by_step(rows, name)
    path = paths.figures_dir(workdir) / "stability.png"
    paths.write_atomically(path, _figure(found, name, config.stability.margin))
    stable = instability.first_stable_step(found, config.stability.margin)
    return "\n".join([*_lines(found, name), _sentence(stable, config, path)])


def column(config: ConfigDict, rows: Sequence[Mapping[str, Any]]) -> str:
    """What is judged on the lines: `eval.verdict`, or else the held-out loss."""
    name = config.eval.verdict
    is_distance = name in rows[0] and columns.find(name).better == "lower"
    return str(name) if is_distance else "heldout_loss"


def _lines(found: Sequence[Instability], name: str) -> list[str]:
    """One line a step."""
    title = columns.find(name).title
    lines = [f"  step k  instability of {title}, % of its ends' mean"]
    for one in found:
        mean, std = 100 * one.mean, 100 * one.std
        lines.append(f"{one.step:8}  {mean:.2f} ± {std:.2f}  (ends {one.ends:.4g})")
    return lines


def _sentence(stable: int | None, config: ConfigDict, path: pathlib.Path) -> str:
    margin = f"{config.stability.margin:.3g}"
    if stable is None:
        return f"Not stable (margin {margin}) at any step analysed. Figure: {path}"
    return (
        f"Stable (margin {margin}) from step {stable} on: "
        f"rewind there, --config.rewind.step={stable}. Figure: {path}"
    )


def _figure(found: Sequence[Instability], name: str, margin: float) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    steps = [one.step for one in found]
    means = [100 * one.mean for one in found]
    deviations = [100 * one.std for one in found]
    axes.errorbar(steps, means, deviations, marker="o", capsize=3)
    axes.axhline(100 * margin, color="grey", linestyle="--", label="margin")
    first = min(filter(None, steps), default=1)
    axes.set_xscale("symlog", linthresh=first)
    axes.set_xlim(-first / 3, 1.5 * max(steps[-1], first))
    axes.set_xticks(steps, map(str, steps))
    if all(math.isfinite(x) for x in means):
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, 2 * max(*means, 100 * margin))
    axes.set_xlabel("step k from which the copies train apart")
    axes.set_ylabel(f"instability, % of {columns.find(name).title}")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    return content.getvalue()
