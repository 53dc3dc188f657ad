"""python -m gen_tickets.report WORKDIR [WORKDIR ...] [--output=PAGE]
    [--config.eval.verdict=COLUMN]

Redraws the page of one workdir, or lays several over one another in comparison.html.
"""

import argparse
import sys
from typing import Sequence

from gen_tickets.errors import UserError
from gen_tickets.report import outcomes, render


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for a wrong argument."""
    parser = argparse.ArgumentParser(
        prog="python -m gen_tickets.report",
        description="Redraws the page of one workdir, or compares several.",
    )
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument(
        "--output",
        help="the page (default: WORKDIR/report.html; of several: comparison.html)",
    )
    parser.add_argument(
        "--config.eval.verdict",
        dest="metric",
        default="",
        metavar="COLUMN",
        help="column that the verdict compares (default: as the run was told)",
    )
    options = parser.parse_args(arguments)
    workdirs, metric = options.workdirs, options.metric
    try:
        if len(workdirs) == 1:
            path = render.draw(workdirs[0], options.output, metric)
        else:
            output = options.output or "comparison.html"
            path = render.compare(workdirs, output, metric)
        for workdir in workdirs:
            run = outcomes.load(workdir, metric)
            judged = run.judge()
            print(" ".join((f"{workdir}:", judged.sentence, *judged.notes)))
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
