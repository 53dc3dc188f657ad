"""Trains tiny populations on 1 and on 8 forced devices; run by test_parallel.

    python tests/devices.py ae

prints, as JSON, how far weights and statistics are apart after 50 steps.
"""

import json
import os
import sys

# What counts is how fast it compiles: the programs run for milliseconds.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import numpy as np  # noqa: E402

from gen_tickets import data, defaults, parallel, tasks, train  # noqa: E402
from gen_tickets.pruning import masks as masks_lib  # noqa: E402

STEPS, BATCH = 50, 12
MODELS = {
    "ae": ("linear", (5,)),
    "vae": ("convstack", (3,)),
    "gan": ("convstack", (3,)),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)


def build(family):
    config = defaults.get_config()
    config.task.name = family
    config.model.name, config.model.widths = MODELS[family]
    config.model.latent_size = 2
    return tasks.build(config, IMAGES.shape[1:], STEPS)


def trained(task, layout, num_members, measured, steps=STEPS, **options):
    """-> weights, statistics and metrics of a population, as NumPy."""
    keys = layout.members(jax.random.split(jax.random.key(3), 8)[:num_members])
    state = layout.members(jax.jit(jax.vmap(task.init))(keys))
    masks = layout.members(masks_lib.dense(state.params))
    totals = layout.members(train.empty_totals(task, IMAGES[:BATCH], num_members))
    order = np.zeros((train.MAX_STRETCH, num_members, BATCH), np.int32)
    for member in range(num_members):
        order[:STEPS, member] = data.order(0, member, len(IMAGES), BATCH, 0, STEPS)
    loop = train.make_loop(task, layout.mesh(num_members), **options)
    if "streamed" in options:
        batches = layout.batches(IMAGES[order[:STEPS]].swapaxes(0, 1))
        examples = batches, None
    else:
        examples = layout.copies(IMAGES), layout.copies(order)
    state, totals = loop.stretch(state, totals, masks, *examples, keys, steps)
    found = {"weights": (state.params, state.stats), "totals": totals}
    if measured:
        images = layout.copies(train.in_batches(IMAGES, BATCH))
        found["measured"] = loop.evaluate(state, *images, keys)
    return jax.tree.map(np.asarray, found)


def distance(one, other):
    """Largest |a - b| / max(1, |a|) over all leaves."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(
        float(np.max(np.abs(a - b) / np.maximum(1, np.abs(a)))) for a, b in pairs
    )


def main(family):
    task, measured = build(family), family == "vae"
    devices = jax.devices()
    one, eight = parallel.Layout(devices[:1]), parallel.Layout(devices)
    alone = trained(task, one, 8, measured)
    first = jax.tree.map(lambda x: x[:2], alone)
    start = trained(task, one, 8, measured, steps=0)
    found = {"moved": distance(start["weights"], alone["weights"])}
    found["8x1"] = distance(alone, trained(task, eight, 8, measured))
    found["2x4"] = distance(first, trained(task, eight, 2, measured))
    if family == "vae":
        streamed = trained(task, eight, 2, measured, streamed=True)
        found["streamed"] = distance(first, streamed)
        waves = trained(task, one, 8, measured, at_once=4)
        found["waves"] = distance(alone, waves)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
