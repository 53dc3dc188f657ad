"""python -m gen_tickets.evaluation: folders and arrays scored, mistakes in one line."""

import json
import re

import numpy as np
import pytest
import untrained
from PIL import Image

from gen_tickets.config import defaults
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import decoding, readers
from gen_tickets.evaluation import __main__ as command
from gen_tickets.evaluation import sources
from gen_tickets.evaluation.features import (
    classifier,
    extractors,
    training_time,
    weights,
)

RNG = np.random.default_rng(0)
WIDTH = 2
TRAIN = classifier._train


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(folder))
    monkeypatch.delenv(weights.PATH_VARIABLE, raising=False)
    monkeypatch.setattr(command.command_line, "use_compilation_cache", lambda: None)
    monkeypatch.setattr(classifier, "_train", untrained.train)
    return folder


@pytest.fixture
def pixels(monkeypatch):
    """Stands in for Inception: the same projections for every size of image."""
    pixels = untrained.Pixels("inception")
    extractor = pixels.extractor._replace(about={"weights": "planted.npz"})
    monkeypatch.setattr(extractors, "of_inception", lambda *_: extractor)
    monkeypatch.setattr(weights, "find_weights", lambda *_: "planted.npz")
    return pixels


@pytest.fixture(scope="module")
def digits():
    config = defaults.get_config()
    config.data.image_size = 8
    return dataset_lib.load(config)


def save(path, images, **arrays):
    np.savez(path, images=images, **arrays)
    return str(path)


def folder_of(path, images):
    path.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
            path / f"{i:04d}.png"
        )
    return str(path)


def run(capfd, *arguments):
    """(exit status, lines on stdout, stderr) of the command."""
    status = command.main([str(x) for x in arguments])
    out, err = capfd.readouterr()
    return status, out.splitlines(), err


def against_digits(images, *more):
    small = ("--image-size", 8, "--classifier-width", WIDTH)
    return ("--images", images, "--reference", "digits", *small, *more)


def colour(count=2100, size=4):
    return RNG.integers(0, 256, (count, size, size, 3), np.uint8)


def test_score_json_in_home_folder_is_written_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(command, "evaluate", lambda options: {"values": {"fid": 1.0}})
    monkeypatch.setattr(command, "_lines", lambda result: [])
    words = ["--images=x", "--reference=digits", "--json=~/scores.json"]
    assert command.main(words) == 0
    assert json.loads((tmp_path / "scores.json").read_text())["values"] == {"fid": 1.0}


def test_read_reference_digits_beside_folder_of_that_name_is_the_data_set(
    tmp_path, monkeypatch
):
    images = np.zeros((2, 8, 8, 3), np.uint8)
    folder_of(tmp_path / "digits", images)
    folder_of(tmp_path / "mine", images)
    monkeypatch.chdir(tmp_path)
    named = sources.read_reference("digits", size=8).provenance
    assert (named["reader"], named["num_train"]) == ("scikit-learn", 1497)
    for path in ("./digits", "mine"):
        found = sources.read_reference(path).provenance
        assert (found["reader"], found["num_train"]) == ("folder", 2)


# --- what it says ----------------------------------------------------------------


def test_score_reference_against_itself_is_zero_with_full_report(
    digits, tmp_path, capfd
):
    images = save(tmp_path / "real.npz", digits.train.images)
    file = tmp_path / "out" / "scores.json"
    status, lines, err = run(capfd, *against_digits(images, "--json", file))
    assert status == 0 and "--images=1497: fewer than 10000" in err
    result = json.loads(file.read_text())
    values = result["values"]
    assert values["fd_classifier"] == pytest.approx(0, abs=1e-6)
    assert values["precision_classifier"] == values["recall_classifier"] == 1
    assert lines[0].split() == ["fd_classifier", f"{values['fd_classifier']:.6g}"]
    reference = result["references"]["classifier"]
    assert reference["sha256"] == digits.provenance["sha256_train"]
    assert reference["sha256"] == result["images"]["sha256"]
    assert (reference["split"], reference["count"]) == ("train", 1497)
    said = "\n".join(lines)
    for part in (
        "load_digits, split train, 1497 images, 8x8x1, centre square",
        f"Pillow {reference['pillow']}",
        reference["hash"],
        result["extractors"]["classifier"]["sha256"][:12],
        "ResNet-18 of 2 channels",
    ):
        assert part in said
    assert not result["reencoded"] and "fid" not in values


def test_score_folder_of_grey_images_equals_score_of_array(digits, tmp_path, capfd):
    images = digits.heldout.images[:40]
    folder = folder_of(tmp_path / "files", images)
    (tmp_path / "files" / "notes.txt").write_text("no image")
    array = save(tmp_path / "array.npz", images)
    found = []
    for place in (folder, array):
        file = tmp_path / "scores.json"
        more = ("--reference-split", "heldout", "--json", file)
        status, lines, _ = run(capfd, *against_digits(place, *more))
        assert status == 0
        found.append(json.loads(file.read_text()))
        assert ("1 other files there are left out" in "\n".join(lines)) == (
            place == folder
        )
    assert found[0]["values"] == found[1]["values"]
    assert found[0]["images"]["sha256"] == found[1]["images"]["sha256"]
    assert found[0]["images"]["encoding"] == "PNG"
    assert found[0]["references"]["classifier"]["count"] == 300
    assert found[0]["references"]["classifier"]["split"] == "heldout"


def test_score_inception_metrics_between_two_npz_files(pixels, tmp_path, capfd):
    real = colour()
    reference = save(tmp_path / "real.npz", real[:-50], heldout_images=real[-50:])
    fake = save(tmp_path / "fake.npz", real[::-1])
    arguments = ("--images", fake, "--reference", reference)
    metrics = ("--metrics", "fid,inception_score,recall")
    status, lines, _ = run(capfd, *arguments, *metrics)
    assert status == 0 and pixels.calls == [2100, 2100]  # all splits are taken
    names = [line.split()[0] for line in lines[:3]]
    assert names == ["fid", "inception_score", "recall"]
    assert float(lines[0].split()[1]) == pytest.approx(0, abs=1e-6)
    assert "±" in lines[1] and float(lines[2].split()[1]) == 1
    assert "split all, 2100 images, 4x4x3" in "\n".join(lines)
    run(capfd, *arguments, *metrics, "--num", 2048)
    assert pixels.calls == [2100, 2100, 2048]  # the reference is found again


def test_default_metrics_colour_use_inception_and_grey_classifier(
    pixels, digits, tmp_path
):
    def names(dataset, *more):
        options = command._parse(["--images", "a", "--reference", "b", *more])
        return command._names(options, dataset)

    grey, in_colour = digits, digits._replace(
        train=digits.train._replace(images=colour(5))
    )
    assert names(grey) == command._by_default("classifier")
    assert names(grey, "--inception-weights", "file") == command._by_default(
        "inception"
    )
    assert names(in_colour) == command._by_default("inception")
    unlabelled = grey._replace(train=grey.train._replace(labels=None))
    assert names(unlabelled) == command._by_default("inception")


def test_default_metrics_without_inception_weights_need_labels(digits, tmp_path, capfd):
    options = command._parse(["--images", "a", "--reference", "b"])
    in_colour = digits._replace(train=digits.train._replace(images=colour(5)))
    assert command._names(options, in_colour) == command._by_default("classifier")
    images = save(tmp_path / "x.npz", colour(20))
    status, lines, err = run(capfd, "--images", images, "--reference", images)
    assert status == 2 and not lines
    assert "--inception-weights=PATH" in err and "--download-weights" in err


def test_reencoded_jpeg_in_lossless_set_is_detected():
    def seen(name, encoding):
        return sources.reencoded({"name": name, "encoding": encoding})

    assert seen("cifar10", "JPEG") and seen("cifar10:3.0.2", "JPEG, PNG")
    assert not seen("cifar10", "PNG") and not seen("celeb_a", "JPEG")


def test_images_of_other_sizes_are_resized_and_this_is_said(digits, tmp_path, capfd):
    images = digits.heldout.images[:20]
    larger = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    twice = save(tmp_path / "twice.npz", larger)
    mixed = folder_of(tmp_path / "mixed", images[:10])
    folder_of(tmp_path / "mixed" / "more", larger[10:])
    file = tmp_path / "scores.json"
    for place, own in ((twice, "of 16x16"), (mixed, "of several sizes")):
        status, lines, _ = run(capfd, *against_digits(place, "--json", file))
        assert status == 0
        assert f"resized to 8x8 ({decoding.RESIZE}); they are {own}" in "\n".join(lines)
        assert json.loads(file.read_text())["images"]["image_size"] == 8
    # Pixels that were doubled come back by an antialiased filter of their own centre.
    found, _ = sources.read_sized("--images", twice, 8)
    resized, _, _ = readers.find_arrays(twice).read("train", np.arange(20), 0, 8)
    assert (found.train.images == resized).all()


def test_score_expensive_classifier_is_refused_before_compilation(
    digits, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(classifier, "_train", TRAIN)
    monkeypatch.setattr(classifier.loop_lib, "make_loop", None)  # compiles nothing
    monkeypatch.setattr(training_time, "measured_rate", lambda *_: 1e6)
    images = save(tmp_path / "x.npz", digits.heldout.images[:20])
    status, lines, err = run(capfd, *against_digits(images))
    assert status == 2 and not lines
    assert re.search(r"takes about \d+m\d\ds here.*--train-classifier", err)


def test_training_time_is_printed_only_if_long(capfd):
    classifier._tell_cost("classifier of mnist", 125.0)
    assert "classifier of mnist, once a machine: about 2m05s" in capfd.readouterr().err
    classifier._tell_cost("classifier of digits", 5.0)
    assert capfd.readouterr().err == ""


# --- what it refuses -------------------------------------------------------------


def refused(capfd, cache_folder, *arguments):
    status, lines, err = run(capfd, *arguments)
    assert status == 2 and not lines
    assert err.startswith("gen_tickets: ") and err.count("\n") == 1
    assert not cache_folder.exists()
    return err


@pytest.mark.parametrize(
    "more, message",
    [
        (("--metrics", "fidd"), "--metrics=fidd: 'fidd'"),
        (("--metrics", "fid"), "Inception's weights are needed"),
        (("--metrics", "kid", "--inception-weights", "/no"), "'/no': no such file"),
        (("--metrics", "kid_classifier"), "--images=20: kid_classifier needs 1000"),
        (("--num", 21), "--num=21: has 20 images"),
        (("--num", 1), "--images=1: fd_classifier needs 2"),
        (("--num", -1), "--num=-1"),
        (("--classifier-width", 0), "--classifier-width=0"),
        (("--such",), "--such"),
        (("--reference-split", "test"), "--reference-split"),
    ],
)
def test_score_wrong_options_print_one_line(
    more, message, tmp_path, capfd, cache_folder
):
    images = save(tmp_path / "x.npz", RNG.integers(0, 256, (20, 8, 8, 1), np.uint8))
    err = refused(capfd, cache_folder, *against_digits(images, *more))
    for part in message.split(": "):
        assert part in err


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": np.full((9, 8, 8, 1), np.nan)}, "float64 [9, 8, 8, 1]"),
        ({"images": np.zeros((9, 8, 8), np.uint8)}, "[9, 8, 8]"),
        ({"images": np.zeros((9, 8, 8, 4), np.uint8)}, "[9, 8, 8, 4]"),
        ({"images": np.zeros((0, 8, 8, 1), np.uint8)}, "[0, 8, 8, 1]"),
        ({"pictures": np.zeros((9, 8, 8, 1), np.uint8)}, "no array `images`"),
        ({"images": np.zeros((1, 8, 8, 1), np.uint8)}, "--images=1"),
        ({"images": colour(5, 8)}, "in colour, but the reference is grey"),
    ],
)
def test_score_wrong_arrays_print_one_line(
    arrays, message, tmp_path, capfd, cache_folder
):
    np.savez(tmp_path / "x.npz", **arrays)
    arguments = against_digits(tmp_path / "x.npz")
    err = refused(capfd, cache_folder, *arguments)
    assert "--images" in err and message in err and "data." not in err


def test_score_wrong_paths_print_one_line(tmp_path, capfd, cache_folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("no archive")
    images = RNG.integers(0, 256, (3, 8, 8, 1), np.uint8)
    broken = folder_of(tmp_path / "broken", images)
    (tmp_path / "broken" / "9.png").write_bytes(b"\x89PNG cut")
    odd = folder_of(tmp_path / "odd", images)
    folder_of(tmp_path / "odd" / "more", images[:, :6, :6])
    for place, message in (
        (tmp_path / "nothing", "is not there"),
        (tmp_path / "empty", "no training images"),
        (tmp_path / "text.npz", "not an intact .npz"),
        (broken, "9.png"),
    ):
        err = refused(capfd, cache_folder, *against_digits(place))
        assert message in err and "--config" not in err and "--image-size" not in err
    good = save(tmp_path / "x.npz", images)
    err = refused(capfd, cache_folder, "--images", good, "--reference", odd)
    assert "centre squares differ" in err and "or --image-size" in err
    err = refused(
        capfd, cache_folder, "--images", good, "--reference", tmp_path / "empty"
    )
    assert f"--reference={tmp_path / 'empty'}" in err
    err = refused(
        capfd,
        cache_folder,
        "--images",
        good,
        "--reference",
        "mnist",
        "--data.dir",
        tmp_path / "empty",
    )
    assert "--reference=mnist: no prepared set in" in err and "--data.dir=DIR" in err


def test_score_invalid_weight_files_print_one_line(tmp_path, capfd, cache_folder):
    images = save(tmp_path / "x.npz", colour())
    for name, content in (("cut.npz", b"PK\x03\x04"), ("text.pth", b"hello")):
        file = tmp_path / name
        file.write_bytes(content)
        err = refused(
            capfd,
            cache_folder,
            "--images",
            images,
            "--reference",
            images,
            "--inception-weights",
            file,
            "--metrics",
            "fid",
        )
        assert name in err
