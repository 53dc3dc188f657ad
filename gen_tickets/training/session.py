"""What travels from round to round, and what a checkpoint therefore holds.

R = runs, M = members = arms x runs, arm after arm (winning first).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gen_tickets.training.state import TrainState


class Session(NamedTuple):
    """Arrays only, so that Orbax keeps it as it is."""

    state: TrainState  #: [M, ...]
    masks: Any  #: bool [M, ...]; winning and random of a run have the same
    rewind: dict[str, Any]  #: params and stats of the dense training at step k [R, ...]
    dense: Any  #: trained dense weights [R, ...] for one-shot pruning, else {}
    totals: dict[str, jax.Array]  #: sums of training metrics since an evaluation [M]
    best_loss: jax.Array  #: lowest held-out loss of this round [M]
    best_step: jax.Array  #: int32, the step of it; -1 before the first [M]
    diverged: jax.Array  #: bool, a loss was not finite, here or in an ancestor [M]
    floored: jax.Array  #: int32, layers that only the floor of one weight kept [R]


class Position(NamedTuple):
    """Where a session stands."""

    round: int
    step: int
    seconds: float  #: of training in this round so far
    finished: bool  #: rows, tickets and pictures of the round are on disk
    feed: Any = None  #: where a set that is streamed is read; None of a resident one
    run: int = 0  #: of a procedure whose runs follow one another


def begin(state, masks, rewind, dense, totals, ancestors, floored) -> Session:
    """A session at the first step of a round; nothing measured yet."""
    num_members = state.step.shape[0]
    return Session(
        state,
        masks,
        rewind,
        dense,
        totals,
        best_loss=jnp.full(num_members, jnp.inf),
        best_step=jnp.full(num_members, -1, jnp.int32),
        diverged=ancestors,
        floored=floored,
    )


def copy(tree):
    """A copy with buffers of its own: a donated state takes its buffers along."""
    return jax.tree.map(jnp.copy, tree)
