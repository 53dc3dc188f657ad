"""Applies a compiled function to many images, in batches of one shape."""

from collections.abc import Callable
from contextlib import nullcontext as _no_bar

import jax
import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from gen_tickets.console import display
from gen_tickets.errors import UserError
from gen_tickets.trees import Tree


def check_images(images: ArrayLike) -> UInt8[np.ndarray, "n h w c"]:
    """Returns the images as a NumPy array.

    Raises:
      UserError: not uint8 [N, H, W, 1] or [N, H, W, 3] with N >= 1.
    """
    images = np.asarray(images)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[-1] not in (1, 3)
        or images.size == 0
    ):
        raise UserError(
            f"images={images.dtype}{list(images.shape)}",
            "uint8 [N, H, W, 3] or [N, H, W, 1] with N >= 1 allowed",
            "convert them first",
        )
    return images


def map_batches(
    function: Callable[..., Tree],
    rows: np.ndarray | jax.Array,
    batch_size: int,
    title: str | None = None,
) -> Tree:
    """Applies a function to rows [N, ...], N >= 1, `batch_size` at a time.

    Args:
      function: [batch_size, ...] -> an array or a tree of arrays [batch_size, ...].
      rows: the last batch is padded with the first rows, so that the function is
        compiled once.
      batch_size: rows per call.
      title: of a progress bar; None: no bar.

    Returns:
      NumPy arrays [N, ...].
    """
    parts = []
    shown = display.bar(title, len(rows), "image") if title else _no_bar()
    with shown as progress:
        for start in range(0, len(rows), batch_size):
            index = np.arange(start, start + batch_size) % len(rows)
            size = min(batch_size, len(rows) - start)
            found = function(rows[index])
            parts.append(jax.tree.map(lambda x, n=size: np.asarray(x)[:n], found))
            if progress:
                progress.update(done=start + size)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
