"""What a figure will cost: its experiments, how far they are, FLOPs and hours.

FLOPs are those of the trainings, dense, as the machine multiplies zeros too
(`evaluation.flops`); shapes alone are looked at, no data. An early-bird ticket is
counted as if its search took all the epochs it may take and cut every layer alike.
Measuring and compiling come on top of the hours. Nothing is written.
"""

import functools
import pathlib
import time
from typing import NamedTuple, Sequence

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from gen_tickets import tasks
from gen_tickets.config import defaults
from gen_tickets.data import dataset
from gen_tickets.errors import UserError
from gen_tickets.evaluation import costs, flops
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.paper import experiment as experiments
from gen_tickets.paper.experiment import Experiment, State, Training
from gen_tickets.report import outcomes
from gen_tickets.workdir import paths

# Training images, side and channels of the sets that the experiments take.
_SETS = {
    "digits": (1497, 28, 1),
    "mnist": (60_000, 28, 1),
    "cifar10": (50_000, 32, 3),
    "celeb_a": (162_770, 64, 3),
}

# Of what a matrix product reaches, networks this small reach about so much.
EFFICIENCY = 0.6
_SIDE, _PRODUCT_SECONDS = 1024, 1.0

Family = tuple[str, str, str]  # network, task, precision: what runs at one rate


class Rate(NamedTuple):
    """FLOPs a second, and where the number is from."""

    flops: float
    origin: str


class Line(NamedTuple):
    """A training of the plan."""

    name: str
    state: State
    family: Family
    trainings: int  # members of all rounds
    flops: float  # of all that there is to train
    left: float  # of what is still to do


# --- FLOPs --------------------------------------------------------------------------


def image_shape(config) -> tuple[int, int, int]:
    """(H, W, C) of the images, by the name of their set alone."""
    _, side, channels = _SETS[config.data.name]
    side = config.data.image_size or side
    return side, side, channels


def _step_size(config) -> int:
    return config.data.batch_size * config.task.discriminator_steps


def _extent(config) -> tuple[int, int]:
    """(steps of an epoch, steps of a training)."""
    count = _SETS[config.data.name][0]
    count = min(count, config.data.limit or count)
    per_epoch = dataset.steps_per_epoch(count, _step_size(config))
    return per_epoch, config.train.steps or config.train.epochs * per_epoch


def _of_step(config) -> tuple[float, float]:
    """FLOPs of a step of the whole networks, and of those that early-bird leaves."""
    plain = defaults.get_config()
    for name in ("data", "model", "task", "optimizer", "precision"):
        plain[name] = config[name]
    plain.eval.average_decay = config.eval.average_decay
    if config.prune.schedule == "early_bird":
        plain.prune = config.prune
    return _count(FrozenConfigDict(plain))


@functools.cache
def _count(config: FrozenConfigDict) -> tuple[float, float]:
    shape = image_shape(config)

    def build(channels=None, lowering=LIBRARY):
        return tasks.build(config, shape, 1, channels, lowering)

    images = jax.ShapeDtypeStruct((_step_size(config), *shape), jnp.uint8)
    whole = flops.of_step(build(), images).total()
    if config.prune.schedule != "early_bird":
        return whole, whole
    sizes = {
        name: tuple(
            max(1, round((1 - config.prune.fraction) * group.size))
            for group in network.module.channel_groups().groups
        )
        for name, network in build().networks.items()
    }
    return whole, costs.Costs(build, images).of_step(sizes).total()


def round_flops(config) -> list[float]:
    """FLOPs of every round, the dense one first; of every run of early-bird."""
    per_epoch, steps = _extent(config)
    whole, left = _of_step(config)
    if config.prune.schedule == "early_bird":
        search = min(config.early_bird.epochs * per_epoch, steps)
        return [search * whole + (steps - search) * left] * config.runs
    counts = [
        len(experiments.members(config, number))
        for number in range(config.prune.rounds + 1)
    ]
    first = [0] + [config.rewind.step] * config.prune.rounds
    return [n * (steps - k) * whole for n, k in zip(counts, first, strict=True)]


def family(config) -> Family:
    """Of what a rate that was seen holds for."""
    return config.model.name, config.task.name, config.precision


def line(training: Training, root) -> Line:
    """What a training costs, and what of it is still to do."""
    config = training.config
    state, of_rounds = experiments.state(training), round_flops(config)
    if state.unit == "run":
        count = config.runs
    else:
        rounds = range(config.prune.rounds + 1)
        count = sum(len(experiments.members(config, number)) for number in rounds)
    name = training.folder.relative_to(pathlib.Path(root) / "experiments")
    left = sum(of_rounds[state.done :])
    return Line(str(name), state, family(config), count, sum(of_rounds), left)


def lines(chosen: Sequence[Experiment], root, how_to_run=()) -> list[Line]:
    """The plan: a line for each training of the experiments."""
    return [
        line(training, root)
        for experiment in chosen
        for training in experiment.trainings(root, how_to_run)
    ]


# --- rates --------------------------------------------------------------------------


def _seen(folder) -> tuple[Family, float, float] | None:
    """(family, FLOPs, seconds) of the finished rounds of a workdir, if they say so."""
    try:
        run = outcomes.load(folder)
    except UserError:
        return None  # not begun
    options = [run.config[x] for x in ("model.name", "task.name", "precision")]
    return (*options,), *run.cost()


def seen_rates(root) -> dict[Family, Rate]:
    """What the experiments that lie below a folder have reached, by family."""
    totals: dict[Family, tuple[float, float]] = {}
    for path in sorted(pathlib.Path(root).rglob(paths.results_path("").name)):
        seen = _seen(path.parent)
        if seen is not None:
            kind, count, seconds = seen
            before = totals.get(kind, (0.0, 0.0))
            totals[kind] = (before[0] + count, before[1] + seconds)
    return {
        kind: Rate(count / seconds, "finished rounds here")
        for kind, (count, seconds) in totals.items()
        if count > 0 and seconds > 0
    }


@functools.cache
def product_rate() -> Rate:
    """What networks are expected to reach, from a matrix product timed for a second."""
    x = jnp.ones((_SIDE, _SIDE), jnp.float32)
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    best, started = float("inf"), time.perf_counter()
    while (begun := time.perf_counter()) - started < _PRODUCT_SECONDS:
        product(x, x).block_until_ready()
        best = min(best, time.perf_counter() - begun)
    reached = 2 * _SIDE**3 / best
    return Rate(
        EFFICIENCY * reached,
        f"{EFFICIENCY:g} of the {reached / 1e9:.3g} GFLOP/s of a matrix product here",
    )


# --- the screen ---------------------------------------------------------------------


def _hours(count: float, rate: Rate) -> float:
    return count / rate.flops / 3600


def told(planned: Sequence[Line], root) -> list[str]:
    """The plan as lines of text, with the hours that are expected.

    Args:
      planned: from `lines`.
      root: folder below which finished experiments tell the rates.
    """
    seen = seen_rates(root)
    rates = {one.family: seen.get(one.family) or product_rate() for one in planned}
    width = max([len(one.name) for one in planned] + [10])
    head = f"{'experiment':{width}}  {'state':14}  trainings     FLOPs    hours  to do"
    text = [head]
    for one in planned:
        rate = rates[one.family]
        hours, left = _hours(one.flops, rate), _hours(one.left, rate)
        text.append(
            f"{one.name:{width}}  {str(one.state):14}  {one.trainings:9d}  "
            f"{one.flops:8.2e}  {hours:7.2f}  {left:5.2f}"
        )
    total = sum(_hours(one.flops, rates[one.family]) for one in planned)
    left = sum(_hours(one.left, rates[one.family]) for one in planned)
    text.append(
        f"{'in all':{width}}  {'':14}  {sum(one.trainings for one in planned):9d}  "
        f"{sum(one.flops for one in planned):8.2e}  {total:7.2f}  {left:5.2f}"
    )
    text.append("Hours are of training; measuring and compiling come on top. Rates:")
    for kind, rate in rates.items():
        words = " ".join(kind)
        text.append(f"  {words}: {rate.flops / 1e9:.3g} GFLOP/s, {rate.origin}")
    return text
