"""rewind.step="auto": rewinds to the first stable step of an instability analysis."""

import pathlib
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from gen_tickets.distributed import processes
from gen_tickets.evaluation import instability
from gen_tickets.report import stability as stability_report
from gen_tickets.workdir import paths, tables

_RUNS = 2  # analysed runs; more refine the standard deviation, not the step


def analysis(config: ConfigDict) -> ConfigDict:
    """The options of the analysis that chooses the rewind step of an experiment."""
    config = config.copy_and_resolve_references()
    config.procedure, config.rewind.step = "stability", "0"
    config.runs = min(config.runs, _RUNS)
    config.prune.rounds = 1  # nothing is pruned
    return config


def choose(
    config: ConfigDict,
    workdir: str | pathlib.Path,
    run: Callable[[ConfigDict, pathlib.Path], None],
) -> tuple[ConfigDict, dict[str, Any]]:
    """Runs or resumes the analysis, in a folder next to the workdir of the experiment.

    Args:
      config: of the experiment, with rewind.step="auto".
      workdir: of the experiment; the analysis appends "-stability" to its name, and
        other experiments can reuse it.
      run: runs an experiment, given (options, workdir).

    Returns:
      (config, reason): the options with the step instead of "auto"; the choice and
      its reason as JSON-serializable values, for the provenance.
    """
    folder = paths.beside(workdir, "-stability")
    options = analysis(config)
    run(options, folder)
    rows = tables.read_rows(paths.stability_path(folder))
    column = stability_report.column(config.eval.verdict, rows)
    found = instability.by_step(rows, column)
    margin = config.stability.margin
    stable = instability.first_stable_step(found, margin)
    # If no step is stable, takes the latest one analysed.
    step = found[-1].step if stable is None else stable
    reason = {
        "step": step,
        "stable": stable is not None,
        "margin": margin,
        "instability": {str(one.step): one.mean for one in found},
        "analysis": str(folder),
    }
    if processes.is_first():
        why = "the first stable step" if stable is not None else "no step is stable"
        print(f"rewind.step=auto: step {step}, {why} (margin {margin:.3g})")
    config = config.copy_and_resolve_references()
    config.rewind.step = str(step)
    return config, reason
