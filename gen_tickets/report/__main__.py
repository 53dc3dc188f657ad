"""python -m gen_tickets.report WORKDIR [WORKDIR ...] [--output=PAGE]

Redraws the page of one workdir, or lays several over one another in comparison.html.
"""

import sys
from typing import Sequence

from gen_tickets.cli import command_line
from gen_tickets.console import verdict
from gen_tickets.report import outcomes, render


def _run(arguments: Sequence[str] | None) -> None:
    parser = command_line.Parser(
        prog="python -m gen_tickets.report",
        description="Redraws the page of one workdir, or compares several.",
    )
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument(
        "--output",
        help="the page (default: WORKDIR/report.html; of several: comparison.html)",
    )
    options = parser.parse_args(arguments)
    if len(options.workdirs) == 1:
        path = render.draw(options.workdirs[0], options.output)
    else:
        path = render.compare(options.workdirs, options.output or "comparison.html")
    for workdir in options.workdirs:
        judged = outcomes.load(workdir).judge()
        if len(options.workdirs) > 1:
            judged = judged._replace(gates=())  # they stand on the page
        verdict.show(judged, str(workdir))
    print(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for a wrong argument."""
    return command_line.exit_status(lambda: _run(arguments))


if __name__ == "__main__":
    sys.exit(main())
