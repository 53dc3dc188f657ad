"""Exponential moving average of weights: starts at 0, bias-corrected as in Adam.

It is part of `opt_state`, so rewinding resets it like every moment. Pruned weights are
0 in all terms of the sum, so they are exactly 0 in the average too.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gen_tickets.tasks.task import Examples, Metrics, Task
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

#: "count": int32, number of averaged steps; "total": tree as the weights
Average: TypeAlias = dict[str, Tree]


def begin(params: Tree) -> Average:
    """The state of an average before the first update."""
    return {
        "count": jnp.zeros((), jnp.int32),
        "total": jax.tree.map(jnp.zeros_like, params),
    }


def update(average: Average, params: Tree, decay: float) -> Average:
    """Adds the weights of a step; 0 < decay < 1."""
    total = jax.tree.map(
        lambda t, x: decay * t + (1.0 - decay) * x, average["total"], params
    )
    return {"count": average["count"] + 1, "total": total}


def weights(average: Average, params: Tree, decay: float) -> Tree:
    """The average; `params` themselves before the first update."""
    count = average["count"]
    # 1 - decay^count without cancellation; the maximum keeps an unused branch finite.
    share = -jnp.expm1(jnp.maximum(count, 1) * math.log(decay))
    return jax.tree.map(
        lambda t, x: jnp.where(count > 0, t / share, x), average["total"], params
    )


def keep(task: Task, component: str, decay: float) -> Task:
    """Wraps a task so that it evaluates and samples with averaged weights.

    Args:
      task: its step updates the component once.
      component: its weights are averaged, in opt_state["<component>_average"].
      decay: of the average, below 1; 0: no average, returns the task unchanged.
    """
    if decay == 0.0:
        return task
    name = f"{component}_average"

    def init(key: Key[Array, ""]) -> TrainState:
        state = task.init(key)
        average = begin(state.params[component])
        return state._replace(opt_state={**state.opt_state, name: average})

    def step(
        state: TrainState, masks: Masks, examples: Examples, key: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        state, metrics = task.step(state, masks, examples, key)
        average = update(state.opt_state[name], state.params[component], decay)
        opt_state = {**state.opt_state, name: average}
        return state._replace(opt_state=opt_state), metrics

    def averaged(state: TrainState) -> dict[str, Tree]:
        params = state.params[component]
        params = weights(state.opt_state[name], params, decay)
        return {**state.params, component: params}

    def of_average(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda state, *inputs: function(
            state._replace(params=averaged(state)), *inputs
        )

    return task._replace(
        init=init,
        step=step,
        evaluate=of_average(task.evaluate),
        reconstruct=task.reconstruct and of_average(task.reconstruct),
        sample=task.sample and of_average(task.sample),
        averaged=averaged,
    )
