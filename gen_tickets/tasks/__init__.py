"""Tasks: how a model learns, as a tuple of pure functions of one member."""

from gen_tickets.tasks import adversarial, autoencode
from gen_tickets.tasks.task import Task

_TASKS = {
    "ae": autoencode.build,
    "vae": autoencode.build,
    "gan": adversarial.build,
}


def build(config, image_shape) -> Task:
    """Builds the task of `config.task` for images of shape (H, W, C)."""
    return _TASKS[config.task.name](config, image_shape)


__all__ = ["Task", "build"]
