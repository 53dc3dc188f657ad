"""Early-bird tickets: train, find the channels that matter early, cut, train on.

Paper, "Early-bird tickets", after You et al. 2020. A run trains the whole networks
while a channel mask is drawn at the end of every epoch (`pruning.detection`); once the
masks stand still, the pruned channels are cut out of weights, statistics and moments
(`pruning.compact`), and the small networks train on to the last step. Runs follow one
another, because each has widths of its own. In positions and tables round 0 is the
search, round 1 the training that goes on from it.
"""

import functools
import math
import time

import jax
import numpy as np

from gen_tickets import tasks
from gen_tickets.config import defaults
from gen_tickets.distributed import processes
from gen_tickets.errors import UserError
from gen_tickets.evaluation import flops
from gen_tickets.models import groups
from gen_tickets.procedures import lottery
from gen_tickets.pruning import channels, compact, detection
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import driver
from gen_tickets.training.session import Position, Session
from gen_tickets.workdir import paths, recorder, searches, tickets


class EarlyBird(lottery.Lottery):
    """One experiment; `_stage` is one run of it, before or after its cut."""

    search: searches.Search | None = None  # of a stage after its cut

    def _make_task(self) -> tasks.Task:
        """The task that searches.

        Raises:
          UserError: no channel has a batch norm, or the search takes all the training.
        """
        config, task = self.config, self.build_task()
        self.num_runs = config.runs
        budget = config.early_bird.epochs
        if budget * self.steps_per_epoch >= self.num_steps:
            raise UserError(
                f"early_bird.epochs={budget}: must be below the "
                f"{self.num_steps / self.steps_per_epoch:.3g} epochs of the training"
            )
        networks = task.networks.items()
        self.groups = {name: groups.of(x.module) for name, x in networks}
        self.whole = jax.eval_shape(task.init, jax.random.key(0))
        params = self.whole.params
        masks_lib.prunable_names(params, config.prune.components)
        sizes = channels.num_channels(
            jax.eval_shape(self._scores, params), config.prune.scope
        )
        if not sum(sizes):
            raise UserError(
                f"prune.schedule='early_bird': model.name={config.model.name!r} has no "
                "batch norm whose channels are scored; give convstack or resnet"
            )
        self.num_channels = [
            masks_lib.keep_count(size, config.prune.fraction, 1) for size in sizes
        ]
        return detection.watch(
            task, self._draw, self.steps_per_epoch, budget, config.early_bird.distance
        )

    def _scores(self, params):
        """|gamma| of the channels that may be pruned."""
        scores = channels.scores(self.groups, params)
        chosen = self.config.prune.components or scores
        return {name: of for name, of in scores.items() if name in chosen}

    def _select(self, scores):
        return channels.select(scores, self.num_channels, self.config.prune.scope)

    def _draw(self, params):
        """The channel mask of these weights, bool [channels]."""
        return channels.flatten(self._select(self._scores(params)))

    def _channels_kept(self, params):
        """The complete channel masks that a ticket of these weights keeps."""
        multiple = self.config.early_bird.multiple
        if multiple == 0:
            multiple = 1 if jax.default_backend() == "cpu" else 8

        @jax.jit
        def select(params):
            scores = self._scores(params)
            return channels.round_up(scores, self._select(scores), multiple)

        return channels.complete(self.groups, processes.to_host(select(params)))

    def check_memory(self) -> None:
        self.alone(0, self.task).loop(1)  # The largest: a cut network is smaller.

    def arms(self, round_number: int) -> tuple[str, ...]:
        del round_number
        return ("early_bird",)

    def is_over(self, session: Session, position: Position) -> bool:
        if position.round > 0:
            return position.step >= self.num_steps
        budget = self.config.early_bird.epochs * self.steps_per_epoch
        return position.step >= budget or self._found(session) > 0

    def next_look(self, position: Position) -> int:
        look = super().next_look(position)
        if position.round > 0:
            return look
        # A search ends with an epoch, no step later.
        epoch = position.step // self.steps_per_epoch + 1
        return min(look, epoch * self.steps_per_epoch)

    def later_steps(self, position: Position) -> float:
        return (self.num_runs - 1 - position.run) * self.num_steps

    def _found(self, session: Session) -> int:
        return int(processes.to_host(detection.history(session.state).found)[0])

    def weight_masks(self, session: Session, member: int):
        del session, member
        return self._cut_weights

    @functools.cached_property
    def _cut_weights(self):
        """Weight masks of a stage after its cut."""
        expand = jax.jit(lambda m: channels.expand(self.groups, m, self.whole.params))
        return processes.to_host(expand(self.search.kept))

    def title(self, position: Position) -> str:
        what = "compact" if position.round else "search"
        return f"run {position.run}, {what}"

    def tag(self, position: Position) -> str:
        return f"run_{position.run}/round_{position.round:02d}"

    def columns(self, position: Position, masks) -> dict[str, float]:
        """When the ticket was found, and FLOPs with those of search and drawing."""
        epochs, found = len(self.search.drawn), self.search.found
        steps = epochs * self.steps_per_epoch
        everything = channels.complete(self.groups, {})
        whole = self.costs.of_step(compact.sizes(self.groups, everything)).total()
        drawing = flops.count(self._draw, self.whole.params)
        extra = steps * whole + epochs * drawing
        return {
            "found_epoch": found or math.nan,
            "search_epochs": epochs,
            **self.costs.of_training(masks, position.step - steps, extra),
        }

    def _stage(self, position: Position, workdir) -> "EarlyBird":
        """The run and the shape of a position."""
        if position.round == 0:
            stage = self.alone(position.run, self.task)
            stage._loops = self._loops  # all searches are one program
            return stage
        search = searches.load(paths.search_path(workdir, position.run))
        return self._after_cut(position.run, search)

    def _after_cut(self, run: int, search: searches.Search) -> "EarlyBird":
        channels_kept = compact.sizes(self.groups, search.kept)
        stage = self.alone(run, self.build_task(channels_kept))
        stage.search, stage.channels = search, channels_kept
        return stage

    def _template(self, position: Position, workdir):
        """Shapes of the session at a position, for reading a checkpoint."""
        stage = self._stage(position, workdir)
        return stage.layout.shapes(jax.eval_shape(stage._dense_session))

    def restore(self, store, workdir):
        restored = store.restore(
            lambda position: self._template(Position(*position), workdir)
        )
        if restored is None:
            return None
        position = Position(*restored[1])
        return self._stage(position, workdir), restored[0], position

    def follow(self, workdir, origin, store, stop, events) -> None:
        """Run after run to the last one, from the newest checkpoint on."""
        restored = self.restore(store, workdir)
        _, session, position = restored or (None, None, Position(0, 0, 0.0, False))
        while not (position.finished and position.run == self.num_runs - 1):
            if position.finished:
                session, run = None, position.run + 1
                position = Position(0, 0, 0.0, False, run=run)
            stage = self._stage(position, workdir)
            session, position = driver.train_round(
                *(stage, session or stage.dense_round(), position),
                *(store, stop, events),
            )
            if position.round == 0:
                session, position = self._cut(stage, session, position, workdir, origin)
            else:
                recorder.record_training(stage, session, position, workdir)
                position = position._replace(finished=True)
            driver.save(stage, store, session, position)

    def _cut(self, stage, session, position, workdir, origin):
        """-> (session, position) of the small networks, where the search has ended.

        Search and ticket are on disk before any checkpoint of the small networks.
        """
        started = time.monotonic()
        state = processes.to_host(stage.layout.member(session.state, 0))
        history, state = detection.history(state), detection.without_history(state)
        found = int(history.found)
        if found or self.config.early_bird.take_last:
            kept = self._channels_kept(state.params)
        else:
            kept = channels.complete(self.groups, {})
        search = searches.Search(history.drawn[: history.count], found, kept)
        sizes, small = compact.compact(self.groups, kept, state)
        if processes.is_first():
            print(self._say(search, position.run))
            searches.save(paths.search_path(workdir, position.run), search)
        position = position._replace(round=1)
        stage = self._after_cut(position.run, search)
        state = jax.tree.map(lambda x: np.asarray(x)[None], small)
        begun = stage.begin_dense(stage.layout.members(state))
        begun = begun._replace(
            best_loss=session.best_loss,
            best_step=session.best_step,
            diverged=session.diverged,
        )
        self._save_ticket(stage, small, sizes, position, workdir, origin)
        seconds = position.seconds + time.monotonic() - started
        return stage.layout.members(begun), position._replace(seconds=seconds)

    def _say(self, search: searches.Search, run: int) -> str:
        """What a search came to."""
        epochs = len(search.drawn)
        if search.found:
            return f"run {run}: early-bird ticket found at epoch {search.found}"
        far = searches.distances(search.drawn)[-1, -1 - detection.NUM_COMPARED : -1]
        after = (
            "the last mask is taken"
            if self.config.early_bird.take_last
            else "nothing is cut (early_bird.take_last=true would take the last mask)"
        )
        return (
            f"run {run}: no early-bird ticket in {epochs} epochs, the last mask is "
            f"{far.max():.3g} from one of the {detection.NUM_COMPARED} before, not "
            f"below early_bird.distance={self.config.early_bird.distance}: {after}"
        )

    def _save_ticket(self, stage, small, sizes, position, workdir, origin) -> None:
        config = defaults.flatten(self.config)
        provenance = {
            "config": config,
            "run": position.run,
            "round": position.round,
            "sparsity": masks_lib.sparsity(stage.weight_masks(None, 0)),
            "step": position.step,
            **origin,
        }
        masks = jax.tree.map(lambda x: np.ones(x.shape, bool), small.params)
        ticket = tickets.Ticket(masks, small.params, small.stats, provenance, sizes)
        if processes.is_first():
            tickets.save(
                paths.ticket_path(workdir, position.round, position.run), ticket
            )
