"""The state of a round of training, as stored in a checkpoint.

R = runs, A = arms, M = A * R members, ordered by arm (winning first).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks.task import Metrics
from gen_tickets.training.schedule import Schedule
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree


class RoundState(NamedTuple):
    """State of a round; contains only arrays, so that Orbax can store it."""

    state: TrainState  #: [M, ...]
    masks: Masks  #: bool [M, ...]; the winning and random arms of a run share them
    rewind: dict[
        str, Tree
    ]  #: params and stats of the dense training at step k [R, ...]
    dense: Tree  #: trained dense weights [R, ...] for one-shot pruning, else {}
    totals: Metrics  #: sums of training metrics since the last evaluation [M]
    best_loss: Float[Array, " members"]  #: lowest held-out loss of this round
    best_step: Int[Array, " members"]  #: its step; -1 before the first evaluation
    #: whether a loss was not finite, in this round or an earlier one
    diverged: Bool[Array, " members"]
    floored: Int[Array, " runs"]  #: layers that only the floor of one weight kept


class Position(NamedTuple):
    """Progress of an experiment; stored as JSON with the arrays of a checkpoint."""

    round: int = 0
    step: int = 0
    seconds: float = 0.0  #: of training in this round so far
    finished: bool = False  #: rows, tickets and images of the round are on disk
    reader: Any = None  #: position in streamed images; None for resident ones
    run: int = 0  #: of a procedure whose runs are sequential

    def number(self, schedule: Schedule, num_rounds: int) -> int:
        """A checkpoint's number, which increases throughout the experiment."""
        rounds = self.run * (num_rounds + 1) + self.round
        return rounds * (schedule.num_steps + 2) + self.step + self.finished


def begin(
    state: TrainState,
    metric_names: tuple[str, ...],
    masks: Masks | None = None,
    ancestors_diverged: Bool[Array, " members"] | None = None,
    floored: Int[Array, " runs"] | None = None,
    rewind: Tree = None,
    dense: Tree = None,
) -> RoundState:
    """The state of a round at its first step, without measurements.

    Args:
      state: [M, ...].
      metric_names: of the task's training metrics.
      masks: None: all weights are kept.
      ancestors_diverged: whether a member diverged in an earlier round; None: none did.
      floored: layers at the floor, per run; None: none, for M runs.
      rewind, dense: as in `RoundState`.
    """
    num_members = state.step.shape[0]
    if masks is None:
        masks = masks_lib.dense(state.params)
    if ancestors_diverged is None:
        ancestors_diverged = jnp.zeros(num_members, bool)
    if floored is None:
        floored = jnp.zeros(num_members, jnp.int32)
    return RoundState(
        state=state,
        masks=masks,
        rewind={} if rewind is None else rewind,
        dense={} if dense is None else dense,
        totals={name: jnp.zeros(num_members) for name in metric_names},
        best_loss=jnp.full(num_members, jnp.inf),
        best_step=jnp.full(num_members, -1, jnp.int32),
        diverged=ancestors_diverged,
        floored=floored,
    )


def begin_dense(
    state: TrainState, metric_names: tuple[str, ...], keep_dense: bool
) -> RoundState:
    """Round 0 of R runs: keeps all weights; the rewind weights are those of step 0.

    Args:
      state: [R, ...].
      metric_names: of the task's training metrics.
      keep_dense: whether later rounds need the trained dense weights, as in one-shot
        pruning.
    """
    return begin(
        state,
        metric_names,
        rewind=copy({"params": state.params, "stats": state.stats}),
        dense=copy(state.params) if keep_dense else None,
    )


def shapes(
    member: TrainState,
    metric_names: tuple[str, ...],
    num_runs: int,
    num_members: int,
    keep_dense: bool,
) -> RoundState:
    """The shapes of the arrays of a round, for reading a checkpoint.

    Args:
      member: shapes of one member's training state.
      metric_names, keep_dense: as in `begin_dense`.
      num_runs, num_members: R and M.
    """

    def population(tree: Tree, size: int) -> Tree:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((size, *x.shape), x.dtype), tree
        )

    def begin_population(state: TrainState, kept: TrainState) -> RoundState:
        dense = begin_dense(kept, metric_names, keep_dense)
        return begin(
            state,
            metric_names,
            floored=dense.floored,
            rewind=dense.rewind,
            dense=dense.dense,
        )

    sizes = population(member, num_members), population(member, num_runs)
    return jax.eval_shape(begin_population, *sizes)


def note_evaluation(
    round_state: RoundState, heldout_loss: Float[Array, " members"]
) -> RoundState:
    """Updates early stopping and divergence after an evaluation; resets the totals.

    Args:
      round_state: at the evaluated step.
      heldout_loss: [M].
    """
    best_loss, best_step, diverged, totals = _note_evaluation(
        round_state.state.step,
        heldout_loss,
        round_state.best_loss,
        round_state.best_step,
        round_state.diverged,
        round_state.totals,
    )
    return round_state._replace(
        best_loss=best_loss, best_step=best_step, diverged=diverged, totals=totals
    )


# Without the weights and masks, of which each array would be compiled.
@jax.jit
def _note_evaluation(
    step: Int[Array, " members"],
    heldout_loss: Float[Array, " members"],
    best_loss: Float[Array, " members"],
    best_step: Int[Array, " members"],
    diverged: Bool[Array, " members"],
    totals: Metrics,
) -> tuple[Tree, ...]:
    """-> (best_loss, best_step, diverged, totals)."""
    better = heldout_loss < best_loss
    finite = jnp.isfinite(totals["loss"]) & jnp.isfinite(heldout_loss)
    return (
        jnp.where(better, heldout_loss, best_loss),
        jnp.where(better, step, best_step),
        diverged | ~finite,
        jax.tree.map(jnp.zeros_like, totals),
    )


@jax.jit
def copy(tree: Tree) -> Tree:
    """A copy with its own buffers, which stay valid if the original is donated."""
    return jax.tree.map(jnp.copy, tree)
