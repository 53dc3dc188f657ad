"""Writes the results of a run: tables, tickets, image grids and events.

A recorder takes arrays and rows, independent of models; only process 0 writes.
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from gen_tickets.config import defaults
from gen_tickets.console import display
from gen_tickets.console.rounds import RoundTable
from gen_tickets.distributed import processes
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import kept
from gen_tickets.training.driver import Evaluation, Training
from gen_tickets.training.round_state import Position
from gen_tickets.workdir import curves, events
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import parameters, paths, tables, tickets

_GRID_COLUMNS = 8
_WORTH_A_PAGE = 60.0  # seconds; the page is drawn after longer rounds


def check_tables(workdir: str | pathlib.Path) -> None:
    """Raises UserError if a table to which rounds add rows is damaged."""
    for path in (paths.results_path(workdir), paths.layers_path(workdir)):
        if path.exists():
            tables.read_rows(path)
    if paths.curves_path(workdir).exists():
        curves.read(paths.curves_path(workdir))


@dataclasses.dataclass(frozen=True)
class Recorder:
    """Writer of the results of an experiment; see `paths` for the files."""

    workdir: str | pathlib.Path
    config: ConfigDict
    provenance: dict[str, Any]  #: versions, hardware and data, for the tickets
    events: events.EventWriter | events.CluWriter
    curves: curves.CurveWriter

    def parameters(self, params: Any, prunable: Collection[str]) -> None:
        """Writes parameters.txt with every weight array; logs print the components.

        Args:
          params: weights of one run, or their shapes.
          prunable: names of the prunable ones.
        """
        if processes.is_first():
            table = parameters.write(self.workdir, params, prunable)
            if not display.shows_bars():  # in a log; a terminal shows only the sums
                display.say(table)
            whole = paths.parameters_path(self.workdir).read_text()
            self.events.text("", "parameters", f"```\n{whole}```")

    def evaluation(
        self,
        training: Training,
        position: Position,
        evaluation: Evaluation,
        measured: Mapping[str, Sequence[float]],
    ) -> None:
        """Writes learning curves: rows of curves.csv and TensorBoard events.

        Args:
          training, position, evaluation: the step and the task's metrics.
          measured: {column of eval.metrics: its values [M]}, if measured.
        """
        self.curves.write(
            training.tag,
            position.round,
            evaluation.step,
            training.population.arms,
            training.population.runs,
            evaluation.num_steps,
            evaluation.totals,
            evaluation.heldout,
            measured,
        )

    def rows(self, tag: str, round_number: int, rows: list[dict[str, Any]]) -> None:
        """Replaces the rows of these runs and this round in results.csv; prints them.

        Also writes their means to TensorBoard; tag: of the training.
        """
        _update_table(paths.results_path(self.workdir), round_number, rows)
        if not processes.is_first():
            return
        tables.write_columns(self.workdir)
        options = defaults.changed(self.config)
        events.write_results(self.events, tag, round_number, rows, options)
        self.show_rounds()

    def show_rounds(self) -> None:
        """Prints the rounds of results.csv that have not been printed."""
        path = paths.results_path(self.workdir)
        if processes.is_first() and path.exists():
            self._table.show(tables.read_rows(path))

    @functools.cached_property
    def _table(self) -> RoundTable:
        config = self.config
        if config.prune.schedule == "early_bird":
            return RoundTable(config.eval.verdict, ["early_bird"])
        if config.procedure == "dynamic":
            return RoundTable(config.eval.verdict, config.dynamic.methods)
        transferred = ["transferred"] if config.ticket.path else []
        return RoundTable(config.eval.verdict, [*config.arms, *transferred])

    def layers(self, round_number: int, rows: list[dict[str, Any]]) -> None:
        """Replaces the rows of these runs and this round in layers.csv."""
        _update_table(paths.layers_path(self.workdir), round_number, rows)

    def stability(self, rows: list[dict[str, Any]]) -> None:
        """Writes stability.csv: metrics on the lines between copies."""
        if processes.is_first():
            tables.write_rows(paths.stability_path(self.workdir), rows)

    def ticket(
        self,
        ticket: tickets.Ticket,
        round_number: int,
        run: int,
        step: int,
        sparsity: float | None = None,
        arm: str = "",
    ) -> None:
        """Saves the ticket of a run, or a trained member in the form of a ticket.

        Args:
          ticket: without provenance.
          round_number, run: round and run of the ticket.
          step: of its weights.
          sparsity: of the full networks; None: that of its masks.
          arm: of a trained member; "": the ticket of a round.
        """
        if not processes.is_first():
            return
        if sparsity is None:
            sparsity = masks_lib.sparsity(ticket.masks)
        path = paths.ticket_path(self.workdir, round_number, run)
        about: dict[str, Any] = {"run": run, "round": round_number}
        about |= {"sparsity": sparsity, "step": step}
        if arm:
            path = paths.trained_path(self.workdir, round_number, arm, run)
            about = {"arm": arm, **about}
        about = {"config": defaults.flatten(self.config), **about, **self.provenance}
        tickets.save(path, ticket._replace(provenance=about))

    def remove_superseded(self, round_number: int) -> None:
        """Removes trained networks that `keep.rounds` drops after this round.

        Considers only those that `keep.rounds` kept after the previous round, so a
        restart with another `keep.rounds` removes nothing older.
        """
        policy = self.config.keep.rounds
        if not processes.is_first() or policy == "all" or round_number == 0:
            return
        rows = tables.read_rows(paths.results_path(self.workdir))
        before, now = (
            kept.rounds(rows, self.config.eval.verdict, policy, last)
            for last in (round_number - 1, round_number)
        )
        for number in before - now:
            folder = paths.trained_dir(self.workdir, number)
            for path in folder.glob("*_run_*.npz"):
                path.unlink()
            with contextlib.suppress(OSError):  # missing, or not empty
                folder.rmdir()

    def originals(self, images: Any) -> None:
        """Writes the image grid of the held-out images to reconstruct."""
        if processes.is_first():
            _write_grid(paths.originals_path(self.workdir), images)

    def images(
        self, tag: str, round_number: int, arm: str, kind: str, images: Any
    ) -> None:
        """Writes a grid of uint8 [N, H, W, C].

        Args:
          tag: of the training.
          round_number, arm: round and arm of the images.
          kind: "samples" or "reconstructions".
          images: on any device.
        """
        path = paths.sample_path(self.workdir, round_number, arm, kind)
        grid = _write_grid(path, images)
        self.events.image(events.over_rounds(arm, tag), round_number, kind, grid)

    def page(self, seconds: float) -> None:
        """Draws the report of all rounds so far, if the last one took long enough."""
        if seconds > _WORTH_A_PAGE and processes.is_first():
            # Imported late: plotting libraries take two seconds to import.
            from gen_tickets.report import render

            render.draw(self.workdir)


def _write_grid(path: pathlib.Path, images: Any) -> np.ndarray:
    """Writes uint8 [N, H, W, C] as one image [H', W', C] and returns it."""
    grid = images_lib.image_grid(np.asarray(images), _GRID_COLUMNS)
    images_lib.write_image(path, grid)
    return grid


def _update_table(
    path: pathlib.Path, round_number: int, rows: list[dict[str, Any]]
) -> None:
    if not processes.is_first():
        return
    old = tables.read_rows(path) if path.exists() else []
    runs = {row["run"] for row in rows}
    others = [x for x in old if x["round"] == round_number and x["run"] not in runs]
    tables.write_rows(path, tables.replace_round(old, round_number, others + rows))
