"""Arms of a round: the winning ticket and its controls, each at the rewind step k.

- winning: the kept weights, rewound to their values at step k of the dense training;
- random: the same mask on reinitialized weights;
- rewound_random: the rewound weights under a random mask that keeps as many weights in
  every layer; it separates the merit of the mask from the head start of k steps;
- transferred: components of another experiment's tickets (`transfer`).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gen_tickets.procedures import transfer
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import round_state as round_state_lib
from gen_tickets.training.round_state import RoundState
from gen_tickets.training.state import TrainState


@functools.partial(jax.jit, static_argnames=("arms", "metric_names"))
def rewind(
    kept: dict[str, Any],
    diverged: jax.Array,
    masks: Any,
    floored: jax.Array,
    fresh: TrainState,
    shuffle_keys: jax.Array,
    transplant: transfer.Transplant | None,
    arms: tuple[str, ...],
    step: int,
    metric_names: tuple[str, ...],
) -> RoundState:
    """All arms of a round at step k, [M, ...] for M members.

    Args:
      kept: params and stats of step k, [R, ...] for R runs.
      diverged: bool [R], whether a run has diverged so far.
      masks, floored: of the round, [R, ...].
      fresh: newly initialized states, [R, ...].
      shuffle_keys: [R], for the random masks of rewound_random.
      transplant: components of another experiment's tickets, or None.
      arms, step, metric_names: names of the arms, k, names of the training metrics.
    """
    # All arms train from step k to the last step, on the same batches.
    fresh = fresh._replace(step=jnp.full_like(fresh.step, step))
    starts = {
        "winning": (masks, kept["params"], kept["stats"]),
        "random": (masks, fresh.params, fresh.stats),
    }
    if "rewound_random" in arms:
        shuffled = jax.vmap(masks_lib.shuffle)(masks, shuffle_keys)
        starts["rewound_random"] = (shuffled, kept["params"], kept["stats"])
    if transplant is not None:
        starts["transferred"] = transfer.put_into(transplant, kept)
    members = [
        (
            arm_masks,
            fresh._replace(params=masks_lib.rewind(arm_masks, params), stats=stats),
        )
        for arm_masks, params, stats in (starts[arm] for arm in arms)
    ]
    member_masks, state = jax.tree.map(lambda *x: jnp.concatenate(x), *members)
    return round_state_lib.begin(
        state, metric_names, member_masks, jnp.tile(diverged, len(arms)), floored
    )
