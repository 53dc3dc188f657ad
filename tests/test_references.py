"""Reference statistics of real images: values, caching, damaged files."""

import os

import numpy as np
import pytest
import untrained

from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import cache, references, weights

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)
PROVENANCE = {
    "name": "cifar10",
    "set": "cifar10/3.0.2",
    "reader": "tfds array_record",
    "limit": 0,
    "image_size": 4,
    "channels": 3,
    "crop": "centre square",
    "resize": "bilinear",
    "pillow": "12.0.0",
    "encoding": "PNG",
    "train_split": "train",
    "heldout_split": "test",
    "num_train": 50,
    "num_heldout": 10,
    "sha256_train": "a" * 64,
    "sha256_heldout": "b" * 64,
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pixels():
    return untrained.Pixels()


def load(pixels, images=IMAGES, split="train", **changes):
    key = references.key_of({**PROVENANCE, **changes}, split, pixels.extractor)
    return references.load_reference(images, key, pixels.extractor)


def assert_same(one, other):
    assert one.moments.count == other.moments.count and one.key == other.key
    np.testing.assert_array_equal(one.moments.mean, other.moments.mean)
    np.testing.assert_array_equal(one.moments.covariance, other.moments.covariance)
    np.testing.assert_array_equal(one.features, other.features)


def test_load_reference_moments_equal_numpy(pixels):
    found = load(pixels)
    features = pixels.extract(IMAGES).features.astype(np.float64)
    assert found.moments.count == 50
    np.testing.assert_allclose(found.moments.mean, features.mean(0), rtol=1e-9)
    np.testing.assert_allclose(
        found.moments.covariance, np.cov(features, rowvar=False), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(found.features, pixels.extract(IMAGES).features)


def test_load_reference_keeps_limited_rows_from_whole_set(pixels, monkeypatch):
    whole = load(pixels).features
    monkeypatch.setattr(references, "MAX_ROWS", 20)
    found = load(pixels)
    rows = [int(np.flatnonzero((whole == row).all(1))[0]) for row in found.features]
    assert len(rows) == 20 and sorted(set(rows)) == rows
    assert min(rows) < 10 and max(rows) >= 40
    assert found.moments.count == 50  # of all images
    assert found.key["rows_kept"] == 20


def test_load_reference_twice_extracts_once(pixels):
    first = load(pixels)
    second = load(pixels)
    assert pixels.calls == [50]
    assert_same(first, second)


def cut(content):
    return content[: len(content) // 2]


def turn_a_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, turn_a_bit, lambda c: b"", lambda c: b"PK"])
def test_load_reference_damaged_file_is_computed_again(pixels, folder, damage, capfd):
    first = load(pixels)
    [path] = folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert_same(load(pixels), first)
    assert pixels.calls == [50, 50]
    assert capfd.readouterr().err == f"{path}: damaged; computed again\n"
    assert path.read_bytes() == content
    load(pixels)
    assert pixels.calls == [50, 50]


def test_load_reference_changed_values_are_detected(pixels, folder):
    load(pixels)
    [path] = folder.iterdir()
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "mean": arrays["mean"] + 1})
    load(pixels)
    assert pixels.calls == [50, 50]


def test_load_reference_file_with_other_key_is_not_used(pixels, folder):
    load(pixels)
    [path] = folder.iterdir()
    other_key = references.key_of(
        {**PROVENANCE, "encoding": "JPEG"}, "train", pixels.extractor
    )
    path.rename(cache.path_of("reference", other_key))
    load(pixels, encoding="JPEG")
    assert pixels.calls == [50, 50]


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "heldout"},
        {"name": "other"},
        {"set": "cifar10/3.0.1"},
        {"reader": "tfds tfrecord"},
        {"image_size": 8},
        {"channels": 1},
        {"crop": "centre 2x2"},
        {"resize": "bicubic"},
        {"pillow": "12.0.1"},
        {"encoding": "JPEG"},
        {"limit": 50},
        {"num_train": 49},
        {"sha256_train": "c" * 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_key_of_each_changed_field_gives_another_hash(pixels, changes):
    first = load(pixels)
    second = load(pixels, **changes)
    assert pixels.calls == [50, 50]
    assert first.short_hash != second.short_hash


def test_key_of_other_weights_or_network_gives_another_hash(pixels):
    hashes = {load(pixels).short_hash}
    hashes.add(load(untrained.Pixels(fingerprint="e" * 64)).short_hash)
    hashes.add(load(untrained.Pixels(kind="inception")).short_hash)
    assert len(hashes) == 3


def test_load_reference_nonfinite_features_raises_and_caches_nothing(pixels, folder):
    extract = pixels.extract
    ill = pixels.extractor._replace(
        extract=lambda x: extract(x)._replace(features=np.full((50, 6), np.nan))
    )
    key = references.key_of(PROVENANCE, "train", ill)
    with pytest.raises(UserError, match="finite"):
        references.load_reference(IMAGES, key, ill)
    assert not folder.exists()


def test_load_reference_unwritable_cache_warns_and_continues(pixels, folder, capfd):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    first = load(pixels)
    assert first.moments.count == 50
    assert "not cached: " in capfd.readouterr().err
    assert os.listdir(folder.parent) == ["cache"]
