"""TensorBoard events reach the disk at once, with either writer."""

import io
import logging
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_lottery import run

from gen_tickets.errors import UserError
from gen_tickets.workdir import events


def test_event_writer_without_tensorboard_writes_nothing(tmp_path, monkeypatch, caplog):
    writing = "tensorboard.summary.writer.record_writer"
    monkeypatch.setitem(sys.modules, writing, None)
    caplog.set_level(logging.INFO)
    writer = events.EventWriter(tmp_path)
    for name in ("winning", "random"):
        writer.write(name, 0, {"loss": 1.0})
    writer.close()
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if "TensorBoard events are off" in m]) == 1
    assert os.listdir(tmp_path) == []


_KILLED = """
import os, signal, sys
from gen_tickets.workdir import events
writer = events.EventWriter(sys.argv[1])
writer.write("", 3, {"winning/loss": 0.5, "random/loss": float("nan")})
writer.write("", 4, {"winning/loss": 0.25})
assert "tensorflow" not in sys.modules
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_event_writer_of_killed_process_leaves_its_events(tmp_path):
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader"
    )
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (path,) = tmp_path.iterdir()
    events = list(loader.EventFileLoader(str(path)).Load())
    assert events[0].file_version == "brain.Event:2"
    found = [
        (event.step, value.tag, value.tensor.float_val[0])
        for event in events
        for value in event.summary.value
    ]
    assert found[::2] == [(3, "winning/loss", 0.5), (4, "winning/loss", 0.25)]
    assert found[1][:2] == (3, "random/loss") and math.isnan(found[1][2])


@pytest.fixture(params=["tensorboard", "clu"])
def name(request):
    if request.param == "clu":
        pytest.importorskip("tensorflow")
    return request.param


@pytest.mark.parametrize("channels", [1, 3])
def test_event_writer_scalars_and_image_are_read_back(name, channels, tmp_path):
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader"
    )
    shape = (5, 7, channels)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    writer = events.make(name, tmp_path)
    writer.write("dense", 3, {"heldout/loss": 0.5, "heldout/kl": 2.0})
    writer.image("dense", 1, "samples", image)
    # Before it is closed, because a killed process does not close it.
    (path,) = (tmp_path / "dense").iterdir()
    *scalars, (step, shown) = [
        (event.step, value)
        for event in loader.EventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]
    writer.close()
    # The two write a tensor's numbers into different fields.
    read = pytest.importorskip("tensorboard.util.tensor_util").make_ndarray
    found = [(step, value.tag, read(value.tensor).item()) for step, value in scalars]
    assert found == [(3, "heldout/loss", 0.5), (3, "heldout/kl", 2.0)]
    assert (step, shown.tag) == (1, "samples")
    assert shown.metadata.plugin_data.plugin_name == "images"
    width, height, png = read(shown.tensor)
    assert (width, height) == (b"7", b"5")
    with Image.open(io.BytesIO(png)) as opened:
        np.testing.assert_array_equal(np.asarray(opened).reshape(shape), image)


def load(folder):
    """What TensorBoard shows of a run, by its own reader without a data server."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.plugin_event_accumulator"
    )
    return accumulator.EventAccumulator(str(folder)).Reload()


def points(folder, tag):
    return [
        (event.step, event.tensor_proto.float_val[0])
        for event in load(folder).Tensors(tag)
    ]


def test_event_writers_one_after_the_other_leave_each_point_once(tmp_path):
    """The killed process was two evaluations beyond its checkpoint."""
    for steps in ((10, 20, 30, 40), (30, 40, 50)):
        writer = events.EventWriter(tmp_path)
        writer.text("", "parameters", "| a | 3 |")
        for step in steps:
            for arm in ("winning", "random"):
                writer.write(f"{arm}/round_01", step, {"heldout/loss": step / 8})
        # What a round leaves is in runs of its own and takes no point of the curves.
        writer.write("winning", 1, {"result/fid": 2.0})
        writer.hparams("winning/round_01/result", 1, {"arm": "winning"})
        writer.close()
    expected = [(step, step / 8) for step in (10, 20, 30, 40, 50)]
    for arm in ("winning", "random"):
        assert points(tmp_path / arm / "round_01", "heldout/loss") == expected
    assert points(tmp_path / "winning", "result/fid") == [(1, 2.0)]
    assert len(load(tmp_path).Tensors("parameters")) == 1


def test_event_writer_hparams_are_those_of_the_plugin(tmp_path):
    plugin_data_pb2 = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    writer = events.EventWriter(tmp_path)
    values = {"arm": "random", "round": 2, "train.ema": True, "sparsity": 0.36}
    writer.hparams("random", 2, values)
    writer.close()
    (content,) = load(tmp_path / "random").PluginTagToContent("hparams").values()
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    found = dict(started.hparams)
    assert found["arm"].string_value == "random"
    assert found["train.ema"].bool_value and found["round"].number_value == 2
    assert found["sparsity"].number_value == 0.36


def test_event_writer_on_other_process_writes_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = events.make(name, None)
    writer.write("dense", 3, {"loss": 0.5})
    writer.image("dense", 1, "samples", np.zeros((2, 2, 1), np.uint8))
    writer.text("", "parameters", "none")
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_run_clu_writer_without_tensorflow_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(
        UserError, match="^log.writer='clu': .*needs TensorFlow"
    ) as told:
        run(tmp_path, log__writer="clu")
    assert 'pip install "gen_tickets[tensorflow]"' in told.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_results_are_means_over_runs_beside_their_round_and_sparsity(tmp_path):
    rows = [
        {"arm": arm, "sparsity": 0.5, "sparsity_encoder": 0.25 + run / 2, "run": run}
        | {"heldout_loss": 1.0 + run, "fid": math.nan if run else 3.0, "seconds": 2.0}
        for arm in ("winning", "random")
        for run in (0, 1)
    ]
    writer = events.EventWriter(tmp_path)
    events.write_results(writer, "round_03", 3, rows, {"data.name": "digits"})
    writer.close()
    expected = {
        "sparsity/total": 0.5,
        "sparsity/encoder": 0.5,
        "result/heldout_loss": 1.5,
        "result/seconds": 2.0,
    }
    for name in ("winning", "winning/round_03/result", "random"):
        found = load(tmp_path / name)
        tags = set(found.Tags()["tensors"]) - {"_hparams_/session_start_info"}
        assert tags == set(expected)  # one of the two scores is not a number
        for tag, value in expected.items():
            assert points(tmp_path / name, tag) == [(3, value)]
