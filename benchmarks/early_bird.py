"""Times a whole training, dense and early-bird, including search and compilation.

    python -m benchmarks.early_bird

DCGAN of the paper's shape (32x32x3, widths 128-256-512, latent 128, batch 100). Results
are in benchmarks/results/early_bird.json. --parts selects from:
  steady: seconds per step of the dense networks, of the dense networks during the
    search, and of networks with the same fraction of channels removed from all layers,
    for 20 % to 95 % lower step FLOPs; in float32, and at --reduction in bfloat16.
    Variants take turns; ratios are within a turn.
  projected: a training of --epochs epochs of --epoch-steps steps, extrapolated from the
    steady times: search until --found, removal, compilation, the rest in the small
    shape. It comes with steady.
  lost: where the seconds of a dense step and of one at --reduction go, by kind of
    operation, from the profiler of a CPU: products shrink with both widths of a layer,
    all else with one.
  real: both whole trainings, through the early-bird procedure, on random images with
    --real-epoch-steps steps per epoch, so that the search has the same fraction of the
    training as in the full one; seconds are those of results.csv.
"""

import argparse
import contextlib
import functools
import json
import math
import pathlib
import re
import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import compaction
from benchmarks.train_step import RESULTS, command, hardware
from gen_tickets import procedures, tasks
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.evaluation import flops
from gen_tickets.experiments import early_bird_dcgan_cifar10
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.procedures import early_bird, lottery, rounds
from gen_tickets.pruning import channels, compact, detection
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import driver, loop
from gen_tickets.training.round_state import Position
from gen_tickets.workdir import checkpoints, paths, searches, tables
from gen_tickets.workdir.curves import CurveWriter
from gen_tickets.workdir.events import EventWriter
from gen_tickets.workdir.recorder import Recorder

SHAPE = (32, 32, 3)
CURVE = "0.2,0.4,0.6,0.8,0.88,0.95"


def _configure(precision="float32"):
    config = early_bird_dcgan_cifar10.get_config()
    config.runs, config.precision = 1, precision
    config.eval.metrics, config.eval.verdict = (), "heldout_sample_spread"
    return config


@functools.cache
def _task(precision="float32", sizes=(), lowering=None):
    return tasks.build(_configure(precision), SHAPE, 10, dict(sizes), lowering)


@functools.cache
def _step_flops(sizes=()) -> float:
    images = jax.ShapeDtypeStruct((_configure().data.batch_size, *SHAPE), np.uint8)
    return flops.of_step(_task("float32", sizes, LIBRARY), images).total()


def _groups():
    networks = _task().networks.items()
    return {name: network.module.channel_groups() for name, network in networks}


def _sizes_of(reduction: float, multiple: int):
    """The channels that save (about) this fraction of the FLOPs of a dense step."""

    def share_left(sizes):
        return _step_flops(sizes) / _step_flops()

    return compaction.sizes_of(_groups(), share_left, reduction, multiple)


class _Training:
    """A compiled training on random images, which continues with every call."""

    def __init__(self, task):
        batch = _configure().data.batch_size
        self._loop = loop.make_loop(task)
        population = jax.vmap(task.init)(jax.random.split(jax.random.key(0), 1))
        self._masks = masks_lib.dense(population.params)
        draw = np.random.default_rng(0)
        self._images = jnp.asarray(draw.integers(0, 256, (1000, *SHAPE), np.uint8))
        self._order = draw.integers(0, 1000, (loop.MAX_STRETCH, 1, batch), np.int32)
        self._keys = jax.random.split(jax.random.key(1), 1)
        self._carried = [population, loop.empty_totals(task, self._images[:batch], 1)]
        first = self.time(1)
        self.step_seconds = self.time(2)
        self.compile_seconds = first - self.step_seconds

    def compiled(self) -> str:
        """XLA's program."""
        arguments = *self._carried, self._masks, self._images, self._order, self._keys
        return self._loop.stretch.lower(*arguments, 1).compile().as_text()

    def time(self, num_steps: int) -> float:
        """Continues training; returns seconds per step."""
        started = time.perf_counter()
        self._carried[:] = self._loop.stretch(
            *(*self._carried, self._masks, self._images, self._order, self._keys),
            num_steps,
        )
        jax.block_until_ready(self._carried)
        return (time.perf_counter() - started) / num_steps


def _watched():
    """The dense task during the search, with a mask after every step."""
    groups = _groups()
    keep = [sum(g.size for of in groups.values() for g in of.groups) // 3]

    def draw(params):
        return channels.flatten(channels.select(channels.scores(groups, params), keep))

    return detection.watch(_task(), draw, 1, 1000, 0.1)


def _cut_seconds(sizes) -> float:
    """Seconds of compaction, on a newly initialized state."""
    groups, small = _groups(), dict(sizes)
    masks = {
        name: {
            group.name: np.arange(group.size) < size
            for group, size in zip(of.groups, small[name], strict=True)
        }
        for name, of in groups.items()
    }
    state = jax.tree.map(np.asarray, jax.jit(_task().init)(jax.random.key(0)))
    started = time.perf_counter()
    compact.compact(groups, masks, state)
    return time.perf_counter() - started


def _median(values) -> dict:
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def _steady(
    reduction: float, curve, multiple: int, turns: int, seconds: float
) -> list[dict]:
    """One row per variant: FLOPs, seconds per step, dense step time over its own."""
    cuts = {r: _sizes_of(r, multiple) for r in sorted({*curve, reduction})}
    variants = {("dense", "float32", 0.0): (_task(), ())}
    variants["dense under search", "float32", 0.0] = (_watched(), ())
    for r, sizes in cuts.items():
        variants["compact", "float32", r] = (_task("float32", sizes), sizes)
    variants["dense", "bfloat16", 0.0] = (_task("bfloat16"), ())
    sizes = cuts[reduction]
    variants["compact", "bfloat16", reduction] = (_task("bfloat16", sizes), sizes)
    trainings, times = {}, {name: [] for name in variants}
    for name, (task, _) in variants.items():
        trainings[name] = _Training(task)
        print(f"compiled: {' '.join(map(str, name))}", file=sys.stderr)
    for _ in range(turns):
        for name, training in trainings.items():
            steps = max(1, min(500, round(seconds / training.step_seconds)))
            times[name].append(training.time(steps))
    lines = []
    for name, (_, sizes) in variants.items():
        ratios = [d / t for d, t in zip(times["dense", "float32", 0.0], times[name])]
        kind, precision, asked = name
        lines.append(
            {
                "variant": kind,
                "precision": precision,
                "asked_reduction": asked,
                "channels": dict(sizes),
                "flops": _step_flops(sizes),
                "flops_reduction": 1 - _step_flops(sizes) / _step_flops(),
                "step_seconds": _median(times[name]),
                "compile_seconds": trainings[name].compile_seconds,
                "dense_over_this": _median(ratios),
            }
        )
    return lines


def _projected(steady, reduction, epochs: int, epoch_steps: int, found: int) -> dict:
    """Seconds of whole trainings, extrapolated from the steady times."""

    def line(variant, precision):
        return next(
            x
            for x in steady
            if (x["variant"], x["precision"]) == (variant, precision)
            and (variant != "compact" or x["asked_reduction"] == reduction)
        )

    def seconds(variant, precision, steps):
        of = line(variant, precision)
        return of["compile_seconds"] + steps * of["step_seconds"]["median"]

    cut = _cut_seconds(tuple(line("compact", "float32")["channels"].items()))
    search = seconds("dense under search", "float32", found * epoch_steps)
    whole = {"dense": seconds("dense", "float32", epochs * epoch_steps)}
    for precision in ("float32", "bfloat16"):
        rest = seconds("compact", precision, (epochs - found) * epoch_steps)
        whole[f"early-bird, compact in {precision}"] = search + cut + rest
    ratios = {name: whole["dense"] / x for name, x in whole.items()}
    return {
        "epochs": epochs,
        "epoch_steps": epoch_steps,
        "found_epoch": found,
        "cut_seconds": cut,
        "seconds": whole,
        "dense_over_this": ratios,
    }


def _products(compiled: str) -> set[str]:
    """Names of the operations of a compiled program that contain a matrix product."""
    bodies = dict(re.findall(r"^%?([\w.\-]+) \(.*?\{\n(.*?)^\}", compiled, re.S | re.M))
    fusions = re.findall(r"%?([\w.\-]+) = .*? fusion\(.*?calls=%?([\w.\-]+)", compiled)
    plain = re.findall(r"%?([\w.\-]+) = .*? dot\(", compiled)
    return {*plain, *(name for name, body in fusions if " dot(" in bodies[body])}


def _profiled(sizes, num_steps=3) -> dict:
    """Seconds per step of all cores together, for products and for all else."""
    training = _Training(_task("float32", sizes))
    products = _products(training.compiled())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            wall = training.time(num_steps)
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(path))
    seconds = {"products": 0.0, "all else": 0.0}
    for event in (e for p in profile.planes for line in p.lines for e in line.events):
        name = dict(event.stats).get("hlo_op")
        if name and name.split(".")[0] not in ("while", "call"):
            kind = "products" if name in products else "all else"
            seconds[kind] += event.duration_ns / 1e9 / num_steps
    return {"step": wall, "flops": _step_flops(sizes), **seconds}


def _lost(reduction: float, multiple: int) -> dict:
    sizes = _sizes_of(reduction, multiple)
    return {"dense": _profiled(()), "compact": _profiled(sizes)}


def _nothing(*values) -> None:
    """A hook of the driver that does nothing."""


def _real(epochs: int, epoch_steps: int, fraction: float, precision: str) -> dict:
    """Both whole trainings on random images: seconds, FLOPs, epoch of the ticket."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = _configure(precision)
        count = epoch_steps * config.data.batch_size
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (count + count // 8, *SHAPE), np.uint8)
        np.savez(folder / "images.npz", images=images)
        config.data.name, config.data.dir = "arrays", str(folder / "images.npz")
        config.train.epochs = epochs
        config.prune.fraction = fraction
        config.early_bird.epochs = detection.NUM_COMPARED + 1
        config.early_bird.take_last = True
        config.eval.every_steps = epochs * epoch_steps
        prepared, data = procedures.prepare(config, dataset_lib.load(config))
        workdir = folder / "early_bird"
        with contextlib.closing(checkpoints.Checkpoints(workdir)) as store:
            nowhere = EventWriter(None)
            curves = CurveWriter(None, nowhere)
            recorder = Recorder(workdir, config, {}, nowhere, curves)
            prepared = early_bird.check(prepared, data)
            early_bird.run(prepared, data, store, recorder, [])
        (row,) = tables.read_rows(paths.results_path(workdir))
        search = searches.load(paths.search_path(workdir, 0))
        training = rounds.trainings(prepared, data.streamed)(0)
        hooks = driver.Hooks(_nothing, math.inf, _nothing, [])
        begun = lottery.dense(prepared)
        _, position = driver.train(training, begun, Position(), data, hooks)
        return {
            "precision": precision,
            "steps": position.step,
            "search_steps": len(search.drawn) * prepared.schedule.steps_per_epoch,
            "found_epoch": search.found,
            "weights_removed": row["sparsity"],
            "flops_reduction": 1 - row["flops_compact"] / row["flops_dense"],
            "seconds": {"dense": position.seconds, "early-bird": row["seconds"]},
            "dense_over_early_bird": position.seconds / row["seconds"],
        }


def _print_steady(results) -> None:
    print("variant              precision  FLOPs     s/step   dense / this")
    for x in results["steady"]:
        of, step = x["dense_over_this"], x["step_seconds"]["median"]
        print(
            f"{x['variant']:20} {x['precision']:9} {-x['flops_reduction']:7.1%} "
            f"{step:9.4f}   {of['median']:.2f} ({of['min']:.2f} to {of['max']:.2f})"
        )
    for name, seconds in results["projected"]["seconds"].items():
        ratio = results["projected"]["dense_over_this"][name]
        print(f"projected, {name}: {seconds:.0f} s, dense / this {ratio:.2f}")


def _print_lost(results) -> None:
    print("step       FLOPs     seconds   of cores: products   all else")
    for name, x in results["lost"].items():
        print(
            f"{name:10} {x['flops']:.2e}  {x['step']:.4f}  "
            f"{x['products']:18.4f} {x['all else']:10.4f}"
        )


def _print_real(results) -> None:
    for x in results["real"]:
        print(
            f"real, {x['steps']} steps, {x['precision']}: dense "
            f"{x['seconds']['dense']:.1f} s, "
            f"early-bird {x['seconds']['early-bird']:.1f} s "
            f"at {-x['flops_reduction']:.1%} FLOPs: "
            f"{x['dense_over_early_bird']:.2f} times"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ["steady", "lost", "real"]
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--reduction", type=float, default=0.88, help="of step FLOPs")
    parser.add_argument("--curve", default=CURVE, help="further reductions")
    parser.add_argument("--multiple", type=int, default=0, help="0: 8, on a CPU 1")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--epoch-steps", type=int, default=500)
    parser.add_argument("--found", type=int, default=6, help="epoch of the ticket")
    parser.add_argument("--real-epochs", type=int, default=200)
    parser.add_argument("--real-epoch-steps", type=int, default=2)
    precisions = ["float32", "bfloat16"]
    parser.add_argument("--real-precisions", nargs="+", default=precisions)
    parser.add_argument("--fraction", type=float, default=0.75, help="channels cut")
    parser.add_argument("--output", default=str(RESULTS / "early_bird.json"))
    arguments = parser.parse_args()
    on_cpu = jax.default_backend() == "cpu"
    multiple = arguments.multiple or (1 if on_cpu else 8)
    curve = [float(x) for x in arguments.curve.split(",") if x]
    results = {
        "command": command(),
        "hardware": hardware(),
        "device": jax.devices()[0].device_kind,
    }
    if "steady" in arguments.parts:
        steady = _steady(
            *(arguments.reduction, curve, multiple, arguments.turns, arguments.seconds)
        )
        projected = _projected(
            *(steady, arguments.reduction, arguments.epochs),
            *(arguments.epoch_steps, arguments.found),
        )
        results |= {"steady": steady, "projected": projected}
        _print_steady(results)
    if "lost" in arguments.parts:
        results |= {"lost": _lost(arguments.reduction, multiple)}
        _print_lost(results)
    if "real" in arguments.parts:
        real = [
            _real(
                *(arguments.real_epochs, arguments.real_epoch_steps),
                *(arguments.fraction, precision),
            )
            for precision in arguments.real_precisions
        ]
        results |= {"real": real}
        _print_real(results)
    output = pathlib.Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=1))
    print(f"saved: {output}")


if __name__ == "__main__":
    main()
