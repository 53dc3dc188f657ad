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
from gen_tickets.paper import page
from gen_tickets.paper.figures import FIGURES
from gen_tickets.paper.results import FINISHED, SCALES, Results, judge_all

_ALL, _RESULTS = "all", "results"


def _parse(words):
    parser = command_line.Parser(
        prog="python -m gen_tickets.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    names, scales = [*FIGURES, _ALL, _RESULTS], list(SCALES)
    told = "; ".join(f"{name}: {text}" for name, text in SCALES.items())
    parser.add_argument("figure", metavar="FIGURE", choices=names)
    parser.add_argument("--scale", required=True, choices=scales, help=told)
    for name, text in (
        ("--plan", "list the experiments, and end"),
        ("--download", "fetch missing sets and weights"),
    ):
        parser.add_argument(name, action="store_true", help=text)
    parser.add_argument("--workdir", default="runs/paper", help="folder of all results")
    parser.add_argument("--data-dir", default="", help="folder of prepared TFDS sets")
    return parser.parse_args(words)


def _how_to_run(options) -> tuple:
    """What the flags say of every experiment, and what changes no result."""
    found = []
    if options.data_dir:
        found.append(("data.dir", options.data_dir))
    if options.download:
        found += [("data.download", True), ("eval.download_weights", True)]
    return tuple(found)


def plan(names: Sequence[str], results: Results) -> None:
    """Prints the experiments, how far each is, and what this scale leaves out."""
    for one in results.experiments(names):
        print(f"{one.folder.name}: {one.state()}; {one.description()}")
    for name in names:
        if missing := page.left_out(name, results):
            print(f"{name}: {missing}")


def run(names: Sequence[str], results: Results) -> None:
    """Runs what is not finished, or goes on with it.

    Raises:
      UserError: before any training, where one of the experiments would be refused.
      Interrupted: a signal asked to stop; all is saved.
    """
    chosen = results.experiments(names)
    for one in chosen:
        one.check()
    processes.start(defaults.get_config().parallel)
    left = [one for one in chosen if one.state() != FINISHED]
    print(f"{len(chosen) - len(left)} of {len(chosen)} experiments are finished")
    for i, one in enumerate(left, start=1):
        print(f"{i} of {len(left)}: {one.folder}", flush=True)
        one.run()
        jax.clear_caches()  # compiled programs of networks that are done with


def draw(names: Sequence[str], results: Results) -> None:
    """Draws the pages and claims.csv, and prints what became of every claim."""
    judged = judge_all(results)
    for name in names:
        print(f"{name}: {page.draw(name, results, judged)}")
        for line in judged:
            if line["figure"] == name:
                print(f"  {line['outcome']}: {line['claim']} {line['found']}")
    path = pathlib.Path(results.root) / "claims.csv"
    page.write_table(path, judged)
    print(f"claims: {path}")


def main(words) -> None:
    """Plans, or runs and draws.

    Raises:
      UserError: a mistake in the words, or an experiment that would be refused.
      Interrupted: a signal asked to stop; all is saved.
    """
    options = _parse(words)
    names = [options.figure]
    if options.figure in (_ALL, _RESULTS):
        names = list(FIGURES)
    command_line.use_compilation_cache()
    root = pathlib.Path(options.workdir) / options.scale
    results = Results(options.scale, root, _how_to_run(options))
    if options.plan:
        plan(names, results)
        return
    if options.figure != _RESULTS:
        run(names, results)
    if processes.is_first():
        draw(names, results)


if __name__ == "__main__":
    sys.exit(command_line.exit_status(lambda: main(sys.argv[1:])))
