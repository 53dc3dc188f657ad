"""Metrics of a member: planted samplers, fixed latents, refusals, a whole run."""

import functools
import math
import pathlib
from unittest import mock

import jax
import numpy as np
import pytest
import untrained

from gen_tickets import procedures
from gen_tickets.config import defaults, registries
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.errors import UserError
from gen_tickets.evaluation import distances, metrics, scores
from gen_tickets.evaluation.features import classifier, extractors, weights
from gen_tickets.evaluation.metrics import Evaluator
from gen_tickets.experiments import quickstart
from gen_tickets.procedures import lottery, measurement, rounds
from gen_tickets.report import outcomes, render, statistics, verdict
from gen_tickets.training.round_state import Position
from gen_tickets.workdir import baselines, columns, curves
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, tables

pytestmark = pytest.mark.usefixtures("library_convolutions")

COUNT, LATENT = 64, 3
ALL = (
    "fd_classifier",
    "precision_classifier",
    "recall_classifier",
    "sample_class_entropy",
    "sample_confidence",
    "accuracy",
)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(weights.PATH_VARIABLE, raising=False)


@pytest.fixture
def pixels(monkeypatch):
    pixels = untrained.Pixels()
    monkeypatch.setattr(metrics, "_extractor", lambda *_: pixels.extractor)
    return pixels


def configure(**changes):
    config = defaults.get_config()
    config.update_from_flattened_dict(
        {
            "train.steps": 20,
            "data.batch_size": 10,
            "data.image_size": 8,
            "model.latent_size": LATENT,
            "eval.metrics": ALL,
            "eval.num_samples": COUNT,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )
    defaults.validate(config)
    return config


@pytest.fixture(scope="module")
def dataset():
    """The first 64 digits, held out the same ones."""
    config = defaults.get_config()
    config.data.image_size = 8
    digits = dataset_lib.load(config)
    part = dataset_lib.ImageSet(*(x[:COUNT] for x in digits.train))
    about = {**digits.provenance, "num_train": COUNT}
    return dataset_lib.Dataset(part, part, about)


class Replay:
    """A sampler that gives the images of a list, whatever the latents."""

    def __init__(self, images):
        self.images, self.latents = images, []

    def __call__(self, latents):
        start = sum(map(len, self.latents))
        self.latents.append(np.asarray(latents))
        index = np.arange(start, start + len(latents)) % len(self.images)
        return self.images[index]


# --- what the numbers are --------------------------------------------------------


def test_measure_sampler_of_real_images_is_perfect(pixels, dataset):
    evaluator = Evaluator(configure(), dataset)
    found = evaluator.measure(
        Replay(dataset.train.images), lambda images: images, LATENT
    )
    assert list(found) == [*scores.columns(ALL), "num_samples"]
    assert found["fd_classifier"] == pytest.approx(0, abs=1e-6)
    assert found["precision_classifier"] == found["recall_classifier"] == 1
    assert found["num_samples"] == COUNT
    logits = pixels.extract(dataset.train.images).logits.astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    shares = np.bincount(p.argmax(1), minlength=3) / COUNT
    expected = -sum(x * math.log(x) for x in shares if x)
    assert found["sample_class_entropy"] == pytest.approx(expected)
    assert found["sample_confidence"] == pytest.approx(p.max(1).mean())
    right = (p.argmax(1) == dataset.train.labels).mean()
    assert found["accuracy_reconstructions"] == pytest.approx(right)


def test_measure_collapsed_sampler_has_no_entropy_and_no_recall(pixels, dataset):
    evaluator = Evaluator(configure(), dataset)
    real = evaluator.measure(
        Replay(dataset.train.images), lambda images: images, LATENT
    )
    collapsed = evaluator.measure(
        Replay(dataset.train.images[:1]), lambda images: np.zeros_like(images), LATENT
    )
    assert collapsed["sample_class_entropy"] == 0
    assert collapsed["recall_classifier"] < 0.1
    assert collapsed["precision_classifier"] == 1
    assert collapsed["fd_classifier"] > real["fd_classifier"] + 0.1
    black = pixels.extract(np.zeros_like(dataset.train.images[:1])).logits.argmax()
    expected = (dataset.train.labels == black).mean()
    assert collapsed["accuracy_reconstructions"] == pytest.approx(expected)


def test_baselines_equal_metrics_of_samplers_of_these_images(pixels, dataset):
    evaluator = Evaluator(configure(), dataset)
    images = dataset.train.images
    mean = np.rint(images.mean(0)).astype(np.uint8)
    found = evaluator.baselines(mean)
    assert set(found) == set(scores.columns(ALL))
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    for baseline, like in (
        (baselines.REAL, images),
        (baselines.MEAN, np.repeat(mean[None], COUNT, 0)),
        (baselines.NOISE, noise),
    ):
        measured = evaluator.measure(Replay(like), lambda _, like=like: like, LATENT)
        for column, of_baselines in found.items():
            of_samples = column != "accuracy_reconstructions"
            assert (baseline in of_baselines) is (of_samples or like is not noise)
            if baseline in of_baselines and of_samples:
                assert of_baselines[baseline] == pytest.approx(measured[column])
    constant = evaluator.measure(
        Replay(images), lambda x: np.repeat(mean[None], len(x), 0), LATENT
    )
    assert found["accuracy_reconstructions"] == {
        baselines.REAL: (
            pixels.extract(images).logits.argmax(1) == dataset.train.labels
        ).mean(),
        baselines.MEAN: constant["accuracy_reconstructions"],
    }


def test_measure_noise_has_larger_distance_than_half_real(pixels, dataset):
    evaluator = Evaluator(configure(eval__metrics=("fd_classifier",)), dataset)
    real = dataset.train.images
    noise = np.random.default_rng(0).integers(0, 256, real.shape, np.uint8)
    half = np.concatenate([real[: COUNT // 2], noise[COUNT // 2 :]])
    values = [
        evaluator.measure(Replay(images), None, LATENT)["fd_classifier"]
        for images in (real, half, noise)
    ]
    assert values[0] < values[1] < values[2]


def test_measure_latents_are_whole_batches_that_depend_on_seed_only(pixels, dataset):
    evaluator = Evaluator(configure(), dataset)
    one, two = Replay(dataset.train.images), Replay(dataset.train.images[:5])
    for sampler in (one, two):
        evaluator.measure(sampler, lambda images: images, LATENT)
    other = Replay(dataset.train.images)
    Evaluator(configure(seed=1), dataset).measure(other, lambda images: images, LATENT)
    assert [x.shape for x in one.latents] == [(10, 3)] * 7  # 64 samples are kept
    np.testing.assert_array_equal(one.latents, two.latents)
    assert not np.allclose(one.latents, other.latents)
    latents = np.concatenate(one.latents)
    assert abs(latents.mean()) < 0.25 and 0.8 < latents.std() < 1.2


def test_measure_extracts_samples_once_for_all_metrics(pixels, dataset):
    evaluator = Evaluator(configure(), dataset)
    assert pixels.calls == [COUNT]  # the reference
    evaluator.measure(Replay(dataset.train.images), lambda images: images, LATENT)
    assert pixels.calls == [COUNT] * 3  # samples, reconstructions
    Evaluator(configure(), dataset)
    assert pixels.calls == [COUNT] * 3  # the reference is found again


def test_measure_accuracy_alone_draws_no_samples(pixels, dataset):
    evaluator = Evaluator(configure(eval__metrics=("accuracy",)), dataset)
    found = evaluator.measure(None, lambda images: images, LATENT)
    assert list(found) == ["accuracy_reconstructions", "num_samples"]
    assert pixels.calls == [COUNT]


def test_score_inception_metrics_equal_array_functions(pixels, monkeypatch):
    """On planted features, against the functions on arrays."""
    few_subsets = functools.partial(distances.kernel_distance, num_subsets=2)
    monkeypatch.setattr(distances, "kernel_distance", few_subsets)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1100, 4, 4, 3), np.uint8)
    outputs, real = pixels.extract(images[:1050]), pixels.extract(images)
    reference = metrics.references.Reference(
        scores.Moments.of(real.features), real.features, {}
    )
    names = ("kid", "inception_score", "recall", "fid", "precision")
    found = scores.score(names, {"inception": outputs}, {"inception": reference})
    kid = distances.kernel_distance(real.features, outputs.features)
    inception = distances.inception_score(outputs.logits)
    shares = distances.precision_recall(real.features, outputs.features)
    assert found == {
        "kid": kid.mean,
        "kid_std": kid.std,
        "inception_score": inception.mean,
        "inception_score_std": inception.std,
        "recall": shares.recall,
        "fid": pytest.approx(0, abs=0.1),
        "precision": shares.precision,
    }


# --- when, and what is refused ---------------------------------------------------


def test_is_due_every_rounds_selects_multiples_and_the_last(pixels, dataset):
    def due(every):
        evaluator = Evaluator(configure(eval__every_rounds=every), dataset)
        return [r for r in range(6) if evaluator.is_due(r, 5)]

    assert due(1) == [0, 1, 2, 3, 4, 5]
    assert due(2) == [0, 2, 4, 5]
    assert due(0) == [0, 5]


def test_validate_every_metric_passes():
    config = configure(eval__metrics=(), eval__num_samples=3000)
    for name in registries.metric.names():
        config.eval.metrics = (name,)
        defaults.validate(config)


def test_find_column_of_each_metric_has_a_label():
    for name in scores.columns(registries.metric.names()):
        assert columns.find(name).label, name
    rows = [{"fid": 1.0, "kid": 1.0, "kid_std": 1.0, "num_samples": 3}]
    assert statistics.of_role(rows, "metric") == ["fid", "kid"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"metrics": ("fid",)}, "eval.metrics.*inception_weights=PATH.*WEIGHTS.*downl"),
        ({"metrics": ("kid",), "inception_weights": "/no/file"}, "no such file"),
        ({"metrics": ("fid",), "num_samples": 2047}, "eval.num_samples=2047.*2048"),
        ({"metrics": ("kid_classifier",), "num_samples": 999}, "=999.*1000"),
    ],
)
def test_run_unmeasurable_metric_is_refused_before_reading_data(
    changes, message, tmp_path
):
    options = {"num_samples": 3000, **changes}
    with pytest.raises(UserError, match=message):
        config = configure(**{f"eval__{k}": v for k, v in options.items()})
        config.data.name, config.data.dir = "folder", "/no/such/folder"
        procedures.run(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_validate_accuracy_for_gan_raises_user_error():
    with pytest.raises(UserError, match="accuracy.*gan"):
        configure(task__name="gan")


def test_evaluator_too_few_images_for_fid_raises_user_error(dataset, tmp_path):
    file = tmp_path / "weights.npz"
    file.write_bytes(b"not read")
    config = configure(
        eval__metrics=("fid",),
        eval__num_samples=2048,
        eval__inception_weights=str(file),
    )
    with pytest.raises(UserError, match="training images=64: fid needs 2048"):
        Evaluator(config, dataset)


@pytest.mark.parametrize("column", ["heldout_loss", "train_loss"])
def test_validate_verdict_on_gan_losses_raises_user_error(column):
    gan = {"task__name": "gan", "eval__metrics": ("fd_classifier",)}
    with pytest.raises(UserError, match=f"'{column}'.*two networks.*fd_classifier"):
        configure(**gan, eval__verdict=column)
    for allowed in ("fd_classifier", "heldout_sample_spread"):
        configure(**gan, eval__verdict=allowed)


def test_validate_verdict_on_unmeasured_column_raises_user_error():
    for column in ("fid", "kid_std", "accuracy_reconstructions"):
        with pytest.raises(UserError, match=f"eval.verdict='{column}'.*add it"):
            configure(eval__metrics=("fd_classifier",), eval__verdict=column)
    for column in ("fd_classifier", "heldout_loss"):
        configure(eval__metrics=("fd_classifier",), eval__verdict=column)


def test_evaluator_few_samples_warns_once(pixels, dataset, capfd):
    evaluator = Evaluator(configure(), dataset)
    evaluator.measure(Replay(dataset.train.images), lambda images: images, LATENT)
    said = capfd.readouterr().err
    assert said.count("eval.num_samples=64: fewer than 10000") == 1
    many = configure(eval__num_samples=10_000, eval__metrics=("fd_classifier",))
    Evaluator(many, dataset)
    assert "fewer" not in capfd.readouterr().err


def test_short_hash_changes_with_each_fixed_setting(pixels, dataset):
    changed = dataset._replace(provenance={**dataset.provenance, "encoding": "JPEG"})
    of_batch_statistics = configure()  # of a model that normalizes batches
    of_batch_statistics.eval.batch_norm = "batch"
    hashes = [
        Evaluator(config, images).short_hash
        for config, images in (
            (configure(), dataset),
            (configure(seed=1), dataset),
            (configure(eval__num_samples=65), dataset),
            (of_batch_statistics, dataset),
            (configure(), changed),
        )
    ]
    assert len(set(hashes)) == 5
    assert Evaluator(configure(eval__every_rounds=2), dataset).short_hash == hashes[0]


# --- in a run --------------------------------------------------------------------


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.setattr(classifier, "_train", untrained.train)
    config = quickstart.get_config("smoke")
    config.update_from_flattened_dict(
        {
            "runs": 2,
            "prune.rounds": 2,
            "train.steps": 4,
            "rewind.step": 1,
            "eval.every_steps": 2,
            "eval.num_shown": 2,
            "eval.metrics": ("fd_classifier", "accuracy"),
            "eval.num_samples": 40,
            "eval.every_rounds": 2,
            "eval.classifier_width": 2,
            "data.limit": 48,
            "data.batch_size": 16,
            "data.image_size": 8,
            "model.widths": (6, 5),
            "model.latent_size": 2,
        }
    )
    return config


def test_run_with_metrics_has_their_columns_in_due_rounds(
    experiment, tmp_path, monkeypatch
):
    monkeypatch.setattr(render, "draw", lambda workdir: workdir)
    monkeypatch.setattr(events_lib, "_event_file", lambda folder: None)
    workdir = tmp_path / "run"
    procedures.run(experiment, workdir)
    rows = tables.read_rows(paths.results_path(workdir))
    hashes = set()
    for row in rows:
        if row["round"] == 1:
            assert not {"fd_classifier", "evaluation"} & set(row)
            continue
        assert row["fd_classifier"] > 0 and 0 <= row["accuracy_reconstructions"] <= 1
        assert row["num_samples"] == 40
        hashes.add(row["evaluation"])
    assert len({row["fd_classifier"] for row in rows if row["round"] == 2}) == 4
    [one_hash] = hashes
    config = experiment.copy_and_resolve_references()
    evaluator = Evaluator(config, dataset_lib.load(config))
    assert evaluator.short_hash == one_hash
    assert one_hash in paths.results_path(workdir).read_text()
    stored = evaluator.provenance["references"]["classifier"]
    text = paths.config_path(workdir).read_text()
    assert stored["hash"] in text and stored["sha256"] in text
    # Before the last tenth of the dense training, for the gate of convergence.
    rows = curves.read(paths.curves_path(workdir))
    measured = [(x["round"], x["step"]) for x in rows if "fd_classifier" in x]
    assert measured == [(0, 2)] * experiment.runs
    run = outcomes.load(workdir)
    gates = verdict.verdict(run.rows, "fd_classifier", run.curves, run.baselines).gates
    assert [gate.passed is None for gate in gates[:3]] == [False] * 3


def test_record_diverged_member_is_nan_and_others_are_finite(experiment):
    prepared, data = procedures.prepare(experiment, dataset_lib.load(experiment))
    begun = lottery.dense(prepared)
    params = jax.tree.map(lambda x: x.at[1].set(np.nan), begun.state.params)
    begun = begun._replace(state=begun.state._replace(params=params))
    training = rounds.trainings(prepared, data.streamed)(0)
    recorder = mock.Mock()
    measurement.Measurement(
        prepared,
        training,
        begun,
        Position(step=4),
        data,
        recorder,
        masks_of=lambda member: jax.tree.map(lambda x: x[member], begun.masks),
        columns_of=lambda arm, masks: {},
    ).record()
    (_, _, rows), _ = recorder.rows.call_args
    assert [row["diverged"] for row in rows] == [False, True]
    for name in ("fd_classifier", "accuracy_reconstructions"):
        assert math.isfinite(rows[0][name]) and math.isnan(rows[1][name])
    assert rows[1]["num_samples"] == 40
    assert rows[0]["evaluation"] == rows[1]["evaluation"]


def test_extractor_of_inception_uses_loaded_weights(monkeypatch, dataset):
    """The extractor around the network, without the network."""
    seen = []
    found = weights.Weights({"a": 1}, weights.SHA256, pathlib.Path("/x/file.pth"))
    monkeypatch.setattr(
        weights, "load_weights", lambda *options: seen.append(options) or found
    )
    monkeypatch.setattr(
        extractors.inception, "extract", lambda variables, images: (variables, images)
    )
    config = configure()
    config.eval.inception_weights = "file.pth"
    extractor = metrics._extractor("inception", config, dataset)
    assert seen == [("file.pth", False)]
    assert extractor.extract("images") == ({"a": 1}, "images")
    said = extractor.provenance()
    assert (said["kind"], said["sha256"]) == ("inception", weights.SHA256)
    assert said["weights"] == "file.pth" and said["public"] is True
    extractors.of_inception("", True)
    assert seen[1] == (None, True)
