"""Tasks: how a model learns, as a tuple of pure functions of one member."""

from collections.abc import Mapping

import ml_collections

from gen_tickets.config import registries
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.tasks.task import Task


def build(
    config: ml_collections.ConfigDict,
    image_shape: tuple[int, int, int],
    num_steps: int,
    channels: Mapping[str, tuple[int, ...]] | None = None,
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

    Raises:
      UserError: the sizes of the model do not fit the images.
    """
    task = registries.task.get(config.task.name)
    return task.build(config, image_shape, num_steps, channels, lowering)


__all__ = ["Task", "build"]
