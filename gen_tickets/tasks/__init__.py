"""Tasks: how a model learns, as a tuple of pure functions of one member."""

from gen_tickets.kernels.lowering import Lowering
from gen_tickets.tasks import adversarial, autoencoder
from gen_tickets.tasks.task import Task

_TASKS = {
    "ae": autoencoder.build,
    "vae": autoencoder.build,
    "gan": adversarial.build,
}


def build(
    config,
    image_shape,
    num_steps: int,
    channels=None,
    lowering: Lowering | None = None,
) -> Task:
    """Builds the task of `config.task`.

    Args:
      config: validated options.
      image_shape: (H, W, C).
      num_steps: steps of a training, for a learning rate that falls.
      channels: {component: channels of each group} of compacted networks, from
        `pruning.compact`; None: as `model.widths` says.
      lowering: of the convolutions; None: that of JAX's default backend.
    """
    make = _TASKS[config.task.name]
    return make(config, image_shape, num_steps, channels, lowering)


__all__ = ["Task", "build"]
