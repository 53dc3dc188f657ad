"""Faults of docs/reliability.md that belong to no single module."""

import asyncio
import contextlib
import gc
import logging
import pathlib
import re
import resource
import signal
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_checkpoints import assert_is, damage, fill, restore
from test_lottery import configure, run
from test_workdir import configure as options
from test_workdir import start

from gen_tickets import procedures
from gen_tickets.cli import command_line
from gen_tickets.distributed import memory
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.training import driver
from gen_tickets.training.meter import Meter
from gen_tickets.training.round_state import Position
from gen_tickets.workdir import lock, paths
from gen_tickets.workdir.checkpoints import Checkpoints

ROOT = pathlib.Path(__file__).parents[1]


@contextlib.contextmanager
def files_no_larger_than(num_bytes):
    """Writes beyond fail, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_write_on_full_disk_leaves_old_file(tmp_path):
    path = tmp_path / "file"
    paths.write_atomically(path, b"old")
    with files_no_larger_than(1000), pytest.raises(UserError, match="make room"):
        paths.write_atomically(path, bytes(2000))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_save_on_full_disk_leaves_previous_checkpoint(tmp_path):
    fill(tmp_path, [2])
    with files_no_larger_than(1000), pytest.raises(UserError, match="make room"):
        fill(tmp_path, [3])
    assert_is(restore(tmp_path), 2)
    fill(tmp_path, [3])
    assert_is(restore(tmp_path), 3)


def abandon_a_future():
    """asyncio logs that nobody asked for the error."""
    loop = asyncio.new_event_loop()
    loop.create_future().set_exception(OSError("of another array"))
    gc.collect()
    loop.close()


def test_save_many_arrays_beyond_the_limit_prints_no_traceback(
    tmp_path, monkeypatch, caplog
):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    monkeypatch.setattr(logging.getLogger("asyncio"), "filters", [])
    abandon_a_future()
    assert "never retrieved" in caplog.text
    caplog.clear()
    store, random = Checkpoints(tmp_path), np.random.default_rng(0)
    tree = {f"{i}": jnp.float32(random.random((300, 300))) for i in range(60)}
    store.save(1, tree, [])  # compiles, and JAX caches the program on the disk
    with files_no_larger_than(20_000), pytest.raises(UserError, match="make room"):
        store.save(2, tree, [])
    abandon_a_future()
    assert not [str(x.exc_value) for x in printed if "loop" in str(x.exc_value)]
    assert "never retrieved" not in caplog.text


def test_restore_files_emptied_by_power_loss_uses_previous(tmp_path):
    fill(tmp_path, [2, 3])
    damage(tmp_path, 3, "emptied")
    assert_is(restore(tmp_path), 2)


def test_save_removes_leftovers_of_a_killed_save(tmp_path):
    fill(tmp_path, [2])
    half = paths.checkpoints_dir(tmp_path) / "3.orbax-checkpoint-tmp-0"
    half.mkdir()
    fill(tmp_path, [4])
    assert not half.exists()
    assert_is(restore(tmp_path), 4)


def test_lock_of_killed_process_is_free(tmp_path):
    start(tmp_path)
    hold = (
        "import sys, time; sys.path.insert(0, 'tests')\n"
        "from test_workdir import *\n"
        f"held = lock_lib.claim({str(tmp_path)!r}, configure(), {{}})\n"
        "print('locked', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match="another process"):
            start(tmp_path)
        process.kill()
    start(tmp_path)


def test_claim_other_versions_warns_and_other_images_are_refused(tmp_path, capsys):
    def claim(jax_version, digest):
        origin = {
            "packages": {"jax": jax_version},
            "data": {"sha256_train": digest, "pillow": jax_version},
        }
        lock.claim(tmp_path, options(), origin).release()

    claim("1", "abc")
    claim("1", "abc")
    assert capsys.readouterr().err == ""
    claim("2", "abc")
    said = capsys.readouterr().err
    assert "packages.jax: 1 -> 2" in said and len(said.splitlines()) == 1
    with pytest.raises(UserError, match="its images have changed.*abc -> abd"):
        claim("2", "abd")
    claim("2", "abc")


def test_claim_streamed_images_of_another_number_are_refused(tmp_path):
    """They have no digest of the training images, and another order with any number."""

    def claim(num_train):
        data = {"num_train": num_train, "sha256_train": None, "sha256_heldout": "abc"}
        lock.claim(tmp_path, options(), {"data": data}).release()

    claim(100)
    with pytest.raises(UserError, match="have changed .*data.num_train: 100 -> 101"):
        claim(101)
    claim(100)


def test_run_damaged_table_raises_user_error_before_training(tmp_path):
    lock.claim(tmp_path, configure(), {}).release()
    paths.results_path(tmp_path).write_text("round,run,arm\n0,0,dense\n1,0,win")
    with pytest.raises(UserError, match="results.csv: is empty or cut short"):
        procedures.run(configure(), tmp_path)


def test_run_of_options_that_nobody_validated_refuses_them_at_once(tmp_path):
    with pytest.raises(UserError, match="did you mean 'heldout_loss'"):
        procedures.run(configure(eval__verdict="heldout_los"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_run_population_beyond_memory_raises_before_training(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "memory_of", lambda device: 1e4)
        with pytest.raises(UserError, match="runs: .* GiB, even trained one at"):
            procedures.run(configure(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_memory_errors_resource_exhausted_becomes_user_error():
    with pytest.raises(UserError, match="does not suffice .RESOURCE_EXHAUSTED: 4 TB"):
        with memory.memory_errors_told():
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 4 TB\nmore")
    with pytest.raises(jax.errors.JaxRuntimeError):
        with memory.memory_errors_told():
            raise jax.errors.JaxRuntimeError("INTERNAL: a bug")


@pytest.mark.usefixtures("default_signal_handlers")
@pytest.mark.parametrize(
    "number, status",
    [(signal.SIGUSR1, 0), (signal.SIGINT, 130)],  # SIGTERM: in test_resume
)
def test_signal_while_training_saves_and_exits_with_its_status(
    tmp_path, number, status, capsys
):
    """In the middle of a round; test_resume tests the continuation."""
    show = Meter.show

    def hook(self, step, arms, best_loss):
        signal.raise_signal(number)
        show(self, step, arms, best_loss)

    def interrupted(config, experiment):
        run(tmp_path, prune__rounds=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Meter, "show", hook)
        with pytest.raises(SystemExit) as ended:
            command_line.run(interrupted, ["main"])
    assert ended.value.code == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("gen_tickets: stopped by SIG") and last.endswith(
        "to continue"
    )
    assert [x for x in paths.checkpoints_dir(tmp_path).iterdir() if x.name.isdigit()]


def test_signal_between_rounds_saves_before_the_next_is_compiled():
    saved = []
    hooks = driver.Hooks(
        save=lambda *state: saved.append(state),
        save_seconds=60.0,
        evaluated=pytest.fail,
        stop=[signal.SIGTERM],
    )
    schedule = types.SimpleNamespace(num_steps=9, evaluation_interval=3)
    training = types.SimpleNamespace(title="", schedule=schedule, later_steps=0.0)
    with pytest.raises(Interrupted, match="SIGTERM"):
        driver.train(training, "state", Position(1, 3), None, hooks)
    assert saved == [("state", Position(1, 3))]


def test_ctrl_c_before_training_prints_one_line(capsys):
    def main(config, experiment):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        command_line.run(main, ["main"])
    assert ended.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_reliability_table_names_existing_tests_and_commands():
    text = (ROOT / "docs" / "reliability.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| *\d+ *\|", line)]
    assert len(rows) >= 25
    for row in rows:
        assert row.count("|") == 6, row
        named = re.findall(r"`(test_\w+)\.(test_\w+)`", row)
        commands = re.findall(r"`python -m (benchmarks|gen_tickets)\.(\w+)", row)
        assert named or commands, row
        for module, test in named:
            assert f"def {test}(" in (ROOT / "tests" / f"{module}.py").read_text()
        for package, module in commands:
            place = ROOT / package / module
            assert place.is_dir() or place.with_suffix(".py").exists()
