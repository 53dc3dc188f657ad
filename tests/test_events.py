"""TensorBoard events are on the disk at once, and off without TensorBoard."""

import logging
import math
import os
import signal
import subprocess
import sys

import pytest

from gen_tickets.workdir import events


def test_event_writer_without_tensorboard_writes_nothing(tmp_path, monkeypatch, caplog):
    writing = "tensorboard.summary.writer.record_writer"
    monkeypatch.setitem(sys.modules, writing, None)
    caplog.set_level(logging.INFO)
    writer = events.EventWriter(tmp_path)
    writer.write(0, {"loss": 1.0})
    writer.close()
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if "TensorBoard events are off" in m]) == 1
    assert os.listdir(tmp_path) == []


_KILLED = """
import os, signal, sys
from gen_tickets.workdir import events
writer = events.EventWriter(sys.argv[1])
writer.write(3, {"winning/loss": 0.5, "random/loss": float("nan")})
writer.write(4, {"winning/loss": 0.25})
assert "tensorflow" not in sys.modules
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_event_writer_of_a_killed_process_leaves_its_events(tmp_path):
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
