"""Early-bird tickets: channel search, channel removal and the compact network."""

import functools
import time

import jax
import numpy as np

from gen_tickets.distributed import processes
from gen_tickets.procedures import setup
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import channel_search, channels, compact, detection
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning.channel_search import ChannelPruner
from gen_tickets.training.round_state import Position, RoundState
from gen_tickets.trees import Masks, Tree
from gen_tickets.workdir import paths, searches, tickets
from gen_tickets.workdir.recorder import Recorder
from gen_tickets.workdir.searches import Search


def channel_pruner(prepared: Prepared) -> ChannelPruner:
    """The pruner that computes the channel masks of the search."""
    options = prepared.config.prune
    return channel_search.make(
        prepared.task.networks,
        prepared.shapes.params,
        tuple(options.components),
        options.fraction,
        options.scope,
    )


def searching(prepared: Prepared, pruner: ChannelPruner) -> Prepared:
    """The experiment with a task that computes channel masks during training."""
    options = prepared.config.early_bird
    task = detection.watch(
        prepared.task,
        pruner.draw,
        prepared.schedule.steps_per_epoch,
        options.epochs,
        options.distance,
    )
    return setup.with_task(prepared, task)


def compact_of_run(
    prepared: Prepared, pruner: ChannelPruner, search: Search, run: int
) -> Prepared:
    """One run of the compact network that a search found."""
    sizes = compact.sizes(pruner.groups, search.kept)
    compacted = _compacted(prepared, tuple(sizes.items()))
    return setup.of_run(compacted, run, "early_bird")


@functools.lru_cache(maxsize=1)
def _compacted(
    prepared: Prepared, sizes: tuple[tuple[str, tuple[int, ...]], ...]
) -> Prepared:
    """The compact network; runs with as many channels share its programs."""
    task = prepared.build_task(dict(sizes))
    return setup.with_task(prepared, task, channels=dict(sizes))


def cut(
    prepared: Prepared,
    pruner: ChannelPruner,
    round_state: RoundState,
    position: Position,
    recorder: Recorder,
) -> tuple[RoundState, Position]:
    """Replaces the network with the compact one at the end of the search.

    Writes search and ticket to disk before any checkpoint of the compact network.
    """
    started = time.monotonic()
    layout, options = prepared.dense.layout, prepared.config.early_bird
    state = processes.to_host(layout.member(round_state.state, 0))
    history, state = detection.history(state), detection.without_history(state)
    found = int(history.found)
    kept = channels.complete(pruner.groups, {})
    if found or options.take_last:
        kept = _channels_kept(pruner, state.params, options.multiple)
    search = Search(history.drawn[: history.num_epochs], found, kept)
    sizes, small = compact.compact(pruner.groups, kept, state)
    if processes.is_first():
        print(searches.outcome(search, position.run, options))
        path = paths.search_path(recorder.workdir, position.run)
        searches.save(path, search)
    masks = jax.tree.map(lambda x: np.ones(x.shape, bool), small.params)
    recorder.ticket(
        tickets.Ticket(masks, small.params, small.stats, channels=sizes),
        round_number=1,
        run=position.run,
        step=position.step,
        sparsity=masks_lib.sparsity(whole_masks(prepared, pruner, search)),
    )
    one = compact_of_run(prepared, pruner, search, position.run)
    begun = setup.begin_dense(one, jax.tree.map(lambda x: np.asarray(x)[None], small))
    begun = begun._replace(
        best_loss=round_state.best_loss,
        best_step=round_state.best_step,
        diverged=round_state.diverged,
    )
    seconds = position.seconds + time.monotonic() - started
    return layout.members(begun), position._replace(round=1, seconds=seconds)


def _channels_kept(
    pruner: ChannelPruner, params: Tree, multiple: int
) -> dict[str, dict[str, channels.Mask]]:
    """The channel masks of a ticket, for all channel groups."""
    if multiple == 0:
        multiple = 1 if jax.default_backend() == "cpu" else 8
    select = jax.jit(lambda params: pruner.kept(params, multiple))
    return channels.complete(pruner.groups, processes.to_host(select(params)))


def whole_masks(prepared: Prepared, pruner: ChannelPruner, search: Search) -> Masks:
    """Masks in the shapes of the dense networks, False for removed weights."""
    params = prepared.shapes.params
    expand = jax.jit(lambda kept: channels.expand(pruner.groups, kept, params))
    return processes.to_host(expand(search.kept))
