"""Image grids against a loop, and PNG files that give the pixels back."""

import numpy as np
import pytest
from PIL import Image

from gen_tickets.workdir import images as images_lib


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("border", [1, 2])
def test_image_grid_of_images_equals_a_loop(channels, border):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 4, 3, channels), np.uint8)
    grid = images_lib.image_grid(images, columns=2, border=border)
    expected = np.full((3 * (4 + border), 2 * (3 + border), channels), 255, np.uint8)
    expected = np.pad(expected, ((0, border), (0, border), (0, 0)), constant_values=255)
    for index, image in enumerate(images):
        y = border + (index // 2) * (4 + border)
        x = border + (index % 2) * (3 + border)
        expected[y : y + 4, x : x + 3] = image
    np.testing.assert_array_equal(grid, expected)


def test_image_grid_of_one_image_has_one_column():
    grid = images_lib.image_grid(np.zeros((1, 4, 4, 1), np.uint8), columns=8, border=1)
    assert grid.shape == (6, 6, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_write_image_and_read_returns_the_pixels(tmp_path, channels):
    image = np.random.default_rng(1).integers(0, 256, (7, 5, channels), np.uint8)
    path = tmp_path / "samples" / "originals.png"
    images_lib.write_image(path, image)
    with Image.open(path) as file:
        read = np.asarray(file).reshape(7, 5, channels)
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("shape, kind", [((4, 4, 2), "uint8"), ((4, 4, 1), "float32")])
def test_write_image_wrong_shape_or_type_raises_value_error(tmp_path, shape, kind):
    with pytest.raises(ValueError, match="expected uint8"):
        images_lib.write_image(tmp_path / "x.png", np.zeros(shape, kind))
    with pytest.raises(ValueError, match="expected uint8"):
        images_lib.image_grid(np.zeros((0, 4, 4, 1), np.uint8), 2)
