"""Digits, arrays and folders, read through `data`."""

import ml_collections
import numpy as np
import pytest
from PIL import Image

from gen_tickets.data import about
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import folders, readers
from gen_tickets.errors import UserError


def configure(**fields):
    defaults = dict(
        name="digits",
        dir="",
        download=False,
        crop=0,
        image_size=0,
        batch_size=4,
        limit=0,
        resident=True,
    )
    return ml_collections.ConfigDict({"data": {**defaults, **fields}})


def save_images(folder, sizes, mode="RGB"):
    """One image a size, its pixels all equal to its number; names sort by number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        color = number if mode == "L" else (number,) * len(mode)
        Image.new(mode, size, color).save(folder / f"{number:03d}.png")


def numbers(image_set):
    """What `save_images` painted: the value of each image's first pixel."""
    return image_set.images[:, 0, 0, 0].tolist()


# --- digits --------------------------------------------------------------------


def test_digits_equal_scikit_learn_split_without_overlap():
    from sklearn import datasets

    dataset = dataset_lib.load(configure(image_size=8))  # 8x8: nothing is resized
    reference = datasets.load_digits()
    expected = {}
    for image, label in zip(reference.images, reference.target):
        key = np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes()
        expected[key] = label
    seen = []
    for image_set, count in ((dataset.train, 1497), (dataset.heldout, 300)):
        assert image_set.images.shape == (count, 8, 8, 1)
        assert image_set.images.dtype == np.uint8
        assert image_set.labels.dtype == np.int32
        keys = [image.tobytes() for image in image_set.images]
        assert [expected[key] for key in keys] == image_set.labels.tolist()
        seen += keys
    assert sorted(seen) == sorted(
        np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes()
        for image in reference.images
    )
    assert set(np.unique(dataset.heldout.labels)) == set(range(10))


@pytest.mark.parametrize("image_size, side", [(0, 28), (32, 32)])
def test_digits_resized_keep_full_range_and_mean(image_size, side):
    dataset = dataset_lib.load(configure(image_size=image_size))
    small = dataset_lib.load(configure(image_size=8))
    assert dataset.train.images.shape == (1497, side, side, 1)
    assert dataset.train.images.min() == 0
    assert dataset.train.images.max() == 255
    means = dataset.train.images.mean((1, 2, 3)), small.train.images.mean((1, 2, 3))
    np.testing.assert_allclose(*means, atol=6)  # the border counts a little more


def test_digits_smaller_than_8_pixels_are_refused():
    with pytest.raises(UserError, match="image_size=7"):
        dataset_lib.check(configure(image_size=7))


def test_load_twice_gives_identical_images():
    first, second = dataset_lib.load(configure()), dataset_lib.load(configure())
    assert first.provenance == second.provenance
    assert first.provenance["sha256_train"] != first.provenance["sha256_heldout"]
    np.testing.assert_array_equal(first.train.images, second.train.images)


# --- arrays --------------------------------------------------------------------


def save_arrays(path, **arrays):
    np.savez(path, **arrays)
    return configure(name="arrays", dir=str(path))


def test_arrays_without_heldout_hold_out_every_tenth(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (25, 6, 6, 3), np.uint8)
    config = save_arrays(tmp_path / "a.npz", images=images, labels=np.arange(25))
    dataset_lib.check(config)
    dataset = dataset_lib.load(config)
    rest = [i for i in range(25) if i not in (0, 10, 20)]
    assert dataset.heldout.labels.tolist() == [0, 10, 20]
    assert dataset.train.labels.tolist() == rest
    np.testing.assert_array_equal(dataset.train.images, images[rest])
    np.testing.assert_array_equal(dataset.heldout.images, images[[0, 10, 20]])
    assert dataset.provenance["heldout_split"] == "every 10th of train"


def test_arrays_with_heldout_images_use_them(tmp_path):
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 5, 5, 1), np.uint8
    )
    config = save_arrays(
        tmp_path / "a.npz", images=images[:8], heldout_images=images[8:]
    )
    dataset = dataset_lib.load(config)
    assert dataset.train.labels is None and dataset.heldout.labels is None
    assert numbers(dataset.train) == list(range(8))
    assert numbers(dataset.heldout) == [8, 9, 10, 11]
    assert dataset.provenance["channels"] == 1


def test_arrays_are_cropped_to_the_centre_then_resized(tmp_path):
    images = np.zeros((11, 4, 8, 1), np.uint8)
    images[:, :, 2:6] = 200  # the centre square, all of one value
    config = save_arrays(tmp_path / "a.npz", images=images)
    for size in (0, 4, 3, 9):
        config.data.image_size = size
        loaded = dataset_lib.load(config).train.images
        assert loaded.shape == (9, size or 4, size or 4, 1)
        assert (loaded == 200).all()


def test_resize_halving_equals_antialiased_triangle_filter(tmp_path):
    row = np.arange(8) * 30
    images = np.tile(row.astype(np.uint8)[None, None, :, None], (5, 8, 1, 3))
    config = save_arrays(tmp_path / "a.npz", images=images)
    config.data.image_size = 4
    loaded = dataset_lib.load(config).train.images[0, 0, :, 0]
    position = np.arange(8) + 0.5
    weights = np.maximum(0, 1 - abs(position - 2 * (np.arange(4)[:, None] + 0.5)) / 2)
    expected = weights @ row / weights.sum(1)
    np.testing.assert_allclose(loaded, expected, atol=1)


GOOD = np.zeros((9, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    "arrays, message",
    [
        (dict(pictures=GOOD), "no array `images`.*pictures"),
        (dict(images=GOOD.astype(np.float32)), "float32"),
        (dict(images=GOOD[..., 0]), r"uint8 \[9, 4, 4\]"),
        (dict(images=np.zeros((9, 4, 4, 2), np.uint8)), "1 or 3 channels"),
        (dict(images=np.array([{}], object)), "object"),
        (dict(images=GOOD[:0]), r"\[0, 4, 4, 1\]"),
        (dict(images=GOOD, labels=np.arange(8)), "`labels`.*integers .9."),
        (dict(images=GOOD, labels=np.zeros(9)), "`labels` is float64"),
        (dict(images=GOOD, heldout_images=GOOD[0]), "`heldout_images`"),
    ],
)
def test_check_wrong_arrays_raises_user_error_without_reading(
    tmp_path, arrays, message
):
    with pytest.raises(UserError, match=message):
        dataset_lib.check(save_arrays(tmp_path / "a.npz", **arrays))


def test_load_heldout_arrays_of_other_shape_raises_user_error(tmp_path):
    config = save_arrays(
        tmp_path / "a.npz", images=GOOD, heldout_images=GOOD[:, :3, :3]
    )
    with pytest.raises(UserError, match="held-out"):
        dataset_lib.load(config)


@pytest.mark.parametrize("content", [b"", b"not a zip file"])
def test_check_file_that_is_no_npz_raises_user_error(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not an intact .npz"):
        dataset_lib.check(configure(name="arrays", dir=str(path)))
    with pytest.raises(UserError, match="there is no such .npz"):
        dataset_lib.check(configure(name="arrays", dir=str(tmp_path / "absent.npz")))


def test_load_damaged_npz_raises_user_error(tmp_path):
    path = tmp_path / "a.npz"
    config = save_arrays(path, images=GOOD)
    content = bytearray(path.read_bytes())
    content[200] ^= 255  # within the pixels: the checksum no longer holds
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="is not an intact .npz"):
        dataset_lib.load(config)


# --- folders -------------------------------------------------------------------


def folder(path, **fields):
    return configure(name="folder", dir=str(path), **fields)


def test_folder_is_searched_recursively_in_sorted_order(tmp_path):
    save_images(tmp_path / "b", [(6, 6)] * 7)
    save_images(tmp_path / "a" / "deep", [(6, 6)] * 8, mode="L")
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "a" / ".hidden.png").write_text("not an image")
    dataset = dataset_lib.load(folder(tmp_path))
    order = list(range(8)) + list(range(7))  # a/deep, then b
    assert numbers(dataset.train) == [order[i] for i in range(15) if i not in (0, 10)]
    assert numbers(dataset.heldout) == [order[0], order[10]]
    assert dataset.train.images.shape == (13, 6, 6, 3)
    assert dataset.train.labels is None
    assert dataset.provenance["encoding"] == "PNG"


@pytest.mark.parametrize(
    "name", ["heldout", "test", "Test", "val", "valid", "validation", "dev"]
)
def test_folder_heldout_subfolder_is_the_heldout_set(tmp_path, name):
    save_images(tmp_path / "train", [(6, 6)] * 12)
    save_images(tmp_path / name, [(6, 6)] * 3)
    dataset = dataset_lib.load(folder(tmp_path))
    assert numbers(dataset.train) == list(range(12))
    assert numbers(dataset.heldout) == [0, 1, 2]


def test_folder_with_several_splits_holds_out_one_and_names_others(tmp_path):
    for name, count in (("train", 4), ("val", 2), ("test", 3), ("extra/Dev", 1)):
        save_images(tmp_path / name, [(6, 6)] * count)
    (tmp_path / "train" / "a.gif").write_bytes(b"")
    (tmp_path / "train" / ".hidden.png").write_bytes(b"")
    (tmp_path / "train" / "nowhere.png").symlink_to(tmp_path / "absent")
    (tmp_path / "linked").symlink_to(tmp_path / "val")
    found = dataset_lib.load(folder(tmp_path)).provenance
    assert (found["num_train"], found["num_heldout"]) == (5, 3)
    assert found["heldout_split"] == "test"
    assert about.remarks(found) == (
        "data.name=folder: val/ (2 images) is neither trained on nor held out; 1 "
        "images in folders called Dev, not at the top, are trained on; left out: 1 "
        "*.gif, 1 hidden files, 1 linked folders, 1 links to nothing"
    )


def test_images_within_0_to_1_and_hidden_colours_are_reported(tmp_path):
    for number in range(12):
        image = Image.new("RGBA", (6, 6), (1, 0, 1, 0 if number < 2 else 255))
        image.save(tmp_path / f"{number:02}.png")
    found = dataset_lib.load(folder(tmp_path)).provenance
    assert about.remarks(found) == (
        "data.name=folder: 2 images with colours under alpha 0; all pixels are 0 or "
        "1, of 255: nearly black"
    )
    assert about.remarks(dataset_lib.load(configure()).provenance) == ""


@pytest.mark.parametrize("label", [2**40, -(2**31) - 1])
def test_labels_beyond_int32_are_refused(tmp_path, label):
    labels = np.arange(9)
    labels[3] = label
    config = save_arrays(tmp_path / "a.npz", images=GOOD, labels=labels)
    with pytest.raises(UserError, match=f"`labels` are .*{label}"):
        dataset_lib.load(config)


def test_stream_of_an_image_that_changed_is_refused(tmp_path):
    save_images(tmp_path, [(6, 6)] * 12)
    stream = dataset_lib.load(folder(tmp_path, resident=False)).train.images
    rows = np.arange(len(stream))
    np.testing.assert_array_equal(stream[rows], stream[rows[::-1]][::-1])
    Image.new("RGB", (6, 6), (99, 0, 0)).save(tmp_path / "005.png")
    with pytest.raises(UserError, match="1 images that were read before.*number 5"):
        stream[rows]


def test_folder_reads_all_formats_and_drops_alpha(tmp_path):
    for suffix in ("png", "jpg", "jpeg", "bmp", "webp", "PNG"):
        Image.new("RGB", (8, 8), (90, 90, 90)).save(tmp_path / f"a.{suffix}")
    Image.new("RGBA", (8, 8), (90, 90, 90, 255)).save(tmp_path / "b.png")
    Image.new("P", (8, 8), 0).save(tmp_path / "c.png", transparency=b"\x80")
    dataset = dataset_lib.load(folder(tmp_path, batch_size=1))
    assert len(dataset.train.images) + len(dataset.heldout.images) == 8
    assert dataset.provenance["encoding"] == "BMP, JPEG, PNG, WEBP"


def test_folder_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # orientation: upside down
    for number in range(3):
        image = Image.new("RGB", (8, 8), (0, 0, 0))
        image.paste((255, 255, 255), (0, 4, 8, 8))
        image.save(tmp_path / f"{number}.png", exif=exif)
    images = dataset_lib.load(folder(tmp_path, batch_size=1)).train.images
    assert (images[:, :4] == 255).all() and (images[:, 4:] == 0).all()


def test_folder_wide_images_are_cropped_to_centre(tmp_path):
    for number in range(4):
        image = Image.new("RGB", (30, 10), (255, 0, 0))
        image.paste((0, 255, 0), (10, 0, 20, 10))
        image.save(tmp_path / f"{number}.png")
    images = dataset_lib.load(folder(tmp_path, image_size=5, batch_size=1)).train.images
    assert images.shape == (3, 5, 5, 3)
    assert (images == [0, 255, 0]).all()


def test_folder_of_different_sizes_requires_image_size(tmp_path):
    save_images(tmp_path, [(8, 8)] * 5 + [(8, 9), (6, 8)])
    with pytest.raises(UserError, match="image_size=0.*001.png has side 8.*006.png 6"):
        dataset_lib.load(folder(tmp_path))
    assert dataset_lib.load(folder(tmp_path, image_size=4)).train.images.shape[1:3] == (
        4,
        4,
    )


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "16 bit"])
def test_folder_broken_files_are_named_and_counted(tmp_path, damage):
    save_images(tmp_path, [(40, 40)] * 12)
    for name in ("005.png", "007.png"):
        path = tmp_path / name
        if damage == "16 bit":
            Image.fromarray(np.zeros((40, 40), np.uint16)).save(path)
        else:
            noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(noise).save(path)
            whole = path.read_bytes()
            content = {"empty": b"", "text": b"text", "truncated": whole[:1000]}
            path.write_bytes(content[damage])
    with pytest.raises(UserError, match="2 of 10 images.*005.png") as error:
        dataset_lib.load(folder(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["folder", "arrays", "mnist"])
def test_check_folder_of_an_unknown_user_raises_user_error(name):
    with pytest.raises(UserError, match="~no_such_user/x"):
        dataset_lib.check(configure(name=name, dir="~no_such_user/x"))


def test_folder_without_training_images_raises_user_error(tmp_path):
    with pytest.raises(UserError, match="no training images"):
        dataset_lib.check(folder(tmp_path))
    save_images(tmp_path / "test", [(6, 6)] * 3)
    with pytest.raises(UserError, match="no training images"):
        dataset_lib.check(folder(tmp_path))
    with pytest.raises(UserError, match="not a folder"):
        dataset_lib.check(folder(tmp_path / "absent"))
    with pytest.raises(UserError, match="not a folder"):
        dataset_lib.check(folder(""))


def test_load_folder_searches_it_once(tmp_path, monkeypatch):
    save_images(tmp_path, [(6, 6)] * 12)
    searched, walk = [], folders.os.walk

    def note(place, **options):
        searched.append(place)
        return walk(place, **options)

    monkeypatch.setattr(folders.os, "walk", note)
    dataset_lib.load(folder(tmp_path))
    assert searched == [tmp_path]


def test_load_crop_is_applied_before_resize(tmp_path):
    images = np.zeros((20, 8, 8, 1), np.uint8)
    images[:, 2:6, 2:6] = 200
    np.savez(tmp_path / "x.npz", images=images)
    dataset = dataset_lib.load(
        configure(name="arrays", dir=str(tmp_path / "x.npz"), crop=4, image_size=4)
    )
    assert dataset.provenance["crop"] == "centre 4x4"
    assert np.all(dataset.train.images == 200)


@pytest.mark.parametrize("size, side", [(0, 4), (4, 4), (8, 8)])
def test_resize_square_images_are_cropped_whatever_the_size(size, side):
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[:, 2:6, 2:6] = 200
    found = readers.resize(images, 4, size)
    np.testing.assert_array_equal(found, np.full((2, side, side, 3), 200, np.uint8))
