"""python -m gen_tickets.paper FIGURE --scale=laptop|gpu|full|smoke [--plan]

Runs the experiments behind a figure or table of the paper, or goes on with them, and
draws it beside the paper's numbers. FIGURE is fig1 to fig8, table1, table2, `all`, or
`results`: all pages from what has been run so far. An experiment that several figures
need is run once.
"""

import argparse
import pathlib
import sys

from gen_tickets.cli import command_line
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.paper import plan, work
from gen_tickets.paper.declared import FIGURES
from gen_tickets.paper.results import Results
from gen_tickets.paper.scales import SCALES

_ALL, _RESULTS = "all", "results"


def _parse(words):
    scales = "; ".join(f"{scale.name}: {scale.words}" for scale in SCALES.values())
    parser = command_line.Parser(
        prog="python -m gen_tickets.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("figure", metavar="FIGURE")
    parser.add_argument("--scale", required=True, help=scales)
    parser.add_argument(
        "--plan",
        action="store_true",
        help="print experiments, FLOPs and hours, and end",
    )
    parser.add_argument("--workdir", default="runs/paper", help="folder of all results")
    parser.add_argument("--data-dir", default="", help="folder of prepared TFDS sets")
    parser.add_argument(
        "--download", action="store_true", help="fetch missing sets and weights"
    )
    options = parser.parse_args(words)
    if options.figure not in (*FIGURES, _ALL, _RESULTS):
        known = ", ".join((*FIGURES, _ALL, _RESULTS))
        raise UserError(f"{options.figure}: is no figure; there are {known}")
    if options.scale not in SCALES:
        raise UserError(f"--scale={options.scale}: give one of {', '.join(SCALES)}")
    everything = options.figure in (_ALL, _RESULTS)
    figures = list(FIGURES.values()) if everything else [FIGURES[options.figure]]
    return options, figures, SCALES[options.scale]


def _how_to_run(options) -> tuple:
    """What the flags say of every experiment, and what changes no result."""
    found = []
    if options.data_dir:
        found.append(("data.dir", options.data_dir))
    if options.download:
        found += [("data.download", True), ("eval.download_weights", True)]
    return tuple(found)


def main(words) -> None:
    """Plans, or runs and draws.

    Raises:
      UserError: a mistake in the words, or an experiment that would be refused.
      Interrupted: a signal asked to stop; all is saved.
    """
    options, figures, scale = _parse(words)
    command_line.use_compilation_cache()
    root = pathlib.Path(options.workdir) / scale.name
    results = Results(scale, root, _how_to_run(options))
    chosen = work.needed_by(figures, scale)
    if options.plan:
        planned = plan.lines(chosen, root, results.how_to_run)
        print("\n".join(work.introduction(figures, scale)))
        print("\n".join(plan.told(planned, root)))
        return
    if options.figure != _RESULTS:
        work.run(chosen, results)
    work.draw(figures, results)


def run(words) -> int:
    """The exit status: 0 well, 2 wrong input, 130 Ctrl-C."""
    try:
        main(words)
    except UserError as error:
        print(f"gen_tickets: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"gen_tickets: {stop}", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:  # between two experiments, or a second one
        print("gen_tickets: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
