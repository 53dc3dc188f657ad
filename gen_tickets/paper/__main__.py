"""python -m gen_tickets.paper FIGURE --scale=laptop|gpu|full|smoke [--plan]

Runs the experiments behind a figure or table of the paper, or goes on with them, and
draws it beside the paper's numbers. FIGURE is fig1 to fig8, table1, table2, `all`, or
`results`: all pages from what has been run so far. An experiment that several figures
need is run once.
"""

import argparse
import pathlib
import sys
from typing import Sequence

import jax

from gen_tickets.cli import command_line
from gen_tickets.config import defaults
from gen_tickets.distributed import processes
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.paper import page
from gen_tickets.paper.experiment import FINISHED, SCALES
from gen_tickets.paper.figures import FIGURES, Figure
from gen_tickets.paper.results import Results, judged

_ALL, _RESULTS = "all", "results"


def _parse(words):
    scales = "; ".join(f"{name}: {words}" for name, words in SCALES.items())
    parser = command_line.Parser(
        prog="python -m gen_tickets.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("figure", metavar="FIGURE")
    add("--scale", required=True, help=scales)
    add("--plan", action="store_true", help="list the experiments, and end")
    add("--workdir", default="runs/paper", help="folder of all results")
    add("--data-dir", default="", help="folder of prepared TFDS sets")
    add("--download", action="store_true", help="fetch missing sets and weights")
    options = parser.parse_args(words)
    known = (*FIGURES, _ALL, _RESULTS)
    if options.figure not in known:
        raise UserError(options.figure, "is no figure", f"give {', '.join(known)}")
    if options.scale not in SCALES:
        scales = ", ".join(SCALES)
        raise UserError(f"--scale={options.scale}", "is no scale", f"give {scales}")
    return options


def _how_to_run(options) -> tuple:
    """What the flags say of every experiment, and what changes no result."""
    found = []
    if options.data_dir:
        found.append(("data.dir", options.data_dir))
    if options.download:
        found += [("data.download", True), ("eval.download_weights", True)]
    return tuple(found)


def plan(figures: Sequence[Figure], results: Results) -> None:
    """Prints the experiments, how far each is, and what this scale leaves out."""
    for one in results.experiments(figures):
        print(f"{one.name}: {one.state()}; {one.description()}")
    for figure in figures:
        if missing := page.left_out(figure, results):
            print(f"{figure.name}, not at this scale: {', '.join(missing)}")


def run(figures: Sequence[Figure], results: Results) -> None:
    """Runs what is not finished, or goes on with it.

    Raises:
      UserError: before any training, where one of the experiments would be refused.
      Interrupted: a signal asked to stop; all is saved.
    """
    chosen = results.experiments(figures)
    for one in chosen:
        one.check()
    processes.start(defaults.get_config().parallel)
    left = [one for one in chosen if one.state() != FINISHED]
    print(f"{len(chosen) - len(left)} of {len(chosen)} experiments are finished")
    for i, one in enumerate(left, start=1):
        print(f"{i} of {len(left)}: {one.name}, in {one.folder}", flush=True)
        one.run()
        jax.clear_caches()  # compiled programs of networks that are done with


def draw(figures: Sequence[Figure], results: Results) -> None:
    """Draws the pages and claims.csv, and prints what became of every claim."""
    if not processes.is_first():
        return
    # Of all figures, whichever were asked for: one table of what was tried.
    lines = [line for figure in FIGURES.values() for line in judged(figure, results)]
    for figure in figures:
        print(f"{figure.name}: {page.draw(figure, results)}")
        for line in lines:
            if line["figure"] == figure.name:
                print(f"  {line['outcome']}: {line['claim']} {line['found']}")
    path = pathlib.Path(results.root) / "claims.csv"
    page.write_table(path, lines)
    print(f"claims: {path}")


def main(words) -> None:
    """Plans, or runs and draws.

    Raises:
      UserError: a mistake in the words, or an experiment that would be refused.
      Interrupted: a signal asked to stop; all is saved.
    """
    options = _parse(words)
    everything = options.figure in (_ALL, _RESULTS)
    figures = list(FIGURES.values()) if everything else [FIGURES[options.figure]]
    command_line.use_compilation_cache()
    root = pathlib.Path(options.workdir) / options.scale
    results = Results(options.scale, root, _how_to_run(options))
    if options.plan:
        plan(figures, results)
        return
    if options.figure != _RESULTS:
        run(figures, results)
    draw(figures, results)


def run_command(words) -> int:
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
    sys.exit(run_command(sys.argv[1:]))
