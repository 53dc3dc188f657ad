"""Early-bird detection: channel masks at the end of epochs, until they stop changing.

Paper, Section 3.4: a channel mask is computed at the end of every epoch; the ticket is
found when its distances (`channels.distances`) to the masks of the previous five epochs
are all below delta, so at the sixth epoch at the earliest. All of this happens inside
the compiled training; the masks are part of `opt_state`, like moments.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, Key

from gen_tickets.pruning import channels
from gen_tickets.tasks.task import Task
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

NUM_COMPARED = 5
_HISTORY = "channel_masks"  # in opt_state


class History(NamedTuple):
    """Masks computed so far, for a fixed maximum number of epochs."""

    drawn: Bool[Array, "epochs channels"]  #: False beyond `num_epochs`
    num_epochs: Int[Array, ""]  #: epochs seen
    found: Int[Array, ""]  #: epoch at which the ticket was found, from 1; 0: none


def begin(num_epochs: int, num_channels: int) -> History:
    """The empty history before the first epoch; num_epochs > NUM_COMPARED."""
    return History(
        drawn=jnp.zeros((num_epochs, num_channels), bool),
        num_epochs=jnp.zeros((), jnp.int32),
        found=jnp.zeros((), jnp.int32),
    )


def note(history: History, mask: Bool[Array, " channels"], delta: float) -> History:
    """Records the mask of an epoch, bool [C]; the first ticket found is kept."""
    drawn, count, found = history
    first = jnp.maximum(count - NUM_COMPARED, 0)
    before = lax.dynamic_slice_in_dim(drawn, first, NUM_COMPARED)
    is_still = jnp.all(channels.distances(mask, before) < delta)
    is_found = (found == 0) & (count >= NUM_COMPARED) & is_still
    return History(
        drawn=lax.dynamic_update_slice_in_dim(drawn, mask[None], count, 0),
        num_epochs=count + 1,
        found=jnp.where(is_found, count + 1, found),
    )


def watch(
    task: Task,
    draw: Callable[[Tree], Array],
    steps_per_epoch: int,
    num_epochs: int,
    delta: float,
) -> Task:
    """Wraps a task so that it also computes a channel mask at the end of every epoch.

    Args:
      task: see `tasks.task`; the training of its weights is not affected.
      draw: params -> bool [C].
      steps_per_epoch: training steps per epoch.
      num_epochs: maximum number of epochs whose masks are stored.
      delta: distance below which masks count as equal.

    Returns:
      The task; `history` and `without_history` take its state.
    """

    def init(key: Key[Array, ""]) -> TrainState:
        state = task.init(key)
        shape = jax.eval_shape(draw, state.params).shape
        history = begin(num_epochs, *shape)
        return state._replace(opt_state={**state.opt_state, _HISTORY: history})

    def step(
        state: TrainState, masks: Masks, images: Tree, key: Key[Array, ""]
    ) -> tuple[TrainState, dict[str, Array]]:
        state, metrics = task.step(state, masks, images, key)
        history = lax.cond(
            state.step % steps_per_epoch == 0,
            lambda history: note(history, draw(state.params), delta),
            lambda history: history,
            state.opt_state[_HISTORY],
        )
        opt_state = {**state.opt_state, _HISTORY: history}
        return state._replace(opt_state=opt_state), metrics

    return task._replace(init=init, step=step)


def history(state: TrainState) -> History:
    """The history in the state of a watched task."""
    return state.opt_state[_HISTORY]


def without_history(state: TrainState) -> TrainState:
    """The state of the original task."""
    kept = {name: x for name, x in state.opt_state.items() if name != _HISTORY}
    return state._replace(opt_state=kept)
