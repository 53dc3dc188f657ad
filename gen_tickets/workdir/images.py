"""Image grids of a workdir, as PNG files.

Images are uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB).
"""

import io
import pathlib

import numpy as np
from PIL import Image

from gen_tickets.workdir import paths


def image_grid(images: np.ndarray, columns: int, border: int = 2) -> np.ndarray:
    """Returns one image with all images in a grid, separated by white lines.

    Args:
      images: uint8 [N, H, W, C], N >= 1.
      columns: images per row; a short last row is filled with white.
      border: width of the lines, in pixels, also around the outside.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(f"{images.dtype} {images.shape}: expected uint8 [N, H, W, C]")
    num, height, width, channels = images.shape
    columns = max(1, min(columns, num))
    lines = -(-num // columns)
    cells = np.full(
        (lines * columns, height + border, width + border, channels), 255, np.uint8
    )
    cells[:num, border:, border:] = images
    # [lines, columns, h, w, c] -> [lines, h, columns, w, c] -> one image
    cells = cells.reshape((lines, columns) + cells.shape[1:]).swapaxes(1, 2)
    grid = cells.reshape(lines * (height + border), columns * (width + border), -1)
    return np.pad(grid, ((0, border), (0, border), (0, 0)), constant_values=255)


def write_image(path: str | pathlib.Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, C] as PNG, grey if C = 1, RGB if C = 3; atomically."""
    paths.write_atomically(path, encode_png(image))


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [H, W, C] -> PNG, grey if C = 1, RGB if C = 3."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"{image.dtype} {image.shape}: expected uint8 [H, W, 1 or 3]")
    data = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(data, "PNG")
    return data.getvalue()
