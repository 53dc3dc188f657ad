"""Tasks that minimize one loss over all components."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import optax
from jaxtyping import Array, Float, Key

from gen_tickets.tasks import networks
from gen_tickets.tasks.networks import Network
from gen_tickets.tasks.task import Examples, Metrics, Task
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

#: (params, stats, examples, key, train) -> (named terms [N], of which "loss" is
#: minimized; updated statistics)
Terms: TypeAlias = Callable[[Tree, Tree, Examples, Array, bool], tuple[Metrics, Tree]]


def build(
    parts: dict[str, Network],
    terms: Terms,
    optimizer: optax.GradientTransformation,
    **others: Any,
) -> Task:
    """Builds a task that minimizes the batch mean of the term "loss".

    Args:
      parts: {component: its network}.
      terms: of a batch; each is a metric of the step and of the evaluation.
      optimizer: of each component.
      **others: further fields of the task.
    """

    def init(key: Key[Array, ""]) -> TrainState:
        params, stats = networks.init(parts, key)
        return state_lib.create(params, stats, optimizer)

    def means(
        params: Tree, stats: Tree, examples: Examples, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], tuple[Metrics, Tree]]:
        named, stats = terms(params, stats, examples, key, True)
        metrics = {name: values.mean() for name, values in named.items()}
        return metrics["loss"], (metrics, stats)

    def step(
        state: TrainState, masks: Masks, examples: Examples, key: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        differentiate = jax.grad(means, has_aux=True)
        grads, (metrics, stats) = differentiate(
            state.params, state.stats, examples, key
        )
        state = state_lib.apply_update(state, grads, masks, optimizer)
        return state._replace(step=state.step + 1, stats=stats), metrics

    def evaluate(state: TrainState, examples: Examples, key: Key[Array, ""]) -> Metrics:
        return terms(state.params, state.stats, examples, key, False)[0]

    return Task(
        init=init,
        step=step,
        loss=lambda params, stats, batch, key: means(params, stats, batch, key)[0],
        evaluate=evaluate,
        components=tuple(parts),
        networks=parts,
        **others,
    )
