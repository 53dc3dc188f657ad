"""Decoding: order, crops against slices, no progress line for short reads."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from gen_tickets.data import decoding
from gen_tickets.errors import UserError


def test_decode_many_blocks_keeps_image_order(capsys):
    def open_image(number):
        return Image.new("RGB", (1, 1), (number % 256, number // 256, 7)), ("made",)

    images, facts = decoding.decode(
        iter(range(2500)), 2500, open_image, str, crop=0, size=0, title="numbers"
    )
    assert images.shape == (2500, 1, 1, 3) and facts == {"made": 2500}
    values = images[:, 0, 0].astype(int)
    np.testing.assert_array_equal(values[:, 0] + 256 * values[:, 1], np.arange(2500))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", [0, 2])
def test_decode_of_fewer_images_than_announced_raises_user_error(count):
    def open_image(number):
        return Image.new("L", (1, 1), number), ()

    with pytest.raises(UserError, match=f"numbers: holds only {count} of the 3 images"):
        decoding.decode(iter(range(count)), 3, open_image, str, 0, 0, "numbers")


@pytest.mark.parametrize("height, width", [(9, 6), (6, 9), (7, 7), (8, 5)])
@pytest.mark.parametrize("crop", [0, 4, 100])
def test_square_crop_equals_centred_slice(height, width, crop):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    side = min(height, width, crop or 1000)
    top, left = (height - side) // 2, (width - side) // 2
    expected = pixels[top : top + side, left : left + side]
    image = Image.fromarray(pixels)
    np.testing.assert_array_equal(decoding.square(image, crop, 0), expected)
    np.testing.assert_array_equal(decoding.square(image, crop, side), expected)


def test_square_constant_grey_image_stays_constant():
    for size in (3, 10, 33):
        pixels = decoding.square(Image.new("L", (10, 14), 91), 0, size)
        assert pixels.shape == (size, size, 1) and (pixels == 91).all()


def as_file(image, file_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    file.seek(0)
    return file


def test_to_mode_refuses_sixteen_bits_and_counts_dropped_alpha():
    grey = as_file(Image.fromarray(np.zeros((4, 4), np.uint16)))
    with pytest.raises(ValueError, match="8 bits"):
        decoding.open_image(grey, "L", turn=True)
    image, facts = decoding.open_image(
        as_file(Image.new("RGBA", (2, 2), (1, 2, 3, 0))), "RGB", turn=True
    )
    assert np.asarray(image).tolist() == [[[1, 2, 3]] * 2] * 2
    assert facts == ("PNG", decoding.TRANSPARENT)
    _, facts = decoding.open_image(
        as_file(Image.new("RGBA", (2, 2), (1, 2, 3, 9))), "RGB", turn=True
    )
    assert facts == ("PNG",)


def png_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    )


def test_decode_48_bit_colours_raises_user_error():
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(">HHH", 1, 2, 65535))
    file = io.BytesIO(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", pixels)
        + png_chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="RGB;16B, not 8 bits"):
        decoding.open_image(file, "RGB", turn=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_open_image_orientation_equals_pillow(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    file = as_file(Image.fromarray(pixels), exif=exif)
    image, facts = decoding.open_image(file, "RGB", turn=True)
    with Image.open(file) as again:
        expected = np.asarray(ImageOps.exif_transpose(again))
    np.testing.assert_array_equal(np.asarray(image), expected)
    assert facts == ("PNG",)


def test_open_image_with_random_exif_returns_an_image():
    """Turned or not; as Pillow's own function, they would end in a dozen errors."""
    rng = np.random.default_rng(0)
    plain = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    files = []
    for _ in range(300):
        entries = rng.integers(1, 4)
        body = b"".join(
            struct.pack(
                "<HHI4s",
                rng.choice([0x0112, 0x8769, 0x8825, 0x0110, rng.integers(2**16)]),
                rng.integers(0, 14),
                rng.choice([0, 1, 2, 2**31]),
                rng.bytes(4),
            )
            for _ in range(entries)
        )
        exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", entries) + body
        files.append(as_file(plain, "JPEG", exif=exif, quality=95))
    images, facts = decoding.decode(
        files,
        len(files),
        lambda file: decoding.open_image(file, "RGB", turn=True),
        str,
        crop=0,
        size=0,
        title="images",
    )
    assert images.shape == (300, 8, 8, 3) and facts["JPEG"] == 300
    assert 10 < facts[decoding.ODD_EXIF] < 290


def test_decoder_error_of_any_kind_names_and_counts_the_image():
    errors = [struct.error("a"), AttributeError("b"), TypeError("c"), KeyError()]

    def open_image(number):
        raise errors[number]

    with pytest.raises(UserError, match="4 of 4 images.*the first is 0 .a.") as told:
        decoding.decode(iter(range(4)), 4, open_image, str, 0, 0, "images")
    assert "\n" not in str(told.value)
