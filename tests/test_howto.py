"""The code of the guide, run as it stands on its pages."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import untrained
from pages import ROOT, blocks, own_files

from gen_tickets import procedures, tasks
from gen_tickets.cli import command_line
from gen_tickets.config import defaults, extensions
from gen_tickets.data import dataset
from gen_tickets.errors import UserError
from gen_tickets.evaluation import metrics
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning import saliency
from gen_tickets.workdir import columns
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, tables, tickets


def import_file(path):
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name, folder):
    """Puts the file in a folder and loads it as an experiment is loaded."""
    path = folder / name
    path.write_text(own_files()[name])
    return import_file(path)


@pytest.fixture(autouse=True)
def nothing_added():
    """Takes away again what a test adds to tables and options."""
    registries = [*extensions._TABLES.values(), defaults.OPTIONS, columns.TABLE]
    before = [dict(registry) for registry in registries]
    yield
    for table, was in zip(registries, before):
        table.clear()
        table.update(was)
    saliency.OF_IMAGES.intersection_update(saliency.SCORES)


@pytest.mark.parametrize("name", own_files())
@pytest.mark.parametrize("size", ["full", "smoke"])
def test_an_own_file_is_an_experiment(name, size, tmp_path):
    config = load(name, tmp_path).get_config(size)
    defaults.validate(config)
    if config.data.name != "folder":
        dataset.check(config)
    side = config.data.image_size or 28
    assert tasks.build(config, (side, side, 3), 30).components


def test_the_ticket_of_the_guide_is_read_as_it_says(tmp_path, monkeypatch, capsys):
    config = import_file(command_line.find_experiment("quickstart.py")).get_config()
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
def test_own_model_data_score_and_metric_together(tmp_path, monkeypatch):
    own = {
        name: load(f"own_{name}.py", tmp_path) for name in ("data", "score", "metric")
    }
    config = load("own_model.py", tmp_path).get_config("smoke")
    config.update_from_flattened_dict(
        {
            "runs": 1,
            "arms": ("winning",),  # as many members in all rounds: one compile
            "data.name": own["data"].get_config().data.name,
            "data.limit": 48,
            "data.batch_size": 16,
            "model.widths": (12, 12, 5),
            "train.steps": 3,
            "rewind.step": 1,
            "prune.rounds": 1,
            "prune.method": own["score"].get_config().prune.method,
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
    monkeypatch.setattr(procedures.render, "draw", lambda workdir: workdir)
    monkeypatch.setattr(events_lib, "_event_file", lambda folder: None)
    procedures.run(config, tmp_path / "run")

    rows = tables.read_rows(paths.results_path(tmp_path / "run"))
    assert [row["arm"] for row in rows] == ["dense", "winning"]
    for row in rows:
        assert 0 <= row["coverage_recall"] <= 1
        assert row["flops_compact"] == row["flops_dense"]  # no channel groups
    assert columns.find("coverage_recall").better == "higher"
    ticket = tickets.load(paths.ticket_path(tmp_path / "run", 1, 0))
    counts = masks_lib.layer_counts(ticket.masks)
    total = sum(size for size, _ in counts.values())
    assert counts["encoder/trunk/dense_0/kernel"][0] == 16 * 16 * 12
    kept = sum(kept for _, kept in counts.values())
    assert kept == masks_lib.keep_count(total, config.prune.fraction, 1)


def test_lamp_is_what_its_paper_says(tmp_path):
    weights = np.array([[0.5, -2.0, 0.0], [1.0, -0.1, 3.0]], np.float32)
    lamp = load("own_score.py", tmp_path).lamp
    found = lamp({"layer": {"kernel": weights}})
    squares = weights**2
    expected = [[s / squares[squares >= s].sum() for s in row] for row in squares]
    np.testing.assert_allclose(found["layer"]["kernel"], expected, rtol=1e-5)


def test_coverage_is_what_its_paper_says(tmp_path):
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


def test_discs_and_squares_are_drawn(tmp_path):
    config = load("own_data.py", tmp_path).get_config()
    config.data.limit = 40
    config.data.batch_size = 8
    train, heldout, provenance = dataset.load(config)
    assert train.images.shape == (40, 16, 16, 1) and train.images.dtype == np.uint8
    assert set(train.labels) == {0, 1} and len(heldout.images) == 8
    assert provenance["heldout_split"] == "heldout"
    again = dataset.load(config).provenance
    assert again["sha256_train"] == provenance["sha256_train"]
    shares = [(train.images[train.labels == label] > 0).mean() for label in (0, 1)]
    assert shares[1] > shares[0] > 0.05  # a square is larger than the disc in it


@pytest.mark.parametrize(
    "add, name",
    [
        (extensions.add_model, "linear"),
        (extensions.add_data, "digits"),
        (extensions.add_score, "magnitude"),
        (extensions.add_metric, "fid"),
    ],
)
def test_a_name_of_ours_is_not_taken(add, name):
    with pytest.raises(UserError, match=f"{name!r}: comes with gen_tickets"):
        add(name, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [x for x in own_files() if x.startswith("own_")])
def test_an_own_file_runs_by_its_command(name, tmp_path):
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
