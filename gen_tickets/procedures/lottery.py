"""The lottery: train densely, then prune, rewind and retrain, round after round.

Paper, "Methods": iterative magnitude pruning with late rewinding. All runs and both
arms of a round are members of one compiled program (`train`). `run` is the whole
procedure; a `Lottery` is one experiment, with everything that stays fixed in it.
"""

import copy
import functools
from typing import Any

import jax
import jax.numpy as jnp

from gen_tickets import tasks
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import pipeline
from gen_tickets.distributed import memory
from gen_tickets.distributed import mesh as mesh_lib
from gen_tickets.distributed import processes
from gen_tickets.errors import UserError
from gen_tickets.evaluation import costs, metrics
from gen_tickets.procedures import transfer
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning.pruner import Pruner
from gen_tickets.report import render, verdict
from gen_tickets.training import driver
from gen_tickets.training import loop as loop_lib
from gen_tickets.training import session as session_lib
from gen_tickets.training.session import Position, Session
from gen_tickets.workdir import checkpoints
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import lock as lock_lib
from gen_tickets.workdir import paths, provenance, recorder, tables, tickets

# What a run's key is folded with, so that no two uses share randomness.
_INIT, _TRAIN, _REDRAW, _SCORE, _EVALUATE, _LATENTS = range(6)

_WORTH_A_PAGE = 60.0  # seconds of a round beyond which the page is drawn after it


class Lottery:
    """One experiment: task, compiled loop, data on the device, keys, prunable names."""

    channels: dict[str, Any] = {}  #: of each component's groups, where any were cut

    def __init__(self, config, dataset: dataset_lib.Dataset):
        """Raises UserError where options do not fit each other or the data."""
        self.config = config
        self.run_numbers = tuple(range(config.runs))
        num_images, batch_size = len(dataset.train.images), config.data.batch_size
        self.num_images = num_images
        self.images_per_step = batch_size * config.task.discriminator_steps
        if self.images_per_step > num_images:
            raise UserError(
                f"data.batch_size={batch_size}: a step takes "
                f"{config.task.discriminator_steps} batches, more than the "
                f"{num_images} training images"
            )
        self.steps_per_epoch = dataset_lib.steps_per_epoch(
            num_images, self.images_per_step
        )
        self.num_steps = (
            config.train.steps or config.train.epochs * self.steps_per_epoch
        )
        self.image_shape = tuple(dataset.train.images.shape[1:])
        self.task = self._make_task()
        self.layout = mesh_lib.choose(config.parallel.devices)
        self._loops: dict[int, loop_lib.Loop] = {}
        self.evaluation_steps = config.eval.every_steps or self.steps_per_epoch
        if config.rewind.step >= self.num_steps:
            raise UserError(
                f"rewind.step={config.rewind.step}: must be below the {self.num_steps} "
                "training steps"
            )
        self._prepare_pruning()
        self._prepare_keys()
        self.source = transfer.parse(config)
        if self.source is not None:  # All or nothing: the last round must be there.
            self.transplant(config.prune.rounds)
        held_out = dataset.heldout.images
        resident = config.data.resident
        self.feed = pipeline.Resident if resident else pipeline.Streamed
        self.images = dataset.train.images
        if resident:
            self.images = self.layout.copies(self.images)
        self.held_out = self.layout.copies(loop_lib.in_batches(held_out, batch_size))
        # As many training images as held-out ones: the two losses then compare.
        probe = _spread(dataset.train.images, len(held_out))
        self.probe = self.layout.copies(loop_lib.in_batches(probe, batch_size))
        self.shown = jnp.asarray(_spread(held_out, config.eval.num_shown))
        self.evaluator = None  # where there are no eval.metrics
        if config.eval.metrics:
            self.evaluator = metrics.Evaluator(config, dataset)
        self._prepare_sampling()
        self.costs = costs.Costs(self.build_task, self._step_images())

    def build_task(self, channels=None) -> tasks.Task:
        """The task of these options, of compacted networks where channels are given."""
        return tasks.build(self.config, self.image_shape, self.num_steps, channels)

    def _make_task(self) -> tasks.Task:
        """The task that round 0 trains."""
        return self.build_task()

    def _prepare_sampling(self):
        task = self.task
        self.sample = task.sample and jax.jit(task.sample)
        self.reconstruct = task.reconstruct and jax.jit(task.reconstruct)

    def _prepare_keys(self):
        fold = jax.vmap(jax.random.fold_in, (None, 0))
        runs = jnp.array(self.run_numbers)
        keys = fold(jax.random.key(self.config.seed), runs)  # [R]
        self.run_keys = self.layout.members(keys)

    def alone(self, run: int, task) -> "Lottery":
        """One of the runs by itself, training `task`, with all else as it is here."""
        one = copy.copy(self)
        one.config = self.config.copy_and_resolve_references()
        one.config.runs, one.run_numbers = 1, (run,)
        one.task, one._loops = task, {}
        one._prepare_pruning()
        one._prepare_keys()
        one._prepare_sampling()
        return one

    def keys(self, purpose: int, round_number: int = 0):
        """One key a run, [R], of its own for every purpose and round."""
        fold = jax.vmap(jax.random.fold_in, (0, None))
        return fold(fold(self.run_keys, purpose), round_number)

    def _prepare_pruning(self):
        self.shapes = jax.eval_shape(self.task.init, jax.random.key(0))
        self.pruner = Pruner(self.config, self.task, self.shapes)
        self.init = jax.jit(jax.vmap(self.task.init))
        self.rewind = jax.jit(tickets.rewind)
        self.begin_dense = jax.jit(self._begin_dense)
        self.begin_round = jax.jit(self._begin_round)
        self._tile = jax.jit(_tile, static_argnums=1)
        self.first = jax.jit(_first, static_argnums=1)

    @functools.cached_property
    def _pruning_flops(self) -> float:
        """FLOPs of scores and selection for one run."""
        return self.pruner.flops(self.keys(_SCORE), *self._scored_images())

    def columns(self, position: Position, masks) -> dict[str, float]:
        """What else stands in a member's row: FLOPs of its training (`costs`)."""
        if position.round == 0:
            return self.costs.of_training(masks, position.step)
        steps = position.step - self.config.rewind.step
        return self.costs.of_training(masks, steps, self._pruning_flops)

    def _scored_images(self):
        """What `Pruner.prune` takes as images and rows."""
        if not self.pruner.looks_at_images:
            return None, None
        return self.feed.first(self, self.config.prune.batches)

    def arms(self, round_number: int) -> tuple[str, ...]:
        """Arms that train in a round, in the order of the members."""
        if round_number == 0:
            return ("dense",)
        transferred = () if self.source is None else ("transferred",)
        return (*self.config.arms, *transferred)

    def train_keys(self, round_number: int):
        """One key a member: the arms of a run see the same noise."""
        return self.tile_arms(self.keys(_TRAIN), round_number)

    def evaluation_keys(self, round_number: int):
        """One key a member, the same in every round: only weights differ."""
        return self.tile_arms(self.keys(_EVALUATE), round_number)

    def tile_arms(self, tree, round_number: int):
        """[R, ...] -> [M, ...]: the same for every arm of a run."""
        return self.layout.members(self._tile(tree, len(self.arms(round_number))))

    def latents(self):
        """The latent vectors [num_shown, latent_size] of every picture."""
        key = jax.random.fold_in(jax.random.key(self.config.seed), _LATENTS)
        shape = (self.config.eval.num_shown, self.task.latent_size)
        return jax.random.normal(key, shape)

    def transplant(self, round_number: int):
        """The transferred components of a round, {} where none are transferred."""
        if self.source is None:
            return {}
        params, stats = self.shapes.params, self.shapes.stats
        runs = self.config.runs
        loaded = transfer.load(self.source, round_number, runs, params, stats)
        return self.layout.members(loaded)

    def dense_round(self) -> Session:
        """Round 0: every run with all its weights, from the initializer."""
        return self.layout.members(self._dense_session())

    def _dense_session(self) -> Session:
        return self.begin_dense(self.init(self.keys(_INIT)))

    def _begin_dense(self, state) -> Session:
        runs = self.config.runs
        one_shot = self.config.prune.schedule == "one_shot"
        return session_lib.begin(
            state,
            masks=masks_lib.dense(state.params),
            rewind=session_lib.copy({"params": state.params, "stats": state.stats}),
            dense=session_lib.copy(state.params) if one_shot else {},
            totals=self._empty_totals(runs),
            ancestors=jnp.zeros(runs, bool),
            floored=jnp.zeros(runs, jnp.int32),
        )

    def _step_images(self):
        """The shape of what a step takes: no constant where a trace needs it."""
        shape = (self.images_per_step, *self.image_shape)
        return jax.ShapeDtypeStruct(shape, jnp.uint8)

    def _empty_totals(self, num_members: int):
        return loop_lib.empty_totals(self.task, self._step_images(), num_members)

    def next_round(self, session: Session, round_number: int) -> Session:
        """Prune, then rewind the survivors, redraw the control, transfer."""
        return self.layout.members(self._pruned_session(session, round_number))

    def _pruned_session(self, session: Session, round_number: int) -> Session:
        trained = self.first(session.state.params, self.config.runs)
        if round_number == 1 and self.config.prune.schedule == "one_shot":
            session = session._replace(dense=session_lib.copy(trained))
        # At initialization every round scores the same weights the same way, so that a
        # sparsity has the ticket that pruning to it at once gives.
        at_start = self.config.prune.schedule == "at_initialization"
        masks, floored = self.pruner.prune(
            session.rewind["params"] if at_start else session.dense or trained,
            session.rewind["stats"],  # only scores at initialization look at them
            self.first(session.masks, self.config.runs),
            self.pruner.num_keep(round_number),
            self.keys(_SCORE, 0 if at_start else round_number),
            *self._scored_images(),
        )
        fresh = self.init(self.keys(_REDRAW, round_number))
        begun = self.begin_round(
            session.rewind,
            session.diverged[: self.config.runs],
            masks,
            floored,
            fresh,
            self.transplant(round_number),
        )
        return begun._replace(rewind=session.rewind, dense=session.dense)

    def _begin_round(self, rewind, diverged, masks, floored, fresh, transplant):
        """All arms of a round, ready to train from step k; everything [R, ...]."""
        arms = self.arms(1)
        # All arms train for the same steps, from step k on, on the same batches.
        step = jnp.full(self.config.runs, self.config.rewind.step, jnp.int32)
        fresh = fresh._replace(step=step)
        weights = {
            "winning": (masks, rewind["params"], rewind["stats"]),
            "random": (masks, fresh.params, fresh.stats),
        }
        if transplant:
            dense = masks_lib.dense(rewind["params"])
            weights["transferred"] = (
                {**dense, **transplant.masks},
                {**rewind["params"], **transplant.params},
                {**rewind["stats"], **transplant.stats},
            )
        starts = [
            (
                arm_masks,
                fresh._replace(params=tickets.rewind(arm_masks, params), stats=stats),
            )
            for arm_masks, params, stats in (weights[arm] for arm in arms)
        ]
        member_masks, state = jax.tree.map(lambda *x: jnp.concatenate(x), *starts)
        return session_lib.begin(
            state,
            member_masks,
            rewind={},
            dense={},
            totals=self._empty_totals(self.config.runs * len(arms)),
            ancestors=jnp.tile(diverged, len(arms)),
            floored=floored,
        )

    def template(self, position: Position):
        """Shapes of the session at a position, for reading a checkpoint."""
        session = jax.eval_shape(self._dense_session)
        if position.round > 0:
            session = jax.eval_shape(
                lambda s: self._pruned_session(s, position.round), session
            )
        return self.layout.shapes(session)

    def loop(self, num_members: int) -> loop_lib.Loop:
        """The compiled loop of a population of so many members.

        Raises:
          UserError: the devices' memory does not take it.
        """
        if num_members not in self._loops:
            mesh = self.layout.mesh(num_members)
            streamed = not self.config.data.resident
            at_once = self.config.parallel.members_per_device
            at_once = at_once or memory.members_at_once(
                self.task, mesh, self._stretch_shapes(num_members), streamed
            )
            loop = loop_lib.make_loop(self.task, mesh, at_once, streamed)
            self._loops[num_members] = loop
        return self._loops[num_members]

    def check_memory(self) -> None:
        """Raises UserError now where the memory does not take a later round."""
        for round_number in (0, 1):
            self.loop(self.config.runs * len(self.arms(round_number)))

    def _stretch_shapes(self, num_members: int):
        """What a stretch of a population takes, as shapes with shardings."""
        session = self.template(Position(num_members > self.config.runs, 0, 0.0, False))
        keys = jax.eval_shape(
            jax.vmap(jax.random.key), jax.ShapeDtypeStruct((num_members,), jnp.uint32)
        )
        return (
            *(session.state, session.totals, session.masks),
            *self.feed.shapes(self, num_members),
            self.layout.shapes(keys),
        )

    def open_feed(self, position: Position):
        """What the round eats from `position` on; see `feed`."""
        return self.feed(self, position)

    def weight_masks(self, session: Session, member: int):
        """Masks of a member, of the shapes of the whole networks."""
        return self.layout.member(session.masks, member)

    def title(self, position: Position) -> str:
        """What is trained, for the line that tells the progress."""
        return f"round {position.round}/{self.config.prune.rounds}"

    def tag(self, position: Position) -> str:
        """What is trained, for the event files."""
        return f"round_{position.round:02d}"

    def is_over(self, session: Session, position: Position) -> bool:
        """Whether the round has trained to its end."""
        return position.step >= self.num_steps

    def next_look(self, position: Position) -> int:
        """The next step at which something is looked at."""
        every = self.evaluation_steps
        stops = [self.num_steps, (position.step // every + 1) * every]
        if position.round == 0 and position.step < self.config.rewind.step:
            stops.append(self.config.rewind.step)
        return min(stops)

    def later_steps(self, position: Position) -> float:
        """Steps still to do after this round, counted at this round's cost a step."""
        config = self.config
        members = config.runs * len(self.arms(position.round))
        later = config.runs * len(config.arms) * (config.prune.rounds - position.round)
        return later / members * (self.num_steps - config.rewind.step)

    def restore(self, store, workdir):
        """(lottery that trains it, session, position) of the newest checkpoint.

        None where there is no checkpoint.
        """
        del workdir
        restored = store.restore(lambda position: self.template(Position(*position)))
        return restored and (self, restored[0], Position(*restored[1]))

    def follow(self, workdir, origin, store, stop, events) -> None:
        """Round after round to the last one, from the newest checkpoint on.

        Args:
          workdir, origin: as `measure.record_round` takes them.
          store, stop, events: as `fit.train_round` takes them.
        """
        restored = self.restore(store, workdir)
        if restored is None:
            session, position = self.dense_round(), Position(0, 0, 0.0, False)
        else:
            _, session, position = restored
        while not (position.finished and position.round == self.config.prune.rounds):
            if position.finished:
                session = self.next_round(session, position.round + 1)
                first_step = self.config.rewind.step
                position = Position(position.round + 1, first_step, 0.0, False)
            session, position = driver.train_round(
                self, session, position, store, stop, events
            )
            recorder.record_round(self, session, position, workdir, origin)
            position = position._replace(finished=True)
            driver.save(self, store, session, position)
            if position.seconds > _WORTH_A_PAGE and processes.is_first():
                render.draw(workdir)


def _spread(images, count: int):
    """`count` images from all over a set, which may be sorted by class."""
    return images[:: max(1, len(images) // count)][:count]


def _tile(tree, count: int):
    return jax.tree.map(lambda x: jnp.concatenate([x] * count), tree)


def _first(tree, count: int):
    return jax.tree.map(lambda x: x[:count], tree)


def run(config, workdir, kind=Lottery) -> None:
    """Runs an experiment in `workdir`, or goes on with it.

    Args:
      config: validated options.
      workdir: folder for everything that is kept; see `paths`.
      kind: the procedure, Lottery or a class like it.

    Raises:
      UserError: the data, the options or the folder do not allow it.
      errors.Interrupted: a signal asked to stop; all is saved.
    """
    with memory.memory_errors_told():
        _run(config, workdir, kind)


def _run(config, workdir, kind) -> None:
    lock_lib.check(workdir, config)
    recorder.check_tables(workdir)
    metrics.check(config)
    processes.together(lambda: processes.is_first() and dataset_lib.fetch(config))
    dataset = dataset_lib.load(config, processes.read_shares)
    lottery = kind(config, dataset)
    lottery.check_memory()
    origin = {**provenance.collect(), "data": dataset.provenance}
    if lottery.evaluator is not None:
        origin["evaluation"] = lottery.evaluator.provenance
    lock = processes.together(
        lambda: processes.is_first() and lock_lib.claim(workdir, config, origin)
    )
    store = checkpoints.Checkpoints(workdir)
    events = events_lib.EventWriter(
        processes.is_first() and paths.tensorboard_dir(workdir)
    )
    try:
        with driver.stop_signals() as stop:
            lottery.follow(workdir, origin, store, stop, events)
    finally:
        events.close()
        store.close()
        if lock:
            lock.close()
    if not processes.is_first():
        return
    page = render.draw(workdir)
    print(
        verdict.verdict(
            tables.read_rows(paths.results_path(workdir)), config.eval.verdict
        ).sentence
    )
    print(f"report: {page}")
