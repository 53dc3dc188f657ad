"""Decoding: order, crops against slices, and the quiet of short reads."""

import numpy as np
import pytest
from PIL import Image

from gen_tickets.data import decoding


def test_images_keep_their_order_over_many_blocks(capsys):
    def open_image(number):
        return Image.new("RGB", (1, 1), (number % 256, number // 256, 7)), "made"

    images, formats = decoding.decode(
        iter(range(2500)), 2500, open_image, str, crop=0, size=0, title="numbers"
    )
    assert images.shape == (2500, 1, 1, 3) and formats == {"made"}
    values = images[:, 0, 0].astype(int)
    np.testing.assert_array_equal(values[:, 0] + 256 * values[:, 1], np.arange(2500))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("height, width", [(9, 6), (6, 9), (7, 7), (8, 5)])
@pytest.mark.parametrize("crop", [0, 4, 100])
def test_the_crop_is_a_centred_slice(height, width, crop):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    side = min(height, width, crop or 1000)
    top, left = (height - side) // 2, (width - side) // 2
    expected = pixels[top : top + side, left : left + side]
    image = Image.fromarray(pixels)
    np.testing.assert_array_equal(decoding.square(image, crop, 0), expected)
    np.testing.assert_array_equal(decoding.square(image, crop, side), expected)


def test_a_grey_image_has_one_channel_and_a_constant_stays_constant():
    for size in (3, 10, 33):
        pixels = decoding.square(Image.new("L", (10, 14), 91), 0, size)
        assert pixels.shape == (size, size, 1) and (pixels == 91).all()


def test_sixteen_bits_are_refused_and_alpha_is_dropped():
    with pytest.raises(ValueError, match="8 bits"):
        decoding.to_mode(Image.fromarray(np.zeros((4, 4), np.uint16)), "L")
    image = decoding.to_mode(Image.new("RGBA", (2, 2), (1, 2, 3, 0)), "RGB")
    assert np.asarray(image).tolist() == [[[1, 2, 3]] * 2] * 2
