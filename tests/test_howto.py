"""The code blocks of the guide, executed as they stand."""

import os
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
import untrained
from pages import ROOT, blocks, own_files

from gen_tickets import procedures, tasks
from gen_tickets.cli import experiment_file
from gen_tickets.config import defaults, registries
from gen_tickets.data import dataset
from gen_tickets.evaluation import metrics
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import render
from gen_tickets.workdir import columns
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, tables, tickets

pytestmark = pytest.mark.usefixtures("registries_restored")


def load(name, folder):
    """Puts the file in a folder and runs it as an experiment is run."""
    path = folder / name
    path.write_text(own_files()[name])
    return experiment_file.run(str(path))


@pytest.mark.parametrize("name", own_files())
@pytest.mark.parametrize("size", ["full", "smoke"])
def test_own_file_gives_a_valid_experiment_and_a_task(name, size, tmp_path):
    config = load(name, tmp_path).get_config(size)
    defaults.validate(config)
    if config.data.name != "folder":
        dataset.check(config)
    side = config.data.image_size or 28
    assert tasks.build(config, (side, side, 3), 30).components


def test_guide_snippets_are_parts_of_the_examples():
    examples = "\n".join(code for name, code in own_files().items() if "own_" in name)
    for code in blocks(ROOT / "docs/howto.md", "python"):
        assert code in examples or textwrap.indent(code, "    ") in examples, code


def test_guide_ticket_snippet_prints_sparsity_and_seed(tmp_path, monkeypatch, capsys):
    config = experiment_file.load(experiment_file.find("quickstart.py"), "")
    kernel = np.arange(784.0 * 256, dtype=np.float32).reshape(784, 256)
    params = {"encoder": {"dense_0": {"kernel": kernel}}}
    masks = {"encoder": {"dense_0": {"kernel": kernel % 4 == 0}}}
    monkeypatch.chdir(tmp_path)
    ticket = tickets.Ticket(
        masks, masks_lib.rewind(masks, params), {}, {"config": {"seed": config.seed}}
    )
    tickets.save(paths.ticket_path("runs/quickstart", config.prune.rounds, 0), ticket)
    [code] = [x for x in blocks(ROOT / "docs/run.md", "python")]
    exec(code, {})
    assert capsys.readouterr().out == "0.75 0\n"


@pytest.mark.slow
def test_own_model_data_saliency_and_metric_run_together(tmp_path, monkeypatch):
    own = {
        name: load(f"own_{name}.py", tmp_path)
        for name in ("data", "saliency", "metric")
    }
    config = load("own_model.py", tmp_path).get_config("smoke")
    config.update_from_flattened_dict(
        {
            "runs": 1,
            "arms": ("winning",),  # equally many members in all rounds: one compilation
            "data.name": own["data"].get_config().data.name,
            "data.limit": 48,
            "data.batch_size": 16,
            "model.widths": (12, 12, 5),
            "train.steps": 3,
            "rewind.step": 1,
            "prune.rounds": 1,
            "prune.method": own["saliency"].get_config().prune.method,
            "eval.metrics": own["metric"].get_config().eval.metrics,
            "eval.verdict": own["metric"].get_config().eval.verdict,
            "eval.num_shown": 2,
            "eval.num_samples": 16,
        }
    )
    defaults.validate(config)
    monkeypatch.setenv("GEN_TICKETS_CACHE", str(tmp_path / "cache"))
    pixels = untrained.Pixels()
    monkeypatch.setattr(metrics, "_extractor", lambda *_: pixels.extractor)
    monkeypatch.setattr(render, "draw", lambda workdir: workdir)
    monkeypatch.setattr(events_lib, "_event_file", lambda folder: None)
    procedures.run(config, tmp_path / "run")

    rows = tables.read_rows(paths.results_path(tmp_path / "run"))
    assert [row["arm"] for row in rows] == ["dense", "winning"]
    for row in rows:
        assert 0 <= row["coverage"] <= 1
        assert row["flops_compact"] == row["flops_dense"]  # no channel groups
    assert columns.find("coverage").better == "higher"
    ticket = tickets.load(paths.ticket_path(tmp_path / "run", 1, 0))
    counts = masks_lib.layer_counts(ticket.masks)
    total = sum(size for size, _ in counts.values())
    assert counts["encoder/Dense_0/kernel"][0] == 16 * 16 * 12
    kept = sum(kept for _, kept in counts.values())
    assert kept == masks_lib.keep_count(total, config.prune.fraction, 1)


def test_lamp_of_a_layer_equals_the_definition(tmp_path):
    weights = np.array([[0.5, -2.0, 0.0], [1.0, -0.1, 3.0]], np.float32)
    lamp = load("own_saliency.py", tmp_path).lamp
    found = lamp({"layer": {"kernel": weights}})
    squares = weights**2
    expected = [[s / squares[squares >= s].sum() for s in row] for row in squares]
    np.testing.assert_allclose(found["layer"]["kernel"], expected, rtol=1e-5)


def test_coverage_of_points_equals_the_definition(tmp_path):
    module = load("own_metric.py", tmp_path)
    random = np.random.default_rng(0)
    real, samples = random.normal(size=(40, 3)), random.normal(size=(30, 3)) + 0.7

    class Of:
        def __init__(self, features):
            self.features = features

    def is_covered(image):
        others = sorted(np.linalg.norm(real - image, axis=1))[1:]
        return np.linalg.norm(samples - image, axis=1).min() < others[4]

    [share] = module.coverage(Of(samples), Of(real))
    assert 0 < share < 1
    assert share == np.mean([is_covered(image) for image in real])
    assert module.coverage(Of(real), Of(real)) == (1.0,)


def test_stripes_are_constant_along_the_axis_of_their_label(tmp_path):
    config = load("own_data.py", tmp_path).get_config()
    config.data.limit = 40
    config.data.batch_size = 8
    train, heldout, provenance = dataset.load(config)
    assert train.images.shape == (40, 16, 16, 1) and train.images.dtype == np.uint8
    assert set(train.labels) == {0, 1} and len(heldout.images) == 8
    assert provenance["heldout_split"] == "heldout"
    again = dataset.load(config).provenance
    assert again["sha256_train"] == provenance["sha256_train"]
    for image, label in zip(train.images, train.labels):
        assert np.ptp(image) > 0 and (np.ptp(image, axis=1 - label) == 0).all()


def test_least_squares_terms_equal_half_squared_distances(tmp_path):
    load("own_loss.py", tmp_path)
    terms = registries.loss.get("least_squares").terms()
    logits = np.array([-1.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(terms.real(logits), [2, 0.5, 0, 0.5])
    np.testing.assert_array_equal(terms.fake(logits), [0.5, 0, 0.5, 2])
    np.testing.assert_array_equal(terms.generator(logits), terms.real(logits))


def test_denoising_step_keeps_pruned_weights_at_zero(tmp_path):
    module = load("own_task.py", tmp_path)
    config = module.get_config("smoke")
    config.model.widths, config.model.latent_size = (8, 6), 3
    task = tasks.build(config, (4, 4, 1), 30)
    state = jax.jit(task.init)(jax.random.key(0))
    masks = masks_lib.dense(state.params)
    kernel = masks["encoder"]["dense_0"]["kernel"]
    masks["encoder"]["dense_0"]["kernel"] = kernel.at[::2].set(False)
    state = state._replace(params=masks_lib.apply(masks, state.params))
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), np.uint8)
    after, metrics = jax.jit(task.step)(state, masks, images, jax.random.key(1))
    found = after.params["encoder"]["dense_0"]["kernel"]
    assert (found[::2] == 0).all() and (found[1::2] != 0).all()
    assert after.step == 1 and np.isfinite(metrics["loss"])
    # Without black pixels it is the autoencoder's own loss.
    module.BLACK = 0.0
    key = jax.random.key(2)
    plain = registries.task.get("ae").build(config, tasks.Setting((4, 4, 1), 30))
    np.testing.assert_allclose(
        jax.jit(task.loss)(after.params, after.stats, images, key),
        jax.jit(plain.loss)(after.params, after.stats, images, key),
        rtol=1e-6,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [x for x in own_files() if x.startswith("own_")])
def test_own_file_run_by_its_command_draws_a_report(name, tmp_path):
    (tmp_path / name).write_text(own_files()[name])
    done = subprocess.run(
        [sys.executable, "-m", "gen_tickets.main", f"--config={name}:smoke"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"runs/{name[:-3]}-smoke/report.html").exists()
