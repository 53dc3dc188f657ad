"""Transfer of tickets from another experiment into components of this one (Fig. 8).

The other workdir provides masks, rewind weights and statistics of the mapped
components. All other components are this experiment's dense network at its rewind step.
"""

from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training.population import Population
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree
from gen_tickets.workdir import paths, tickets


class Source(NamedTuple):
    """The source of transferred tickets."""

    workdir: str
    components: dict[str, str]  #: {component there: component here}


class Transplant(NamedTuple):
    """Mapped components of one round, by their names here; leaves [R, ...]."""

    masks: dict[str, Masks]
    params: dict[str, Tree]
    stats: dict[str, Tree]


def parse(config: ConfigDict) -> Source | None:
    """Reads `config.ticket`; None if no ticket is given.

    Raises:
      UserError: only one of path and map is given, or an entry is not "there:here".
    """
    path, entries = config.ticket.path, tuple(config.ticket.map)
    if not path and not entries:
        return None
    if not path or not entries:
        raise UserError(
            f"ticket.path={path!r}, ticket.map={entries!r}",
            "one of them is empty",
            "give both, as ticket.path=runs/vae ticket.map=decoder:generator",
        )
    for entry in entries:
        if entry.count(":") != 1 or not all(entry.split(":")):
            raise UserError(
                f"ticket.map={entry!r}",
                "an entry is component there:component here",
                "give one as decoder:generator",
            )
    return Source(path, dict(entry.split(":") for entry in entries))


def _fit(source: Source, ticket: tickets.Ticket, params: Tree, stats: Tree) -> None:
    """Raises UserError unless the ticket's components have this experiment's shapes."""
    for there, here in source.components.items():
        for name, known in ((there, ticket.params), (here, params)):
            if name not in known:
                raise UserError(
                    f"ticket.map={name!r}",
                    "there is no such component",
                    f"give one of {', '.join(sorted(known))}",
                )
        pairs = ((ticket.params, params), (ticket.stats, stats))
        for theirs, ours in pairs:
            a, b = trees.named_leaves(theirs[there]), trees.named_leaves(ours[here])
            for name in sorted(a.keys() | b.keys()):
                shapes = [tuple(x[name].shape) if name in x else None for x in (a, b)]
                if shapes[0] != shapes[1]:
                    raise UserError(
                        f"ticket.path={source.workdir}",
                        f"{there}/{name} is {shapes[0]}, {here}/{name} is {shapes[1]}",
                        "give both experiments the same model sizes",
                    )


def load_round(
    source: Source | None, round_number: int, population: Population, shapes: TrainState
) -> Transplant | None:
    """Loads the tickets of a round; run r here uses run r of the source.

    Args:
      source: from `parse`; None: there are none.
      round_number: round of both experiments.
      population: the runs here; the source has at least as many.
      shapes: of one member here.

    Raises:
      UserError: a ticket is missing or broken, or a shape differs (both are named).
    """
    if source is None:
        return None
    found = []
    for run in population.runs:
        path = paths.ticket_path(source.workdir, round_number, run)
        ticket = tickets.load(path)
        _fit(source, ticket, shapes.params, shapes.stats)
        found.append(ticket)

    def gather(trees_there: list[Tree]) -> dict[str, Tree]:
        return {
            here: jax.tree.map(lambda *x: np.stack(x), *[t[there] for t in trees_there])
            for there, here in source.components.items()
        }

    transplant = Transplant(
        gather([ticket.masks for ticket in found]),
        gather([ticket.params for ticket in found]),
        gather([ticket.stats for ticket in found]),
    )
    return population.layout.members(transplant)


def put_into(transplant: Transplant, kept: dict[str, Tree]) -> tuple[Masks, Tree, Tree]:
    """(masks, params, stats): the dense network of step k with the transplant.

    Args:
      transplant: [R, ...].
      kept: params and stats of step k, [R, ...].
    """
    return (
        {**masks_lib.dense(kept["params"]), **transplant.masks},
        {**kept["params"], **transplant.params},
        {**kept["stats"], **transplant.stats},
    )
