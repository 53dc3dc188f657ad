"""python -m gen_tickets.report WORKDIR [WORKDIR ...] [--output=PAGE]
    [--config.eval.verdict=COLUMN]

Redraws the report of one workdir, or compares several in comparison.html.
"""

import sys
from collections.abc import Sequence

from gen_tickets.cli import command_line
from gen_tickets.console import verdict
from gen_tickets.report import outcomes, render, rewinds, stability
from gen_tickets.workdir import paths


def _run(arguments: Sequence[str] | None, name: str) -> None:
    parser = command_line.Parser(
        name, "Redraws the page of one workdir, or compares several on one page."
    )
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument(
        "--output",
        help="the page, or its folder; the figures are written next to it, and nothing "
        "elsewhere (default: WORKDIR/report.html; for several: comparison.html)",
    )
    parser.add_argument(
        "--config.eval.verdict",
        dest="metric",
        default="",
        metavar="COLUMN",
        help="column that the verdict compares (default: the run's eval.verdict)",
    )
    options = parser.parse_args(arguments)
    workdirs, metric = options.workdirs, options.metric
    if len(workdirs) == 1:
        path = render.draw(workdirs[0], options.output, metric)
    else:
        output = options.output or "comparison.html"
        path = render.compare(workdirs, output, metric)
    for workdir in workdirs:
        _show(workdir, metric, with_gates=len(workdirs) == 1)
    print(path)


def main(
    arguments: Sequence[str] | None = None, name: str = "gen_tickets report"
) -> int:
    """The command line; returns the exit status, 2 for a wrong argument.

    Args:
      arguments: None: those of this process.
      name: of the command, for its help and errors.
    """
    return command_line.exit_status(lambda: _run(arguments, name))


def _show(workdir: str, metric: str, with_gates: bool) -> None:
    """Prints the result of a workdir; for several, gates are only on the page."""
    if paths.stability_path(workdir).exists():
        print(f"{workdir}: {stability.load(workdir, metric).sentence}")
        return
    if rewinds.is_sweep(workdir):
        print(rewinds.told(rewinds.load(workdir, metric)))
        return
    judged = outcomes.load(workdir, metric).judge()
    verdict.show(judged, str(workdir), with_gates)


if __name__ == "__main__":
    sys.exit(main())
