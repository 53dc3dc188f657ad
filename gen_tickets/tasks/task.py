"""The interface between the training loop and what is trained."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.training.state import TrainState


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
    init: Callable[..., TrainState]
    #: (state, masks, images uint8 [batches * N, H, W, C], key) -> (state,
    #: {name: scalar}); advances `state.step` by one. A GAN takes
    #: `task.discriminator_steps` batches a step, other tasks one.
    step: Callable[..., tuple[TrainState, dict[str, Any]]]
    #: (params, stats, images uint8, key) -> scalar, differentiable in params.
    loss: Callable[..., Any]
    #: (state, images uint8 [N, H, W, C], key) -> {name: [N]}, one number per image;
    #: batch norm as `eval.batch_norm` says.
    evaluate: Callable[..., dict[str, Any]]
    #: (state, images uint8) -> images uint8, or None if the task has none.
    reconstruct: Callable[..., Any] | None
    #: (state, latents [N, latent_size]) -> images uint8, or None if the task has none.
    sample: Callable[..., Any] | None
    latent_size: int  #: length of a latent vector
    components: tuple[str, ...]  #: their names, in order
    networks: dict[str, Any]  #: {component: `networks.Network`}
    #: state -> the weights that `evaluate` and `sample` use, where those are an average
    #: over steps; None: they are `state.params`.
    averaged: Callable[[TrainState], dict[str, Any]] | None = None
    #: (output float [H, W, C] in 0..255, images uint8 [N, H, W, C]) -> {name: [N]}:
    #: metrics of a model that gives this output for every image; None: it has none
    evaluate_constant: Callable[..., dict[str, Any]] | None = None
