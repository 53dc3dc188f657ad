"""Setup of an experiment: task, populations and schedule, built from its options."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from gen_tickets import tasks
from gen_tickets.data.pipeline import Data
from gen_tickets.distributed import memory, mesh
from gen_tickets.evaluation.costs import Costs
from gen_tickets.evaluation.metrics import Evaluator
from gen_tickets.procedures import transfer
from gen_tickets.pruning.pruner import Pruner
from gen_tickets.tasks.task import Task
from gen_tickets.training import loop as loop_lib
from gen_tickets.training import round_state as round_state_lib
from gen_tickets.training import schedule as schedule_lib
from gen_tickets.training.population import Population
from gen_tickets.training.round_state import RoundState
from gen_tickets.training.schedule import Schedule
from gen_tickets.training.state import TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Task, populations and schedule of an experiment; no images."""

    config: ConfigDict
    image_shape: tuple[int, int, int]
    schedule: Schedule
    #: (channels, lowering) -> the task of these options, see `tasks.build`
    build_task: Callable[..., Task]
    task: Task
    pruner: Pruner
    init: Callable[[jax.Array], TrainState]  #: keys [R] -> states [R, ...], compiled
    sample: Callable[..., jax.Array] | None  #: `Task.sample`, compiled
    reconstruct: Callable[..., jax.Array] | None  #: `Task.reconstruct`, compiled
    shapes: TrainState  #: of one member's state
    metric_names: tuple[str, ...]  #: of the training
    dense: Population  #: of round 0
    tickets: Population  #: of every later round
    source: transfer.Source | None  #: of transferred tickets
    batch: jax.ShapeDtypeStruct  #: of the images of a step
    costs: Costs
    #: {members of a population: how many a device trains at a time}; see `plan_memory`
    members_at_once: Mapping[int, int] = dataclasses.field(default_factory=dict)
    evaluator: Evaluator | None = None  #: of `eval.metrics`, if any
    #: {component: channels of its groups} of compacted networks, else {}
    channels: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: of `make_loop`, shared by all copies with this task
    loops: dict[Any, loop_lib.Loop] = dataclasses.field(default_factory=dict)

    def measure(self, state: TrainState) -> dict[str, float]:
        """Columns of `eval.metrics`, if any, of one member."""
        if self.evaluator is None:
            return {}
        assert self.sample is not None  # every task of an experiment has it
        return self.evaluator.measure(
            functools.partial(self.sample, state),
            self.reconstruct and functools.partial(self.reconstruct, state),
            self.task.latent_size,
        )

    @property
    def keep_dense(self) -> bool:
        """Whether all rounds prune the trained dense weights."""
        return bool(self.config.prune.schedule == "one_shot")


def prepare(
    config: ConfigDict, image_shape: tuple[int, int, int], num_images: int
) -> Prepared:
    """Prepares an experiment.

    Args:
      config: validated options.
      image_shape: (H, W, C).
      num_images: training images.

    Raises:
      UserError: the options contradict each other, the images or the devices.
    """
    schedule = schedule_lib.make(config, num_images)
    source = transfer.parse(config)
    layout = mesh.choose(config.parallel.devices)
    runs = tuple(range(config.runs))
    arms = (*config.arms, *(() if source is None else ("transferred",)))
    build_task = functools.partial(tasks.build, config, image_shape, schedule.num_steps)
    batch = jax.ShapeDtypeStruct((schedule.images_per_step, *image_shape), jnp.uint8)
    task = build_task()
    return Prepared(
        config=config,
        image_shape=image_shape,
        schedule=schedule,
        build_task=build_task,
        dense=Population(config.seed, runs, ("dense",), layout),
        tickets=Population(config.seed, runs, arms, layout),
        source=source,
        costs=Costs(build_task, batch),
        batch=batch,
        metric_names=loop_lib.metric_names(task, batch),
        **_of_task(config, task),
    )


def _of_task(config: ConfigDict, task: Task) -> dict[str, Any]:
    """The fields of `Prepared` that depend on the task (of given metrics)."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    return {
        "task": task,
        "pruner": Pruner(config, task, shapes),
        "init": jax.jit(jax.vmap(task.init)),
        "sample": task.sample and jax.jit(task.sample),
        "reconstruct": task.reconstruct and jax.jit(task.reconstruct),
        "shapes": shapes,
    }


def of_run(prepared: Prepared, run: int, arm: str) -> Prepared:
    """A copy of the experiment with a single run and arm."""
    alone = dataclasses.replace(prepared.dense, runs=(run,), arms=(arm,))
    return dataclasses.replace(prepared, dense=alone, tickets=alone)


def with_task(prepared: Prepared, task: Task, **changes: Any) -> Prepared:
    """The experiment with its task replaced by another one with the same metrics."""
    changes = {"loops": {}, **_of_task(prepared.config, task), **changes}
    return dataclasses.replace(prepared, **changes)


def plan_memory(
    prepared: Prepared, data: Data, populations: tuple[Population, ...]
) -> Prepared:
    """Determines how many members of each population a device trains at a time.

    Raises:
      UserError: the memory of a device is too small for one member.
    """
    given = prepared.config.parallel.members_per_device
    plan = {
        population.num_members: given
        or memory.members_at_once(
            prepared.task,
            population.layout.mesh(population.num_members),
            _stretch_shapes(prepared, data, population),
            data.streamed,
        )
        for population in populations
    }
    return dataclasses.replace(prepared, members_at_once=plan)


def _stretch_shapes(
    prepared: Prepared, data: Data, population: Population
) -> tuple[Any, ...]:
    """The arguments of a training stretch, as shapes with shardings."""
    round_state = round_shapes(prepared, population)
    numbers = jax.ShapeDtypeStruct((population.num_members,), jnp.uint32)
    keys = jax.eval_shape(jax.vmap(jax.random.key), numbers)
    return (
        round_state.state,
        round_state.totals,
        round_state.masks,
        *data.shapes(population, prepared.schedule),
        population.layout.shapes(keys),
    )


def make_loop(
    prepared: Prepared, population: Population, streamed: bool
) -> loop_lib.Loop:
    """The training and evaluation of a population, which is compiled once."""
    num_members = population.num_members
    mesh = population.layout.mesh(num_members)
    at_once = prepared.members_at_once.get(num_members)
    key = num_members, at_once, streamed
    if key not in prepared.loops:
        prepared.loops[key] = loop_lib.make_loop(prepared.task, mesh, at_once, streamed)
    return prepared.loops[key]


def round_shapes(prepared: Prepared, population: Population) -> RoundState:
    """Shapes and shardings of a round, for reading a checkpoint."""
    shapes = round_state_lib.shapes(
        prepared.shapes,
        prepared.metric_names,
        population.num_runs,
        population.num_members,
        prepared.keep_dense,
    )
    return population.layout.shapes(shapes)


_begin_dense = jax.jit(round_state_lib.begin_dense, static_argnums=(1, 2))


def begin_dense(prepared: Prepared, state: TrainState) -> RoundState:
    """The start of a training of dense networks, [R, ...]."""
    layout = prepared.dense.layout
    begun = _begin_dense(
        layout.members(state), prepared.metric_names, prepared.keep_dense
    )
    return layout.members(begun)
