"""TFDS sets: prepared ones in both formats, missing ones, a prepared download."""

import json
import os
import pathlib

import ml_collections
import numpy as np
import pytest

from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import tfds as tfds_lib
from gen_tickets.errors import UserError

tfds = pytest.importorskip("tensorflow_datasets")

NEEDS = {"array_record": "array_record", "tfrecord": "tensorflow"}


def configure(name, directory, **fields):
    defaults = dict(download=False, crop=0, image_size=0, batch_size=4, limit=0)
    defaults |= {"resident": True}
    fields = {**defaults, "name": name, "dir": str(directory), **fields}
    return ml_collections.ConfigDict({"data": fields})


def pixels(count, shape, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


class Tiny(tfds.core.GeneratorBasedBuilder):
    """A set that needs no download; the subclasses say what is in it."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = {"train": 61, "test": 5}
    FEATURES = {"image": (6, 6, 1), "label": 10}
    ORDERED = True

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.FEATURES["image"])}
        if "label" in self.FEATURES:
            features["label"] = tfds.features.ClassLabel(num_classes=10)
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=self.ORDERED,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        shape = [side or 7 for side in self.FEATURES["image"]]
        for i, image in enumerate(pixels(self.SPLITS[split], shape, len(split))):
            label = {"label": i % 10} if "label" in self.FEATURES else {}
            yield i, {"image": image, **label}


class TinyUnlabelled(Tiny):
    """Colour, without labels, held out as `validation`."""

    SPLITS = {"train": 12, "validation": 6}
    FEATURES = {"image": (None, None, 3)}


class TinyShuffled(Tiny):
    """Written in the order of its hashed keys, as most sets are."""

    ORDERED = False


class TinyAlpha(Tiny):
    """Four channels."""

    FEATURES = {"image": (6, 6, 4)}


class TinyConfigs(Tiny):
    """Two configs, of which the first is TFDS's default."""

    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=x) for x in ("small", "a_large")]


class TinyOneSplit(Tiny):
    """Nothing but a train split."""

    SPLITS = {"train": 21}


with tfds.core.registered.skip_registration():

    class CelebA(Tiny):
        """In place of the real one: 218x178, a red frame around 148x148 of blue."""

        name = "celeb_a"
        SPLITS = {"train": 5, "test": 3}
        FEATURES = {"image": (218, 178, 3)}

        def _generate_examples(self, split):
            for i in range(self.SPLITS[split]):
                image = np.full((218, 178, 3), (255, 0, 0), np.uint8)
                image[35:183, 15:163] = (0, 0, 255)
                yield i, {"image": image}


def prepared(builder_class, directory, file_format="array_record"):
    """Writes the set under `directory` → its version folder."""
    pytest.importorskip(NEEDS[file_format])
    pytest.importorskip("tensorflow")  # TFDS writes, though it need not read, with it
    builder = builder_class(data_dir=directory, file_format=file_format)
    shards = tfds.download.DownloadConfig(num_shards=3)
    builder.download_and_prepare(download_config=shards)
    return pathlib.Path(builder.data_dir)


def contents(directory):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_load_each_format_keeps_order_of_set(tmp_path, file_format):
    prepared(Tiny, tmp_path, file_format)
    before = contents(tmp_path)
    config = configure("tiny", tmp_path)
    dataset_lib.check(config)
    dataset = dataset_lib.load(config)
    np.testing.assert_array_equal(dataset.train.images, pixels(61, (6, 6, 1), 5))
    np.testing.assert_array_equal(dataset.heldout.images, pixels(5, (6, 6, 1), 4))
    assert dataset.train.labels.tolist() == [i % 10 for i in range(61)]
    assert dataset.train.labels.dtype == np.int32
    assert dataset.provenance["set"] == "tiny/1.0.0"
    assert dataset.provenance["reader"] == f"tfds {file_format}"
    assert dataset.provenance["encoding"] == "PNG"
    assert dataset.provenance["heldout_split"] == "test"
    assert contents(tmp_path) == before  # reading writes nothing


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_load_damaged_set_raises_one_line_user_error(tmp_path, file_format, damage):
    folder = prepared(Tiny, tmp_path, file_format)
    last = sorted(folder.glob("*train*"))[-1]
    content = last.read_bytes()
    last.unlink()
    if damage == "cut short":
        last.write_bytes(content[: len(content) // 2])
    told = r"^data\.(dir, .*copy or|name=tiny: 20 of)"
    with pytest.raises(UserError, match=told) as error:
        dataset_lib.load(configure("tiny", tmp_path))
    assert "\n" not in str(error.value)


def test_stream_rows_equal_resident_images(tmp_path):
    prepared(Tiny, tmp_path)
    whole = dataset_lib.load(configure("tiny", tmp_path, limit=40))
    stream = dataset_lib.load(configure("tiny", tmp_path, limit=40, resident=False))
    assert isinstance(stream.train.images, dataset_lib.Stream)
    assert stream.train.images.shape == whole.train.images.shape == (40, 6, 6, 1)
    for rows in (np.array([7, 0, 39, 7]), slice(3, 30, 4)):
        np.testing.assert_array_equal(
            stream.train.images[rows], whole.train.images[rows]
        )
    np.testing.assert_array_equal(stream.heldout.images, whole.heldout.images)
    assert stream.provenance["sha256_train"] is None
    prepared(Tiny, tmp_path / "old", "tfrecord")  # read from start to end: at once
    old = dataset_lib.load(
        configure("tiny", tmp_path / "old", limit=40, resident=False)
    )
    np.testing.assert_array_equal(old.train.images, whole.train.images)


def test_load_shuffled_set_is_equal_in_both_formats(tmp_path):
    sets = []
    for file_format in NEEDS:
        prepared(TinyShuffled, tmp_path / file_format, file_format)
        sets.append(
            dataset_lib.load(configure("tiny_shuffled", tmp_path / file_format)).train
        )
    assert not np.array_equal(sets[0].images, pixels(61, (6, 6, 1), 5))
    np.testing.assert_array_equal(sets[0].images, sets[1].images)
    np.testing.assert_array_equal(sets[0].labels, sets[1].labels)


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_load_with_limit_keeps_images_with_their_labels(tmp_path, file_format):
    prepared(Tiny, tmp_path, file_format)
    images, labels = dataset_lib.load(configure("tiny", tmp_path, limit=9)).train
    whole = [image.tobytes() for image in pixels(61, (6, 6, 1), 5)]
    chosen = [whole.index(image.tobytes()) for image in images]
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([0])))
    assert chosen == sorted(generator.permutation(61)[:9])
    assert labels.tolist() == [i % 10 for i in chosen]


def test_load_without_test_split_holds_out_validation(tmp_path):
    prepared(TinyUnlabelled, tmp_path)
    dataset = dataset_lib.load(configure("tiny_unlabelled", tmp_path))
    assert dataset.train.labels is None
    np.testing.assert_array_equal(dataset.train.images, pixels(12, (7, 7, 3), 5))
    np.testing.assert_array_equal(dataset.heldout.images, pixels(6, (7, 7, 3), 10))


def test_load_train_split_alone_holds_out_every_tenth(tmp_path):
    prepared(TinyOneSplit, tmp_path)
    dataset = dataset_lib.load(configure("tiny_one_split", tmp_path))
    whole = pixels(21, (6, 6, 1), 5)
    np.testing.assert_array_equal(dataset.heldout.images, whole[[0, 10, 20]])
    rest = np.delete(np.arange(21), [0, 10, 20])
    np.testing.assert_array_equal(dataset.train.images, whole[rest])


def test_load_celeb_a_crops_148_and_resizes_to_64(tmp_path):
    prepared(CelebA, tmp_path)
    dataset = dataset_lib.load(configure("celeb_a", tmp_path))
    assert dataset.train.images.shape == (5, 64, 64, 3)
    assert (dataset.train.images == [0, 0, 255]).all()
    assert dataset.provenance["crop"] == "centre 148x148"
    dataset = dataset_lib.load(configure("celeb_a", tmp_path, image_size=148))
    assert (dataset.heldout.images == [0, 0, 255]).all()


def test_load_four_channels_raises_user_error(tmp_path):
    prepared(TinyAlpha, tmp_path)
    with pytest.raises(UserError, match="1 or 3 channels"):
        dataset_lib.load(configure("tiny_alpha", tmp_path))


def test_load_set_without_image_feature_raises_user_error(tmp_path):
    path = prepared(Tiny, tmp_path)
    features = json.loads((path / "features.json").read_text())
    inner = features["featuresDict"]["features"]
    inner["picture"] = inner.pop("image")
    (path / "features.json").write_text(json.dumps(features))
    with pytest.raises(UserError, match="no feature 'image'.*picture"):
        dataset_lib.load(configure("tiny", tmp_path))


def test_load_with_download_prepares_set_once(tmp_path):
    for package in ("tensorflow", "array_record"):
        pytest.importorskip(package)
    config = configure("tiny", tmp_path, download=True)
    dataset_lib.check(config)
    assert list(tmp_path.iterdir()) == []
    first = dataset_lib.load(config)
    before = contents(tmp_path)
    config.data.download = False
    assert dataset_lib.load(config).provenance == first.provenance
    assert contents(tmp_path) == before


def test_check_download_of_a_set_with_configs_asks_for_one(tmp_path):
    config = configure("tiny_configs", tmp_path, download=True)
    told = "tiny_configs: is a set with 2 configs; give tiny_configs/small, "
    with pytest.raises(UserError, match=told):
        dataset_lib.check(config)
    config.data.name = "tiny_configs/small"
    dataset_lib.check(config)


def test_load_failed_download_raises_one_line_user_error(tmp_path, monkeypatch):
    def fail(self, **unused):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(Tiny, "download_and_prepare", fail)
    with pytest.raises(UserError, match="ConnectionError: no route to host.*folder"):
        dataset_lib.load(configure("tiny", tmp_path, download=True))


def test_check_unknown_name_raises_user_error(tmp_path):
    with pytest.raises(UserError, match="no_such_set: unknown"):
        dataset_lib.check(configure("no_such_set", tmp_path, download=True))


# --- found on disk alone -------------------------------------------------------


def fake(path, **changes):
    """The one file by which a prepared set is found."""
    split = {"name": "train", "shardLengths": ["6", "4"]}
    info = {"name": "x", "splits": [split], "fileFormat": "array_record", **changes}
    path.mkdir(parents=True)
    (path / "dataset_info.json").write_text(json.dumps(info))
    return path


def test_find_prepared_returns_highest_or_named_version(tmp_path):
    paths = {v: fake(tmp_path / "x" / v) for v in ("2.0.0", "10.0.0", "9.1.0")}
    (tmp_path / "x" / "11.0.0").mkdir()  # an interrupted preparation
    (tmp_path / "x" / "12.0.0.incompleteABC").mkdir()
    assert tfds_lib.find_prepared(tmp_path, "x") == paths["10.0.0"]
    assert tfds_lib.find_prepared(tmp_path, "x:2.0.0") == paths["2.0.0"]
    assert tfds_lib.find_prepared(tmp_path, "x:3.0.0") is None
    assert tfds_lib.find_prepared(tmp_path, "y") is None
    config_path = fake(tmp_path / "y" / "small-32" / "1.0.0")
    assert tfds_lib.find_prepared(tmp_path, "y/small-32") == config_path
    assert tfds_lib.find_prepared(tmp_path, "y/small-32:1.0.0") == config_path


def test_tfds_folder_default_equals_that_of_tfds(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert tfds_lib.tfds_folder("") == tmp_path
    monkeypatch.delenv("TFDS_DATA_DIR")
    home = pathlib.Path(os.path.expanduser("~/tensorflow_datasets"))
    assert tfds_lib.tfds_folder("") == home


def test_check_missing_set_names_the_remedies(tmp_path):
    with pytest.raises(UserError) as error:
        dataset_lib.check(configure("mnist", tmp_path))
    ways = ("data.download=true", "data.dir=", "data.name=folder")
    assert all(way in str(error.value) for way in ways)
    assert "1482" not in str(error.value)
    with pytest.raises(UserError, match="quota.*1482.*name=folder"):
        dataset_lib.check(configure("celeb_a", tmp_path))


@pytest.mark.parametrize("name", ["", "a b", "../x", "x:latest", "x/"])
def test_check_malformed_name_raises_user_error(tmp_path, name):
    with pytest.raises(UserError, match="name/config or name:version"):
        dataset_lib.check(configure(name, tmp_path))


def test_check_batch_size_is_compared_with_counts_on_disk(tmp_path):
    fake(tmp_path / "x" / "1.0.0")
    dataset_lib.check(configure("x", tmp_path, batch_size=9))  # 1 of 10 is held out
    with pytest.raises(UserError, match="batch_size=10.*9"):
        dataset_lib.check(configure("x", tmp_path, batch_size=10))


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(fileFormat="riegeli"), "prepared as riegeli"),
        (dict(splits=[]), "train split"),
        (dict(splits="?"), "is not an intact description"),
    ],
)
def test_check_unreadable_set_raises_user_error(tmp_path, changes, message):
    fake(tmp_path / "x" / "1.0.0", **changes)
    with pytest.raises(UserError, match=message):
        dataset_lib.check(configure("x", tmp_path))


def test_check_format_without_its_package_raises_user_error(tmp_path, monkeypatch):
    fake(tmp_path / "x" / "1.0.0")
    monkeypatch.setattr(tfds_lib.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the Python package array_record"):
        dataset_lib.check(configure("x", tmp_path))
