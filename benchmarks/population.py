"""Time and memory of populations: 1, 2, 5, 10 and 20 members of one program.

    python -m benchmarks.population --experiment=experiments/vae_cifar10.py

Every population runs in a separate process, because memory is the peak of the process
(on a GPU, of the device). Images are random; half of the prunable weights are pruned.
Prints a table, and saves it with the hardware as benchmarks/results/population.json.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

from benchmarks.train_step import command

RESULTS = pathlib.Path(__file__).parent / "results"
NUM_IMAGES = 1024


def _config(experiment: str):
    spec = importlib.util.spec_from_file_location("experiment", experiment)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def _stretch(config, shape, members: int):
    """-> (function(num_steps) that trains, bytes of the state of all members)."""
    import jax
    import numpy as np

    from gen_tickets import tasks
    from gen_tickets.distributed import memory, mesh
    from gen_tickets.pruning import masks as masks_lib
    from gen_tickets.training import loop as loop_lib

    task = tasks.build(config, shape, 10)
    layout = mesh.choose(1)
    keys = layout.members(jax.random.split(jax.random.key(0), members))
    state = layout.members(jax.jit(jax.vmap(task.init))(keys))
    draw = np.random.default_rng(0)
    masks = layout.members(
        jax.tree.map(
            lambda x: (draw.random(x.shape) < 0.5) | (x.ndim < 3),
            masks_lib.dense(state.params),
        )
    )
    images = layout.copies(draw.integers(0, 256, (NUM_IMAGES, *shape), np.uint8))
    per_step = config.data.batch_size * config.task.discriminator_steps
    totals = loop_lib.empty_totals(task, images[:per_step], members)
    rows = (loop_lib.MAX_STRETCH, members, per_step)
    order = layout.copies(draw.integers(0, NUM_IMAGES, rows, np.int32))
    loop = loop_lib.make_loop(task, layout.mesh(members))
    carried = [state, layout.members(totals)]

    def run(num_steps):
        carried[:] = loop.stretch(*carried, masks, images, order, keys, num_steps)
        jax.block_until_ready(carried)

    return run, memory.size_of(state)


def _measure(experiment: str, members: int, side: int, turns: int, seconds: float):
    """What one population takes; times are seconds a step and member."""
    started = time.perf_counter()
    config = _config(experiment)
    channels = 1 if config.data.name in ("digits", "mnist") else 3
    run, state_bytes = _stretch(config, (side, side, channels), members)
    run(1)
    start_seconds = time.perf_counter() - started
    begun = time.perf_counter()
    run(2)
    num_steps = max(1, min(500, round(2 * seconds / (time.perf_counter() - begun))))
    times = []
    for _ in range(turns):
        begun = time.perf_counter()
        run(num_steps)
        times.append((time.perf_counter() - begun) / num_steps / members)

    import jax

    device = jax.devices()[0]
    return {
        "members": members,
        "seconds_a_step_and_member": times,
        "start_seconds": start_seconds,  # imports, drawing, compiling, one step
        "state_bytes": state_bytes,
        "peak_process_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "peak_device_bytes": (device.memory_stats() or {}).get("peak_bytes_in_use"),
        "device": device.device_kind,
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
    }


def _print(row: dict) -> None:
    peak = row["peak_device_bytes"] or row["peak_process_bytes"]
    print(
        f"{row['members']:3d} members  "
        f"{1e3 * statistics.median(row['seconds_a_step_and_member']):9.2f} ms a step "
        f"and member  {peak / 2**20:8.0f} MiB at the peak  "
        f"{row['start_seconds']:6.1f} s to start",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="experiments/vae_cifar10.py")
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn")
    parser.add_argument("--output", default=str(RESULTS / "population.json"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    shared = (options.side, options.turns, options.seconds)
    if options.worker:
        print(json.dumps(_measure(options.experiment, *options.members, *shared)))
        return
    rows = []
    for members in options.members:
        found = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.population", *sys.argv[1:]),
                *("--worker", "--members", str(members)),
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        rows.append(json.loads(found.stdout))
        _print(rows[-1])
    output = pathlib.Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    results = {"command": command(), "populations": rows}
    output.write_text(json.dumps(results, indent=1))
    print(f"saved: {output}")


if __name__ == "__main__":
    main()
