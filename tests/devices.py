"""Trains tiny populations on 1 and on 8 forced devices; run by test_parallel.

    python tests/devices.py

prints, as JSON, for each family how far weights and statistics are apart after four
epochs. One start and few compilations: that is what the time goes into.
"""

import json
import os
import sys
import tempfile

os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import numpy as np  # noqa: E402

from gen_tickets import tasks  # noqa: E402
from gen_tickets.config import defaults  # noqa: E402
from gen_tickets.data import dataset  # noqa: E402
from gen_tickets.distributed import mesh  # noqa: E402
from gen_tickets.kernels.lowering import LIBRARY  # noqa: E402
from gen_tickets.pruning import masks as masks_lib  # noqa: E402
from gen_tickets.training import loop as loop_lib  # noqa: E402
from gen_tickets.training.population import Population  # noqa: E402
from gen_tickets.workdir import checkpoints  # noqa: E402

STEPS, BATCH, MEMBERS = 12, 12, 8
MODELS = {
    "ae": ("linear", (5,)),
    "vae": ("linear", (5,)),
    "gan": ("convstack", (3,)),  # the one with batch norm
}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
ONE = mesh.Layout(jax.devices()[:1])
EIGHT = mesh.Layout(jax.devices())


def build(family):
    config = defaults.get_config()
    config.task.name = family
    config.model.name, config.model.widths = MODELS[family]
    config.model.latent_size = 2
    # The library's convolutions compile in a third of the time.
    return tasks.build(config, IMAGES.shape[1:], STEPS, lowering=LIBRARY)


def drawn(task):
    """Keys and states of all members, as NumPy: drawn once, placed anew each time."""
    keys = jax.random.split(jax.random.key(3), MEMBERS)
    return keys, jax.tree.map(np.asarray, jax.jit(jax.vmap(task.init))(keys))


def trained(task, start, layout, num_members, **options):
    """-> weights, statistics and sums of metrics of the first members, trained."""
    keys, state = jax.tree.map(lambda x: x[:num_members], start)
    masks = jax.tree.map(np.asarray, masks_lib.dense(state.params))
    totals = loop_lib.empty_totals(task, IMAGES[:BATCH], num_members)
    order = np.zeros((loop_lib.MAX_STRETCH, num_members, BATCH), np.int32)
    for member in range(num_members):
        order[:STEPS, member] = dataset.order(0, member, len(IMAGES), BATCH, 0, STEPS)
    loop = loop_lib.make_loop(task, layout.mesh(num_members), **options)
    if "streamed" in options:
        batches = layout.batches(IMAGES[order[:STEPS]].swapaxes(0, 1))
        examples = batches, None
    else:
        examples = layout.copies(IMAGES), layout.copies(order)
    placed = [layout.members(x) for x in (state, totals, masks)]
    state, totals = loop.stretch(*placed, *examples, layout.members(keys), STEPS)
    return {"state": state, "totals": totals}


def evaluated(task, start, layout):
    keys, state = start
    loop = loop_lib.make_loop(task, layout.mesh(MEMBERS))
    images = layout.copies(loop_lib.in_batches(IMAGES, BATCH))
    return loop.evaluate(layout.members(state), *images, layout.members(keys))


def distance(one, other):
    """Largest |a - b| / max(1, |a|) over all leaves."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(
        float(np.max(np.abs(a - b) / np.maximum(1, np.abs(a))))
        for a, b in (map(np.asarray, pair) for pair in pairs)
    )


def passed_on(tree, layout):
    """Distance to what another layout reads of the checkpoint of a tree."""
    with tempfile.TemporaryDirectory() as folder:
        store = checkpoints.Checkpoints(folder)
        store.save(1, tree, [])
        restored, _ = store.restore(lambda _: layout.shapes(tree))
        store.close()
    placed = {x.sharding for x in jax.tree.leaves(restored)}
    assert placed == {layout.sharding(MEMBERS)}
    return distance(tree, restored)


def first_arm(tree):
    """Distance of the first arm of 4 runs on 8 devices to its rows."""
    population = Population(0, tuple(range(4)), ("winning", "random"), EIGHT)
    first = population.first_arm(EIGHT.members(tree))
    members = [EIGHT.member(first, run) for run in range(4)]
    rows = [jax.tree.map(lambda x: x[run], tree) for run in range(4)]
    return distance(members, rows)


def compare(family):
    task = build(family)
    start = drawn(task)
    alone = trained(task, start, ONE, MEMBERS)
    first = jax.tree.map(lambda x: np.asarray(x)[:2], alone)
    spread = trained(task, start, EIGHT, MEMBERS)
    found = {"moved": distance(start[1], alone["state"])}
    found["8x1"] = distance(alone, spread)
    found["2x4"] = distance(first, trained(task, start, EIGHT, 2))
    if family == "ae":
        streamed = trained(task, start, EIGHT, 2, streamed=True)
        found["streamed"] = distance(first, streamed)
        waves = trained(task, start, ONE, MEMBERS, at_once=4)
        found["waves"] = distance(alone, waves)
        found["8 to 1"] = passed_on(spread, ONE)
        found["1 to 8"] = passed_on(alone, EIGHT)
        found["first arm"] = first_arm(start[1])
    if family == "vae":
        pair = [evaluated(task, start, layout) for layout in (ONE, EIGHT)]
        found["evaluated"] = distance(*pair)
    return found


if __name__ == "__main__":
    json.dump({family: compare(family) for family in MODELS}, sys.stdout)
