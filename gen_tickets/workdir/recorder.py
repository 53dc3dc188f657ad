"""What a finished round leaves behind: rows, tickets, pictures.

Every process takes part in bringing members together; the first one writes.
"""

import functools

import numpy as np

from gen_tickets.config import defaults
from gen_tickets.distributed import processes
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training.session import Position, Session
from gen_tickets.workdir import curves
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import paths, tables, tickets


def _metrics(lottery, session: Session, position: Position) -> dict[str, np.ndarray]:
    """Every metric of every member, {name: [M]}."""
    keys = lottery.evaluation_keys(position.round)
    evaluate = lottery.loop(len(keys)).evaluate
    sets = {"train": lottery.probe, "heldout": lottery.held_out}
    return {
        f"{prefix}_{name}": values
        for prefix, batches in sets.items()
        for name, values in processes.to_host(
            evaluate(session.state, *batches, keys)
        ).items()
    }


def _evaluations(lottery, session: Session, round_number: int, diverged) -> list[dict]:
    """Columns of eval.metrics for every member; none where no metrics are due."""
    evaluator, rounds = lottery.evaluator, lottery.config.prune.rounds
    if evaluator is None or not evaluator.is_due(round_number, rounds):
        return [{} for _ in diverged]
    found = []
    for member, is_diverged in enumerate(diverged):
        if is_diverged:
            columns = evaluator.undefined()
        else:
            state = lottery.layout.member(session.state, member)
            columns = processes.is_first() and evaluator.measure(
                functools.partial(lottery.sample, state),
                lottery.reconstruct and functools.partial(lottery.reconstruct, state),
            )
        found.append({**(columns or {}), "evaluation": evaluator.short_hash})
    return found


def _rows(lottery, session: Session, position: Position) -> list[dict]:
    metrics = _metrics(lottery, session, position)
    finite = np.isfinite(metrics["train_loss"]) & np.isfinite(metrics["heldout_loss"])
    diverged, floored, best_step = processes.to_host(
        (session.diverged, session.floored, session.best_step)
    )
    diverged = diverged | ~finite
    evaluations = _evaluations(lottery, session, position.round, diverged)
    rows = []
    for i, arm in enumerate(lottery.arms(position.round)):
        for j, run in enumerate(lottery.run_numbers):
            member = i * lottery.config.runs + j
            masks = lottery.weight_masks(session, member)
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
                "floored_layers": int(floored[j]),
            }
            for component, share in masks_lib.component_sparsity(masks).items():
                row[f"sparsity_{component}"] = share
            row |= lottery.columns(position, masks)
            row["early_stop_step"] = int(best_step[member])
            row |= {name: float(values[member]) for name, values in metrics.items()}
            row |= evaluations[member]
            rows.append(row)
    return rows


def _layer_rows(lottery, session: Session, position: Position) -> list[dict]:
    return [
        {
            "round": position.round,
            "run": run,
            "layer": layer,
            "total": total,
            "kept": kept,
        }
        for i, run in enumerate(lottery.run_numbers)
        for layer, (total, kept) in masks_lib.layer_counts(
            lottery.weight_masks(session, i)
        ).items()
    ]


def check_tables(workdir) -> None:
    """Raises UserError where a table of a workdir is damaged: rounds add to it."""
    for path in (paths.results_path(workdir), paths.layers_path(workdir)):
        if path.exists():
            tables.read_rows(path)
    if paths.curves_path(workdir).exists():
        curves.read(paths.curves_path(workdir))


def _update_table(path, round_number: int, rows: list[dict]) -> None:
    if not processes.is_first():
        return
    old = tables.read_rows(path) if path.exists() else []
    runs = {row["run"] for row in rows}
    others = [x for x in old if x["round"] == round_number and x["run"] not in runs]
    tables.write_rows(path, tables.replace_round(old, round_number, others + rows))


def _save_tickets(lottery, session, position, workdir, origin) -> None:
    config = defaults.flatten(lottery.config)
    # The run's own tickets; transferred ones are kept where they come from.
    own = lottery.first(session.masks, lottery.config.runs)
    weights = lottery.rewind(own, session.rewind["params"])
    whole = (own, weights, session.rewind["stats"])
    for run in range(lottery.config.runs):
        masks, params, stats = lottery.layout.member(whole, run)
        provenance = {
            "config": config,
            "run": run,
            "round": position.round,
            "sparsity": masks_lib.sparsity(masks),
            "step": config["rewind.step"],
            **origin,
        }
        ticket = tickets.Ticket(masks, params, stats, provenance)
        if processes.is_first():
            tickets.save(paths.ticket_path(workdir, position.round, run), ticket)


def _save_pictures(lottery, session, position, workdir) -> None:
    """Run 0 of every arm, from the same images and latents at every round."""
    task, columns = lottery.task, 8
    if lottery.run_numbers[0] != 0:
        return
    if processes.is_first() and not paths.originals_path(workdir).exists():
        grid = images_lib.image_grid(np.asarray(lottery.shown), columns)
        images_lib.write_image(paths.originals_path(workdir), grid)
    for i, arm in enumerate(lottery.arms(position.round)):
        state = lottery.layout.member(session.state, i * lottery.config.runs)
        if not processes.is_first():
            continue
        pictures = {"samples": task.sample(state, lottery.latents())}
        if task.reconstruct is not None:
            pictures["reconstructions"] = task.reconstruct(state, lottery.shown)
        for kind, images in pictures.items():
            path = paths.sample_path(workdir, position.round, arm, kind)
            grid = images_lib.image_grid(np.asarray(images), columns)
            images_lib.write_image(path, grid)


def record_round(
    lottery, session: Session, position: Position, workdir, origin
) -> None:
    """Writes all that is kept of a round; doing it twice gives the same files.

    Args:
      lottery: the experiment.
      session, position: at the last step of the round.
      workdir: folder of the experiment.
      origin: versions, hardware and data, for the tickets' provenance.
    """
    _save_tickets(lottery, session, position, workdir, origin)
    record_training(lottery, session, position, workdir)


def record_training(lottery, session: Session, position: Position, workdir) -> None:
    """The part of `record_round` that is of the training: pictures and rows."""
    number = position.round
    _save_pictures(lottery, session, position, workdir)
    layers = _layer_rows(lottery, session, position)
    _update_table(paths.layers_path(workdir), number, layers)
    rows = _rows(lottery, session, position)
    _update_table(paths.results_path(workdir), number, rows)
    if processes.is_first():
        tables.write_columns(workdir)
