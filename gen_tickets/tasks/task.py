"""The interface between a task and the training loop."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from jaxtyping import Array, Float

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.tasks.networks import Network
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

Examples: TypeAlias = Tree  # images, or other examples of a task; arrays [N, ...]
Metrics: TypeAlias = dict[str, Float[Array, "..."]]  # {name: a scalar, or [N]}


class Setting(NamedTuple):
    """The arguments with which a task is built, besides the options."""

    image_shape: tuple[int, int, int]  #: (H, W, C)
    num_steps: int  #: training steps, for learning-rate schedules
    #: {component: channels of each group} of compacted networks, from
    #: `pruning.compact`; absent components have the widths of `model.widths`
    channels: Mapping[str, tuple[int, ...]] = {}
    #: of the convolutions; None: that of JAX's default backend
    lowering: Lowering | None = None


class Task(NamedTuple):
    """Pure functions of one member; the loop maps them over a population.

    For labelled data, `images` is {"images": ..., "labels": ...}.
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
    #: batch norm follows `eval.batch_norm`.
    evaluate: Callable[[TrainState, Examples, Array], Metrics]
    #: (state, images uint8) -> images uint8, or None if the task has none.
    reconstruct: Callable[[TrainState, Array], Array] | None
    #: (state, latents [N, latent_size]) -> images uint8, or None if the task has none.
    sample: Callable[[TrainState, Array], Array] | None
    latent_size: int  #: length of a latent vector
    components: tuple[str, ...]  #: their names, in order
    networks: dict[str, Network]  #: {component: `networks.Network`}
    #: state -> the averaged weights that `evaluate` and `sample` use; None: they use
    #: `state.params`.
    averaged: Callable[[TrainState], dict[str, Tree]] | None = None
    #: (state, masks, images uint8, key) -> (state, masks), called after the steps
    #: selected by `is_rewired`; None: masks do not change
    rewire: (
        Callable[[TrainState, Masks, Examples, Array], tuple[TrainState, Masks]] | None
    ) = None
    #: step, a traced number -> bool
    is_rewired: Callable[[Array], Array] | None = None
    #: (output float [H, W, C] in 0..255, images uint8 [N, H, W, C]) -> {name: [N]}:
    #: metrics of a model that returns this output for every image; None: undefined
    evaluate_constant: Callable[[Array, Array], Metrics] | None = None
