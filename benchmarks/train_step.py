"""Times one training step: PyTorch and ours, masked, ten members, bfloat16.

    python -m benchmarks.train_step --models=conv_ae,vae,dcgan

Every variant runs in a separate process, and they take turns, so that changes in the
speed of the machine affect all of them. Prints and saves ratios within a turn, with
their range. The memory pages of a process can change its speed by 15 % for its
lifetime, so all processes are restarted --processes times. PyTorch runs `torch_peer`
(channels_last, masks multiplied into the weights after each step); without PyTorch, its
rows are omitted with a message.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

RESULTS = pathlib.Path(__file__).parent / "results"
BATCH_SIZES = {"linear_ae": 128, "conv_ae": 128, "vae": 128, "dcgan": 64, "ddpm": 64}
MEMBERS = 10

# variant -> (compared with, what the ratio of their times says)
COMPARISONS = {
    "masked": ("torch", "PyTorch float32 / ours float32, masked"),
    "bfloat16": ("torch bfloat16", "PyTorch autocast / ours mixed, masked"),
    "unmasked": ("masked", "our masked / our step without masks"),
    "members": ("masked", f"one training / one of {MEMBERS} members"),
    "float32": ("bfloat16", "ours mixed / ours float32"),
}
VARIANTS = ("masked", "unmasked", "members", "bfloat16", "torch", "torch bfloat16")


def _configure(model: str, variant: str):
    from gen_tickets.config import defaults

    config = defaults.get_config()
    config.data.batch_size = BATCH_SIZES[model]
    config.precision = "bfloat16" if variant == "bfloat16" else "float32"
    if model == "conv_ae":
        config.model.name = "conv"
        config.model.widths = (32, 64, 128, 256, 512)
        config.model.latent_size = 512
    elif model in ("vae", "dcgan"):
        config.model.name = "convstack"
        config.model.latent_size = 128
        config.model.widths = (64, 128, 256, 512)
        config.task.name = "vae"
    if model == "dcgan":
        config.model.widths = (128, 256, 512)
        config.task.name = "gan"
        config.optimizer.learning_rate = 2e-4
        config.optimizer.b1 = 0.5
    elif model == "ddpm":
        config.task.name, config.model.name = "diffusion", "unet"
        config.model.update(widths=(32, 64), blocks=1, attention=(), norm_groups=8)
    return config


def _ours(model: str, variant: str):
    """-> function(num_steps) that trains, and the members it trains at once."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from gen_tickets import tasks
    from gen_tickets.training import loop as loop_lib
    from gen_tickets.training import state

    config = _configure(model, variant)
    shape = (28, 28, 1) if model == "linear_ae" else (32, 32, 3)
    task = tasks.build(config, shape, 10)
    members = MEMBERS if variant == "members" else 1
    keys = jax.random.split(jax.random.key(0), members)
    population = jax.vmap(task.init)(keys)
    draw = np.random.default_rng(0)
    masks = jax.tree.map(
        lambda x: jnp.asarray(draw.random(x.shape) < 0.5) | (x.ndim < 3),
        population.params,
    )
    if variant == "unmasked":
        state.masks_lib.apply = lambda masks, tree: tree
    images = jnp.asarray(draw.integers(0, 256, (1024, *shape), np.uint8))
    batch = config.data.batch_size
    order = draw.integers(0, 1024, (loop_lib.MAX_STRETCH, members, batch), np.int32)
    totals = loop_lib.empty_totals(task, images[:batch], members)
    loop, carried = loop_lib.make_loop(task), [population, totals]

    def run(num_steps):
        carried[:] = loop.stretch(*carried, masks, images, order, keys, num_steps)
        jax.block_until_ready(carried)

    return run, members


def _torch(model: str, variant: str):
    from benchmarks import torch_peer

    setup = torch_peer.Setup(bfloat16=variant.endswith("16"))
    step = torch_peer.build(model, BATCH_SIZES[model], setup)

    def run(num_steps):
        for _ in range(num_steps):
            step()

    return run, 1


def _work(model: str, variant: str) -> None:
    """A worker: reads numbers of steps, prints seconds a step and member."""
    if not variant.startswith("torch"):
        from gen_tickets.cli import command_line

        command_line.use_compilation_cache()
    make = _torch if variant.startswith("torch") else _ours
    run, members = make(model, variant)
    run(1)
    print("ready", flush=True)
    for line in sys.stdin:
        num_steps, started = int(line), time.perf_counter()
        run(num_steps)
        seconds = (time.perf_counter() - started) / num_steps / members
        print(seconds, flush=True)


class _Worker:
    def __init__(self, model: str, variant: str):
        command = [sys.executable, "-m", "benchmarks.train_step"]
        self._process = subprocess.Popen(
            [*command, f"--models={model}", f"--worker={variant}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline().strip() != "ready":
            raise SystemExit(f"the worker for {model}, {variant} did not start")

    def time(self, num_steps: int) -> float:
        self._process.stdin.write(f"{num_steps}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def _measure(
    model: str, variants, processes: int, turns: int, seconds: float
) -> dict[str, list]:
    """{variant: seconds a step and member, one number a turn of all the processes}."""
    times = {variant: [] for variant in variants}
    for _ in range(processes):
        for variant, values in _take_turns(model, variants, turns, seconds).items():
            times[variant] += values
    return times


def _take_turns(model: str, variants, turns: int, seconds: float) -> dict[str, list]:
    """`_measure` with one process a variant."""
    workers = {variant: _Worker(model, variant) for variant in variants}
    # About as long a turn for every variant, but never so few steps that what a stretch
    # does once, taking the members in and out, would count.
    steps = {
        variant: max(4, round(seconds / worker.time(2) / _members(variant)))
        for variant, worker in workers.items()
    }
    times = {variant: [] for variant in variants}
    for turn in range(turns):
        # There and back again: a machine that slows down slows no variant more.
        turn_order = list(workers.items())[:: -1 if turn % 2 else 1]
        for variant, worker in turn_order:
            times[variant].append(worker.time(min(steps[variant], 500)))
    for worker in workers.values():
        worker.stop()
    return times


def _members(variant: str) -> int:
    return MEMBERS if variant == "members" else 1


def _ratios(times: dict[str, list]) -> dict[str, dict]:
    times = {**times, "float32": times.get("masked", [])}
    found = {}
    for variant, (other, meaning) in COMPARISONS.items():
        if times.get(variant) and times.get(other):
            ratios = [a / b for a, b in zip(times[other], times[variant])]
            found[meaning] = {
                "median": statistics.median(ratios),
                "min": min(ratios),
                "max": max(ratios),
            }
    return found


def command() -> str:
    """What started this benchmark, without the paths of the machine."""
    name = pathlib.Path(sys.argv[0]).stem
    return " ".join([f"python -m benchmarks.{name}", *sys.argv[1:]])


def hardware() -> dict:
    names = ("jax", "jaxlib", "torch", "numpy")
    versions = {n: importlib.metadata.version(n) for n in names if _has(n)}
    cpu = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if "model name" in x), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "load": os.getloadavg(), **versions}


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default=",".join(BATCH_SIZES))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--processes", type=int, default=3, help="a variant")
    parser.add_argument("--turns", type=int, default=3, help="of a process")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--output", default=str(RESULTS / "train_step.json"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _work(arguments.models, arguments.worker)
        return
    results = {"command": command(), "hardware": hardware(), "models": {}}
    for model in arguments.models.split(","):
        variants = arguments.variants.split(",")
        if not _has("torch") or model == "linear_ae":
            print(f"{model}: no PyTorch peer (pip install torch), ours alone")
            variants = [v for v in variants if not v.startswith("torch")]
        times = _measure(
            *(model, variants, arguments.processes),
            *(arguments.turns, arguments.seconds),
        )
        ratios = _ratios(times)
        results["models"][model] = {"seconds": times, "ratios": ratios}
        for variant, values in times.items():
            print(f"{model:10} {variant:15} {statistics.median(values) * 1e3:9.2f} ms")
        for meaning, r in ratios.items():
            spread = f"{r['min']:.2f} to {r['max']:.2f}"
            print(f"{model:10} {meaning:45} {r['median']:.2f} ({spread})")
    pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1))
    print(f"saved: {arguments.output}")


if __name__ == "__main__":
    main()
