"""Several processes: detection of launchers; two processes against one."""

import fnmatch
import functools
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from pair import OPTIONS
from test_lottery import configure, make, read, run

from gen_tickets.cli import command_line
from gen_tickets.distributed import processes as processes_lib
from gen_tickets.errors import LostProcess, UserError
from gen_tickets.procedures import rounds
from gen_tickets.workdir import checkpoints, columns

ROOT = pathlib.Path(__file__).parents[1]


def free_port():
    with socket.socket() as place:
        place.bind(("localhost", 0))
        return place.getsockname()[1]


def start_two(workdir):
    port = str(free_port())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return [
        subprocess.Popen(
            [sys.executable, "tests/pair.py", port, str(process), str(workdir)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(2)
    ]


def final_state(prepared, workdir):
    """The training state of the last checkpoint, on the devices of this process."""
    store = checkpoints.Checkpoints(workdir)
    round_state, position = rounds.restore(
        store, functools.partial(rounds.shapes, prepared)
    )
    store.close()
    assert position.finished
    assert position.round == OPTIONS["prune__rounds"]
    return jax.tree.map(np.asarray, round_state.state)


def test_run_two_processes_equals_one_process(tmp_path):
    """One experiment, two processes over loopback; its checkpoint is read by one."""
    processes = start_two(tmp_path / "two")
    try:
        found, rows = run(tmp_path / "one", **OPTIONS)
        said = [process.communicate(timeout=1800)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert "report: " in said[0] and "report: " not in said[1]
    sizes = OPTIONS["prune__rounds"], OPTIONS["runs"]
    pair_found, pair_rows = read(tmp_path / "two", *sizes)
    for key, ticket in found.items():
        for one, two in zip(ticket[:3], pair_found[key][:3]):
            for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for one, two in zip(rows, pair_rows, strict=True):
        assert one.keys() == two.keys()
        floats = [x for x in one if columns.find(x).dtype == "float" and x != "seconds"]
        for name in floats:
            assert two[name] == pytest.approx(one[name], rel=1e-5), name
    prepared, _ = make(configure(**OPTIONS))
    states = [final_state(prepared, tmp_path / x) for x in ("one", "two")]
    for one, two in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "environment, several",
    [
        ({}, False),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "a"}, False),
        ({"SLURM_NTASKS": "4"}, False),  # sbatch's own shell, not within srun
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "a[1-4]"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, True),
        ({"TPU_PROCESS_ADDRESSES": "t0:1,t1:1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, True),
    ],
)
def test_are_several_recognizes_launcher_variables(environment, several):
    assert processes_lib.are_several(environment) == several


def test_start_alone_joins_none_and_together_calls_directly(monkeypatch):
    monkeypatch.setattr(processes_lib, "are_several", lambda environment: False)
    processes_lib.start(configure().parallel)
    assert processes_lib.is_first() and processes_lib.together(lambda: 3) == 3
    np.testing.assert_array_equal(processes_lib.gather([1, 2]), [[1, 2]])
    with pytest.raises(UserError, match="mine"):
        processes_lib.together(complain)
    images = processes_lib.read_shares(
        lambda indices: (indices, None, {"PNG": 3}), np.arange(3)
    )
    assert images[0].tolist() == [0, 1, 2] and images[1:] == (None, {"PNG": 3})


@pytest.mark.parametrize(
    "environment, asks",
    [
        ({}, True),  # a Cloud TPU machine: its metadata server knows
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),  # a notebook's container
        ({"TPU_SKIP_MDS_QUERY": "true"}, False),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, True),
    ],
)
def test_start_on_tpu_initializes_unless_variables_exclude_it(
    monkeypatch, environment, asks
):
    joined = []
    monkeypatch.setattr(processes_lib, "_has_tpu", lambda: True)
    monkeypatch.setattr(processes_lib.os, "environ", environment)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: joined.append(1))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    processes_lib.start(configure().parallel)
    assert bool(joined) == asks


@pytest.mark.parametrize("chips", ["/dev/accel0", "/dev/vfio/0"])
@pytest.mark.parametrize("libtpu", [True, False])
def test_has_tpu_requires_chips_and_libtpu(monkeypatch, chips, libtpu):
    monkeypatch.setattr(
        processes_lib.glob,
        "glob",
        lambda x: fnmatch.filter([chips, "/dev/vfio/vfio"], x),
    )
    found = object() if libtpu else None
    monkeypatch.setattr(processes_lib.importlib.util, "find_spec", lambda name: found)
    assert processes_lib._has_tpu() == libtpu


def complain():
    raise UserError("mine", "is wrong")


def test_start_unreachable_processes_raises_one_line_user_error(monkeypatch):
    def fail(**_):
        raise RuntimeError("DEADLINE_EXCEEDED: nobody\nthere")

    config = configure()
    config.parallel.coordinator, config.parallel.processes = "localhost:1", 2
    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    with pytest.raises(UserError, match="parallel.processes=2.*nobody") as caught:
        processes_lib.start(config.parallel)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [::1]"),
        jax.errors.JaxRuntimeError("UNAVAILABLE: Socket closed\nat once"),
        RuntimeError("DEADLINE_EXCEEDED: Barrier timed out"),
    ],
)
def test_lost_process_told_names_the_loss_in_one_line(monkeypatch, error):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(LostProcess, match="parallel.processes=2: ") as caught:
        with processes_lib.lost_process_told():
            raise error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "count, error",
    [
        (1, ValueError("UNKNOWN: Gloo AllGather failed")),
        (2, ValueError("shapes do not match")),
        (2, UserError("data.dir", "no such folder")),
        (2, UserError("data.dir", "Connection reset by peer")),
    ],
)
def test_lost_process_told_lets_other_errors_through(monkeypatch, count, error):
    monkeypatch.setattr(jax, "process_count", lambda: count)
    with pytest.raises(type(error)) as caught, processes_lib.lost_process_told():
        raise error
    assert caught.value is error


def test_exit_status_of_lost_process_skips_jax_at_exit(monkeypatch, capsys):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)

    def work():
        raise LostProcess("parallel.processes=2", "another process was lost", "go on")

    command_line.exit_status(work)
    assert left == [2]
    told = "gen_tickets: parallel.processes=2: another process was lost; go on\n"
    assert capsys.readouterr().err == told


def test_read_shares_three_processes_keeps_index_order(monkeypatch):
    """Three processes, simulated one after another in one process."""
    images = np.arange(10 * 4, dtype=np.uint8).reshape(10, 4)
    indices = np.array([0, 2, 3, 5, 7, 8, 9])
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    given = [[] for _ in range(3)]

    def play(process, gather):
        monkeypatch.setattr(jax, "process_index", lambda: process)
        monkeypatch.setattr(processes_lib, "gather", gather)
        return processes_lib.read_shares(
            lambda own: (images[own], own.astype(np.int32), {"PNG": len(own)}), indices
        )

    for process in range(3):  # first record what each process sends
        mine = given[process]

        def note(values, mine=mine):
            mine.append(np.asarray(values))
            return np.repeat(mine[-1][None], 3, 0)

        play(process, note)
    turns = iter([np.stack(x) for x in zip(*given)])
    found = play(1, lambda values: next(turns))
    np.testing.assert_array_equal(found[0], images[indices])
    np.testing.assert_array_equal(found[1], indices)
    assert found[2] == {"PNG": len(indices)}


def test_read_shares_of_images_of_two_sizes_raises_user_error(monkeypatch):
    """Each process reads images of one size; those of the other one are larger."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)

    def gather(values):
        is_shape = values.shape == (3,)
        return np.stack([values, values * [2, 2, 1]] if is_shape else [values] * 2)

    monkeypatch.setattr(processes_lib, "gather", gather)
    with pytest.raises(UserError, match=r"image_size=0: .*4, 1\] and .8, 8, 1"):
        processes_lib.read_shares(
            lambda own: (np.zeros((len(own), 4, 4, 1), np.uint8), None, {}),
            np.arange(6),
        )


def test_together_one_process_fails_raises_same_error_everywhere(monkeypatch):
    """Two processes, simulated one after the other in one process."""
    parts = ("data.dir=ü", "no such folder: at all", "give one; or two")
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    rows = []

    def refuse():
        raise UserError(*parts)

    def note(values):
        rows.append(np.asarray(values))
        return np.stack([rows[0], rows[-1]])

    monkeypatch.setattr(processes_lib, "gather", note)
    for function in (refuse, lambda: 3):
        with pytest.raises(UserError) as caught:
            processes_lib.together(function)
        error = caught.value
        assert (error.field, error.problem, error.remedy) == parts
