"""python -m gen_tickets.report WORKDIR [WORKDIR ...] [--output=PAGE]

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
    options = parser.parse_args(arguments)
    try:
        if len(options.workdirs) == 1:
            path = render.draw(options.workdirs[0], options.output)
        else:
            path = render.compare(options.workdirs, options.output or "comparison.html")
        for workdir in options.workdirs:
            run = outcomes.load(workdir)
            judged = run.judge()
            print(" ".join((f"{workdir}:", judged.sentence, *judged.notes)))
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
