"""A compiled function over many images: batches of one shape, a line that tells."""

import time

import jax
import numpy as np

from gen_tickets.errors import UserError
from gen_tickets.training.progress import Progress, duration


def check_images(images):
    """The images as they are, if they are uint8 [N, H, W, 1 or 3] with N >= 1.

    Raises:
      UserError: they are not.
    """
    images = np.asarray(images)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[-1] not in (1, 3)
        or images.size == 0
    ):
        raise UserError(
            f"images={images.dtype}{list(images.shape)}: uint8 [N, H, W, 3] or "
            "[N, H, W, 1] with N >= 1 allowed; convert them first"
        )
    return images


def map_batches(function, rows, batch_size, title=None):
    """`function` of [batch_size, ...] over rows [N, ...], N >= 1; NumPy [N, ...].

    Args:
      function: of a batch, to an array or a tree of arrays that keep its first axis.
      rows: the last batch is filled up with the first rows, so that there is one
        shape and one compilation.
      batch_size: rows a call.
      title: what the progress line begins with; None shows no line.
    """
    progress, started, parts = Progress(), time.monotonic(), []
    for start in range(0, len(rows), batch_size):
        index = np.arange(start, start + batch_size) % len(rows)
        size = min(batch_size, len(rows) - start)
        parts.append(
            jax.tree.map(
                lambda leaf, size=size: np.asarray(leaf)[:size], function(rows[index])
            )
        )
        done = start + size
        if title:
            left = (time.monotonic() - started) / done * (len(rows) - done)
            progress.show(f"{title}: {done}/{len(rows)} images, {duration(left)} left")
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
