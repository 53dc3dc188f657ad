"""The experiments of some figures, one after the other, and then their pages."""

import pathlib
from typing import Sequence

import jax

from gen_tickets.config import defaults
from gen_tickets.distributed import processes
from gen_tickets.paper import draw as drawing
from gen_tickets.paper import experiment as experiments
from gen_tickets.paper.declared import FIGURES, Figure
from gen_tickets.paper.experiment import Experiment
from gen_tickets.paper.results import Results, judged, needed
from gen_tickets.paper.scales import Scale


def needed_by(figures: Sequence[Figure], scale: Scale) -> list[Experiment]:
    """The experiments of several figures, each once, in an order that can be run."""
    found = [one for figure in figures for one in needed(figure, scale)]
    return list({one.name: one for one in found}.values())


def introduction(figures: Sequence[Figure], scale: Scale) -> list[str]:
    """What is to be drawn, and what is other than in the paper, in lines of text."""
    text = []
    for figure in figures:
        text.append(f"{figure.name} at the {scale.name} scale: {figure.title}")
        text += [f"  {line}" for line in drawing.standing_in(figure, scale)]
    return [*text, ""]


def run(chosen: Sequence[Experiment], results: Results) -> None:
    """Runs what is not finished, or goes on with it.

    Raises:
      UserError: before any training, where one of the experiments would be refused.
      Interrupted: a signal asked to stop; all is saved.
    """
    root, how_to_run = results.root, results.how_to_run
    for one in chosen:
        experiments.check(one, root, how_to_run)
    processes.start(defaults.get_config().parallel)
    left = [one for one in chosen if not one.is_finished(root, how_to_run)]
    print(f"{len(chosen) - len(left)} of {len(chosen)} experiments are finished")
    for i, one in enumerate(left, start=1):
        print(f"{i} of {len(left)}: {one.name}, in {one.folder(root)}", flush=True)
        experiments.run(one, root, how_to_run)
        jax.clear_caches()  # compiled programs of networks that are done with


def draw(figures: Sequence[Figure], results: Results) -> None:
    """Draws the pages and claims.csv, and prints what became of every claim."""
    if not processes.is_first():
        return
    for figure in figures:
        path = drawing.draw(figure, results)
        print(f"{figure.name}: {path}")
        for line in judged(figure, results):
            stand_in = f" (here: {line['instead']})" if line["instead"] else ""
            print(f"  {line['outcome']}{stand_in}: {line['claim']} {line['found']}")
    # Of all figures, whichever were asked for: one table of what was tried.
    every = [line for figure in FIGURES.values() for line in judged(figure, results)]
    path = pathlib.Path(results.root) / "claims.csv"
    drawing.write_table(path, every)
    print(f"claims: {path}")
