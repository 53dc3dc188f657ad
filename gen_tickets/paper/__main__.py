"""gen_tickets paper FIGURE --scale=smoke|laptop|gpu|full [--plan] [--download]

Runs or resumes the experiments of a figure or table of the paper, and draws it next to
the paper's numbers. FIGURE is fig1 to fig8, table1, table2, `beyond` (diffusion models
and sparse training, next to later papers), `all`, or `results`, which draws what has
been run so far. An experiment that several figures need is run once.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import jax

from gen_tickets import procedures
from gen_tickets.cli import command_line
from gen_tickets.config import defaults
from gen_tickets.data import dataset
from gen_tickets.distributed import processes
from gen_tickets.evaluation import metrics
from gen_tickets.paper import page
from gen_tickets.paper.figures import FIGURES
from gen_tickets.paper.results import FINISHED, SCALES, Results, judge_all
from gen_tickets.workdir import lock, paths

_DOWNLOAD = "download missing TFDS sets and, for fid, Inception's weights"


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = command_line.Parser("gen_tickets paper", __doc__, allow_abbrev=False)
    scales = "; ".join(f"{name}: {text}" for name, text in SCALES.items())
    add = parser.add_argument
    add("figure", metavar="FIGURE", choices=[*FIGURES, "all", "results"])
    add("--scale", required=True, choices=list(SCALES), help=scales)
    add("--plan", action="store_true", help="only list the experiments")
    add(
        "--workdir",
        default="runs/paper",
        help="folder of all results; default: %(default)s",
    )
    add("--data-dir", default="", metavar="DIR", help=command_line.PREPARED_SETS)
    add("--download", action="store_true", help=_DOWNLOAD)
    return parser.parse_args(words)


def plan(names: Sequence[str], results: Results) -> None:
    """Prints the experiments, the progress of each, and what this scale omits."""
    for one in results.experiments(names):
        print(f"{one.folder.name}: {one.state()}; {one.description()}")
    for name in names:
        if missing := page.left_out(name, results):
            print(f"{name}: {missing}")


def run(names: Sequence[str], results: Results) -> None:
    """Runs or resumes all unfinished experiments.

    Raises:
      UserError: an experiment is invalid; raised before any training.
      Interrupted: a signal arrived; everything is saved.
    """
    chosen = results.experiments(names)
    for one in chosen:
        lock.check(one.folder, one.config)
    left = [one for one in chosen if one.state() != FINISHED]
    for one in left:
        dataset.check(one.config)
        metrics.check(one.config)
    processes.start(defaults.get_config().parallel)
    print(f"{len(chosen) - len(left)} of {len(chosen)} experiments are finished")
    for i, one in enumerate(left, start=1):
        print(f"{i} of {len(left)}: {one.folder}", flush=True)
        procedures.run(one.config, one.folder)
        jax.clear_caches()  # compiled programs of finished networks


def draw(names: Sequence[str], results: Results) -> None:
    """Draws the pages and claims.csv, and prints the outcome of every claim."""
    judged = judge_all(results)
    for name in names:
        print(f"{name}: {page.draw(name, results, judged)}")
        for line in judged:
            if line["figure"] == name:
                told = (line["claim"], line["gates"], line["found"])
                print(f"  {line['outcome']}:", *filter(None, told))
    path = pathlib.Path(results.root) / "claims.csv"
    page.write_table(path, judged)
    print(f"claims: {path}")


def main(words: Sequence[str]) -> None:
    """Plans, or runs and draws.

    Raises:
      UserError: an invalid command line, or an invalid experiment.
      Interrupted: a signal arrived; everything is saved.
    """
    options = _parse(words)
    names = [options.figure] if options.figure in FIGURES else list(FIGURES)
    command_line.use_compilation_cache()
    how_to_run = {"data.dir": options.data_dir, "data.download": options.download}
    how_to_run["eval.download_weights"] = options.download
    root = paths.expanded(options.workdir) / options.scale
    results = Results(options.scale, root, tuple(how_to_run.items()))
    if options.plan:
        plan(names, results)
        return
    if options.figure != "results":
        if options.scale == "smoke":
            command_line.compile_quickly()
        run(names, results)
    if processes.is_first():
        draw(names, results)


if __name__ == "__main__":
    sys.exit(command_line.exit_status(lambda: main(sys.argv[1:])))
