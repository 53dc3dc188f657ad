"""Tasks: how a model learns, as a tuple of pure functions of one member."""

from gen_tickets.tasks import adversarial, autoencode
from gen_tickets.tasks.task import Task

_TASKS = {
    "ae": autoencode.build,
    "vae": autoencode.build,
    "gan": adversarial.build,
}


def build(config, image_shape, num_steps: int) -> Task:
    """Builds the task of `config.task`.

    Args:
      config: validated options.
      image_shape: (H, W, C).
      num_steps: steps of a training, for a learning rate that falls.
    """
    return _TASKS[config.task.name](config, image_shape, num_steps)


__all__ = ["Task", "build"]
