"""Tasks: how a model is trained, as a tuple of pure functions of one member."""

from collections.abc import Mapping

import ml_collections

from gen_tickets.config import registries
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.tasks.task import Setting, Task


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
      image_shape, num_steps, channels, lowering: see `Setting`; channels=None: those
        of `model.widths`.

    Raises:
      UserError: the sizes of the model do not fit the images.
    """
    task = registries.task.get(config.task.name)
    return task.build(config, Setting(image_shape, num_steps, channels or {}, lowering))


__all__ = ["Setting", "Task", "build"]
