"""The door between the loop and whatever is trained."""

from typing import Any, Callable, NamedTuple

from gen_tickets.state import TrainState


class Task(NamedTuple):
    """Pure functions of one member; the loop maps them over a population.

    Where it says images, a task of labelled ones takes {"images": ..., "labels": ...}.

    init: key -> TrainState.
    step: (state, masks, images uint8 [batches * N, H, W, C], key) -> (state,
      {name: scalar}); advances `state.step` by one. A GAN takes
      `task.discriminator_steps` batches a step, other tasks one.
    loss: (params, stats, images uint8, key) -> scalar, differentiable in params.
    evaluate: (state, images uint8 [N, H, W, C], key) -> {name: [N]}, one number an
      image; batch norm as `eval.batch_norm` says.
    reconstruct: (state, images uint8) -> images uint8, or None where there is none.
    sample: (state, latents [N, latent_size]) -> images uint8, or None where there is
      none.
    latent_size: length of a latent vector.
    components: names of the components, in order.
    networks: {component: Network}, what the components are (`networks.Network`).
    """

    init: Callable[..., TrainState]
    step: Callable[..., tuple[TrainState, dict[str, Any]]]
    loss: Callable[..., Any]
    evaluate: Callable[..., dict[str, Any]]
    reconstruct: Callable[..., Any] | None
    sample: Callable[..., Any] | None
    latent_size: int
    components: tuple[str, ...]
    networks: dict[str, Any]
