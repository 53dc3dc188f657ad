"""The interface between the training loop and what is trained."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from jaxtyping import Array, Float

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.tasks.networks import Network
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

Examples: TypeAlias = Tree  # images, or what the task calls for; arrays [N, ...]
Metrics: TypeAlias = dict[str, Float[Array, "..."]]  # {name: a scalar, or [N]}


class Setting(NamedTuple):
    """What a task is built for, apart from the options."""

    image_shape: tuple[int, int, int]  #: (H, W, C)
    num_steps: int  #: of a training, for learning-rate schedules
    #: {component: channels of each group} of compacted networks, from
    #: `pruning.compact`; absent components have the widths of `model.widths`
    channels: Mapping[str, tuple[int, ...]] = {}
    #: of the convolutions; None: that of JAX's default backend
    lowering: Lowering | None = None


class Task(NamedTuple):
    """Pure functions of one member; the loop maps them over a population.

    For labelled data, images stand for {"images": ..., "labels": ...}.
    """

    #: key -> TrainState.
    init: Callable[[Array], TrainState]
    #: (state, masks, images uint8 [batches * N, H, W, C], key) -> (state,
    #: {name: scalar}); advances `state.step` by one. A GAN takes
    #: `task.discriminator_steps` batches a step, other tasks one.
    step: Callable[[TrainState, Masks, Examples, Array], tuple[TrainState, Metrics]]
    #: (params, stats, images uint8, key) -> scalar, differentiable in params.
    loss: Callable[[Tree, Tree, Examples, Array], Array]
    #: (state, images uint8 [N, H, W, C], key) -> {name: [N]}, one number per image;
    #: batch norm as `eval.batch_norm` says.
    evaluate: Callable[[TrainState, Examples, Array], Metrics]
    #: (state, images uint8) -> images uint8, or None if the task has none.
    reconstruct: Callable[[TrainState, Array], Array] | None
    #: (state, latents [N, latent_size]) -> images uint8, or None if the task has none.
    sample: Callable[[TrainState, Array], Array] | None
    latent_size: int  #: length of a latent vector
    components: tuple[str, ...]  #: their names, in order
    networks: dict[str, Network]  #: {component: `networks.Network`}
    #: state -> the weights that `evaluate` and `sample` use, where those are an average
    #: over steps; None: they are `state.params`.
    averaged: Callable[[TrainState], dict[str, Tree]] | None = None
    #: (state, masks, images uint8, key) -> (state, masks), after the steps that
    #: `is_rewired` names; None: masks stay as they are
    rewire: (
        Callable[[TrainState, Masks, Examples, Array], tuple[TrainState, Masks]] | None
    ) = None
    #: step, a traced number -> bool
    is_rewired: Callable[[Array], Array] | None = None
    #: (output float [H, W, C] in 0..255, images uint8 [N, H, W, C]) -> {name: [N]}:
    #: metrics of a model that gives this output for every image; None: it has none
    evaluate_constant: Callable[[Array, Array], Metrics] | None = None
