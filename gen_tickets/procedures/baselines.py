"""Metrics of trivial models and of real images, measured once per run.

The "learned" gate of `report.gates` compares the dense network with them.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import processes
from gen_tickets.procedures.setup import Prepared
from gen_tickets.tasks.task import Task
from gen_tickets.workdir import baselines as baselines_lib
from gen_tickets.workdir import paths
from gen_tickets.workdir.recorder import Recorder


def record(prepared: Prepared, data: Data, recorder: Recorder) -> None:
    """Writes baselines.json unless it exists."""
    mean_image = _mean_image(*data.probe)
    found = of_task(prepared.task, mean_image, *data.heldout)
    mean_image = np.asarray(processes.to_host(mean_image))
    path = paths.baselines_path(recorder.workdir)
    if not processes.is_first() or path.exists():
        return
    if prepared.evaluator is not None:
        found |= prepared.evaluator.baselines(np.rint(mean_image).astype(np.uint8))
    baselines_lib.write(recorder.workdir, found)


@jax.jit
def _mean_image(images: jax.Array, weights: jax.Array) -> jax.Array:
    """uint8 [batches, batch, H, W, C], [batches, batch] -> float [H, W, C], 0..255."""
    sums = lax.map(lambda x: jnp.tensordot(x[1], x[0], 1), (images, weights))
    return sums.sum(0) / weights.sum()


def of_task(
    task: Task, mean_image: jax.Array, images: jax.Array, weights: jax.Array
) -> dict[str, dict[str, float]]:
    """{column: {baseline: value}} of the task's metrics on held-out images.

    Args:
      task: the task; one without `evaluate_constant` has no baselines.
      mean_image: of the training images, float [H, W, C] in 0..255.
      images, weights: [batches, batch, H, W, C], [batches, batch], 0 for padding.
    """
    if task.evaluate_constant is None:
        return {}
    means = _mean_metrics(task.evaluate_constant, mean_image, images, weights)
    return {
        f"heldout_{name}": {baselines_lib.MEAN: float(value)}
        for name, value in processes.to_host(means).items()
    }


@functools.partial(jax.jit, static_argnums=0)
def _mean_metrics(
    evaluate: Callable[..., dict[str, jax.Array]],
    mean_image: jax.Array,
    images: jax.Array,
    weights: jax.Array,
) -> dict[str, jax.Array]:
    """Means over all images except padding."""

    def sums(batch: tuple[jax.Array, jax.Array]) -> dict[str, jax.Array]:
        values = evaluate(mean_image, batch[0])
        return {name: (batch[1] * x).sum() for name, x in values.items()}

    of_batches = lax.map(sums, (images, weights))
    return {name: x.sum() / weights.sum() for name, x in of_batches.items()}
