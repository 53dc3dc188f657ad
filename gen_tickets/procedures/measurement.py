"""Measures a trained population and passes the results to the recorder.

Every process takes part in gathering members; only the first one writes.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gen_tickets.config import registries
from gen_tickets.console import display
from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import processes
from gen_tickets.evaluation import scores
from gen_tickets.evaluation.metrics import Evaluator
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import population as population_lib
from gen_tickets.training.driver import Evaluation, Training
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks
from gen_tickets.workdir import tickets
from gen_tickets.workdir.recorder import Recorder

MasksOf = Callable[[int], Masks]  # member -> masks, in the shapes of the dense networks
# (arm, masks) -> further columns
ColumnsOf = Callable[[str, Masks], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A training at its last step, and how to measure it."""

    prepared: Prepared
    training: Training
    round_state: RoundState
    position: Position
    data: Data
    recorder: Recorder
    masks_of: MasksOf  #: in the shapes of the dense networks
    columns_of: ColumnsOf

    def record(self) -> None:
        """Writes image grids, layers, rows and trained networks; idempotent."""
        prepared, training, position = self.prepared, self.training, self.position
        with display.bar(f"{training.title}: measuring"):
            self._record_images()
            self.recorder.layers(position.round, self._layer_rows())
            metrics = _metrics(training, self.round_state, self.data)
            diverged = _diverged(self.round_state, metrics)
            evaluations: list[dict[str, Any]] = [{} for _ in diverged]
            evaluator, num_rounds = prepared.evaluator, prepared.config.prune.rounds
            if evaluator is not None and evaluator.is_due(position.round, num_rounds):
                evaluations = _evaluations(
                    prepared, evaluator, training, self.round_state.state, diverged
                )
            rows = self._rows(diverged)
        for member, row in enumerate(rows):
            row |= {name: float(values[member]) for name, values in metrics.items()}
            row |= evaluations[member]
        self.recorder.rows(training.tag, position.round, rows)
        self._record_trained()

    def _record_trained(self) -> None:
        """Keeps the trained networks, and removes those `keep.rounds` drops."""
        population, position = self.training.population, self.position
        averaged, channels = self.prepared.task.averaged, dict(self.prepared.channels)
        averaged = averaged and jax.jit(averaged)
        members = processes.to_host((self.round_state.state, self.round_state.masks))
        for arm in population.arms:
            for run in population.runs:
                member = population.index(arm, run)
                state, masks = population.layout.member(members, member)
                params = state.params if averaged is None else averaged(state)
                self.recorder.ticket(
                    tickets.Ticket(masks, params, state.stats, channels=channels),
                    position.round,
                    run,
                    position.step,
                    masks_lib.sparsity(self.masks_of(member)),
                    arm,
                )
        self.recorder.remove_superseded(position.round)

    def _rows(self, diverged: np.ndarray) -> list[dict[str, Any]]:
        """One row per member, without metrics."""
        population, position = self.training.population, self.position
        task = registries.task.get(self.prepared.config.task.name)
        floored, best_step = processes.to_host(
            (self.round_state.floored, self.round_state.best_step)
        )
        rows = []
        for arm in population.arms:
            for place, run in enumerate(population.runs):
                member = population.index(arm, run)
                masks = self.masks_of(member)
                sparsity = masks_lib.sparsity(masks)
                row = {
                    "round": position.round,
                    "run": run,
                    "arm": arm,
                    "sparsity": sparsity,
                    "remaining": 1.0 - sparsity,
                    "steps": position.step,
                    "seconds": round(position.seconds, 2),
                    "diverged": bool(diverged[member]),
                    "floored_layers": int(floored[place]),
                }
                for component, share in masks_lib.component_sparsity(masks).items():
                    row[f"sparsity_{component}"] = share
                row |= self.columns_of(arm, masks)
                if task.loss_is_quality:
                    row["early_stop_step"] = int(best_step[member])
                rows.append(row)
        return rows

    def _layer_rows(self) -> list[dict[str, Any]]:
        """One row per run and layer, of the round's first arm.

        Its random control has the same masks, another dynamic method as many weights in
        every layer; transferred tickets may have others.
        """
        number = self.position.round
        return [
            {"round": number, "run": run, "layer": layer, "total": total, "kept": kept}
            for member, run in enumerate(self.training.population.runs)
            for layer, (total, kept) in masks_lib.layer_counts(
                self.masks_of(member)
            ).items()
        ]

    def _record_images(self) -> None:
        """Image grids of run 0 of every arm, from the same images and latents."""
        prepared, population = self.prepared, self.training.population
        if population.runs[0] != 0:
            return
        shown, config = self.data.shown, prepared.config
        self.recorder.originals(shown)
        latents = population_lib.latents(
            config.seed, config.eval.num_shown, prepared.task.latent_size
        )
        for arm in population.arms:
            member = population.index(arm, 0)
            state = population.layout.member(self.round_state.state, member)
            if not processes.is_first():
                continue
            assert prepared.sample is not None  # every task of an experiment has it
            drawn = {"samples": prepared.sample(state, latents)}
            if prepared.reconstruct is not None:
                drawn["reconstructions"] = prepared.reconstruct(state, shown)
            for kind, images in drawn.items():
                tag, number = self.training.tag, self.position.round
                self.recorder.images(tag, number, arm, kind, images)


def _metrics(
    training: Training, round_state: RoundState, data: Data
) -> dict[str, np.ndarray]:
    """Task metrics of every member on training and held-out images, {name: [M]}."""
    keys = training.population.evaluation_keys()
    found = {}
    for prefix, (images, weights) in (("train", data.probe), ("heldout", data.heldout)):
        values = training.loop.evaluate(round_state.state, images, weights, keys)
        for name, of_members in processes.to_host(values).items():
            found[f"{prefix}_{name}"] = of_members
    return found


def _diverged(round_state: RoundState, metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Whether a loss of a member was ever not finite, bool [M]."""
    finite = np.isfinite(metrics["train_loss"]) & np.isfinite(metrics["heldout_loss"])
    return np.asarray(processes.to_host(round_state.diverged) | ~finite)


def before_the_end(
    prepared: Prepared, training: Training, evaluation: Evaluation
) -> dict[str, list[float]]:
    """Columns of eval.metrics [M] at a judged training's convergence step; else {}.

    The "converged" gate of `report.gates` compares them with those of the last step.
    """
    evaluator, step = prepared.evaluator, training.schedule.convergence_step
    is_due = training.is_judged and evaluation.step == step
    if evaluator is None or not is_due:
        return {}
    diverged = ~np.isfinite(evaluation.heldout["loss"])
    found = _evaluations(prepared, evaluator, training, evaluation.state, diverged)
    names = scores.columns(prepared.config.eval.metrics)
    return {name: [columns.get(name, math.nan) for columns in found] for name in names}


def _evaluations(
    prepared: Prepared,
    evaluator: Evaluator,
    training: Training,
    state: TrainState,
    diverged: np.ndarray,
) -> list[dict[str, Any]]:
    """Columns of eval.metrics for every member."""
    layout, state = training.population.layout, processes.to_host(state)
    found = []
    for member, is_diverged in enumerate(diverged):
        if is_diverged:
            columns = evaluator.undefined()
        else:
            of_member = layout.member(state, member)
            columns = prepared.measure(of_member) if processes.is_first() else {}
        found.append({**columns, "evaluation": evaluator.short_hash})
    return found
