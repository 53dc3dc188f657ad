"""A compacted network equals the channel-masked one: outputs, gradients, a step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gen_tickets import trees
from gen_tickets.pruning import channels, compact
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.workdir import tickets
from tests import networks

pytestmark = pytest.mark.usefixtures("library_convolutions")

KEY = jax.random.key(7)
BATCH = 4
# Shrinking would compile for minutes, and a seed has nothing to shrink to.
EXAMPLES = settings(
    deadline=None, max_examples=6, phases=(Phase.explicit, Phase.generate)
)


def draw_masks(groups, seed):
    """Channel masks that keep 40 % of every group: one program fits all of them."""
    rng = np.random.default_rng(seed)
    found = {}
    for component, of_component in groups.items():
        for group in of_component.groups:
            mask = np.arange(group.size) < max(round(0.4 * group.size), 1)
            found.setdefault(component, {})[group.name] = rng.permutation(mask)
    return found


@functools.cache
def program(name, sizes=()):
    """Compiled: a training step, an evaluation."""
    model = networks.make(name)
    task = model.rebuild(dict(sizes)) if sizes else model.task

    def run(state, masks, images):
        return {
            "step": task.step(state, masks, images, KEY),
            "evaluation": task.evaluate(state, images, KEY),
        }

    return jax.jit(run)


_apply = jax.jit(masks_lib.apply)


def expanded(model, masks):
    """Weight masks of channel masks."""
    return jax.jit(lambda x: channels.expand(model.groups, x, model.shapes.params))(
        masks
    )


def apply_masks(weight_masks, state):
    """The masked network: weights, and the average that samples are made with."""
    opt_state = dict(state.opt_state)
    for name in {"generator_average", "denoiser_average"} & set(opt_state):
        component = name.removesuffix("_average")
        total = _apply(weight_masks[component], opt_state[name]["total"])
        opt_state[name] = {**opt_state[name], "total": total}
    params = _apply(weight_masks, state.params)
    return state._replace(params=params, opt_state=opt_state)


def assert_close(found, expected, scale=1.0):
    found, expected = trees.named_leaves(found), trees.named_leaves(expected)
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        x = np.asarray(x, np.float64)
        tolerance = 1e-5 * max(scale, np.abs(x).max(initial=0))
        np.testing.assert_allclose(found[name], x, rtol=0, atol=tolerance, err_msg=name)


def gradient(b1, before, after):
    """What Adam's first moments have seen: (m' - b1 m) / (1 - b1)."""
    before, after = trees.named_leaves(before.opt_state), trees.named_leaves(
        after.opt_state
    )
    moments = [name for name in after if "mu/" in name]
    assert moments
    return {n: (after[n] - b1 * before[n]) / (1 - b1) for n in moments}


# Parts of these GANs also occur in other models. A U-Net compiles for half a minute;
# test_unet compares its outputs.
SLOW = ("resnet_dcgan", "resnet_dcgan_radford", "dcgan_radford", "ddpm")
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name in networks.MODELS
]


@pytest.mark.parametrize("name", NAMES)
@EXAMPLES
@given(seed=st.integers(0, 2**31))
def test_compact_network_equals_masked_network(name, seed):
    model = networks.make(name)
    masks = draw_masks(model.groups, seed)
    weight_masks = expanded(model, masks)
    masked = apply_masks(weight_masks, model.draw(seed))
    sizes, small = compact.compact(model.groups, masks, masked)
    shapes = jax.eval_shape(model.rebuild(sizes).init, KEY)
    assert jax.tree.structure(small) == jax.tree.structure(shapes)
    images = model.images(BATCH, seed)
    found = program(name, tuple(sizes.items()))(
        small, masks_lib.dense(small.params), images
    )
    expected = program(name)(masked, weight_masks, images)

    assert_close(found["evaluation"], expected["evaluation"])  # running statistics

    (after, metrics), (whole_after, whole_metrics) = found["step"], expected["step"]
    assert_close(metrics, whole_metrics)  # the losses, with batch statistics
    _, cut = compact.compact(model.groups, masks, whole_after)
    assert_close(after._replace(opt_state=None), cut._replace(opt_state=None))
    # Below a batch norm small gradients are differences of large sums, so the
    # tolerance is relative to the largest gradient of the step.
    b1 = model.config.optimizer.b1
    gradients = gradient(b1, small, cut)
    largest = max(np.abs(x).max(initial=1) for x in gradients.values())
    assert_close(gradient(b1, small, after), gradients, largest)
    assert_close(after.opt_state, cut.opt_state, largest)
    for mask, x in zip(
        jax.tree.leaves(weight_masks), jax.tree.leaves(whole_after.params)
    ):
        assert np.all(np.asarray(x)[~np.asarray(mask)] == 0)


def test_compact_kept_weights_and_moments_are_bit_identical():
    model = networks.make("dcgan")
    masks, state = draw_masks(model.groups, 1), model.draw(1)
    _, small = compact.compact(model.groups, masks, state)
    encoder, kept = state.params["discriminator"], masks["discriminator"]
    found = small.params["discriminator"]["conv_1"]["kernel"]
    expected = encoder["conv_1"]["kernel"][:, :, kept["conv_0"]][..., kept["conv_1"]]
    np.testing.assert_array_equal(found, expected)
    adam = trees.named_leaves(small.opt_state["discriminator"])
    moments = trees.named_leaves(state.opt_state["discriminator"])
    name = next(n for n in moments if n.endswith("nu/norm_0/scale"))
    np.testing.assert_array_equal(adam[name], moments[name][kept["conv_0"]])
    count = next(n for n in moments if n.endswith("count"))
    assert adam[count] == moments[count]


def test_compact_with_all_channels_kept_is_identity():
    for name in networks.MODELS:
        model = networks.make(name)
        state, everything = model.draw(2), channels.complete(model.groups, {})
        sizes, same = compact.compact(model.groups, everything, state)
        assert sizes == {
            c: tuple(group.size for group in of.groups)
            for c, of in model.groups.items()
        }
        for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(state), strict=True):
            np.testing.assert_array_equal(a, b)


def test_compact_empty_group_raises_value_error():
    model = networks.make("vae")
    masks = channels.complete(model.groups, {})
    masks["decoder"]["base"] = np.zeros_like(masks["decoder"]["base"])
    with pytest.raises(ValueError, match="decoder: channels left"):
        compact.compact(model.groups, masks, model.draw(0))


@pytest.mark.parametrize("name", ["linear_ae", "sngan", "resnet_vae"])
def test_compact_unused_channels_of_unstructured_mask_keeps_outputs(name):
    """Channels whose outgoing weights are all masked; their biases do not matter."""
    model = networks.make(name)
    rng = np.random.default_rng(3)
    weight_masks = jax.tree.map(
        lambda x: rng.random(x.shape) < 0.7 if x.ndim > 1 else np.ones(x.shape, bool),
        model.shapes.params,
    )
    planted = {}
    for component, groups in model.groups.items():
        leaves = trees.named_leaves(weight_masks[component])
        group = groups.groups[-1]
        planted[component] = group.name
        for user in group.users:
            kernel = leaves[f"{user}/kernel"]
            flat = kernel.reshape(*kernel.shape[:-2], -1, group.size, kernel.shape[-1])
            flat[..., 1, :] = False
        for maker in group.makers if component == "discriminator" else ():
            # Incoming weights count in the spectral norm even if unused.
            unused = channels.used(model.groups, weight_masks, model.shapes.stats)
            assert unused[component][group.name][1]
            leaves[f"{maker}/kernel"][..., 1] = False
    used = channels.used(model.groups, weight_masks, model.shapes.stats)
    for component, name in planted.items():
        assert not used[component][name][1]
    masked = model.draw(3)
    masked = masked._replace(params=_apply(weight_masks, masked.params))
    sizes, small = compact.compact(model.groups, used, masked)
    for component, groups in model.groups.items():
        assert sum(sizes[component]) < sum(group.size for group in groups.groups)
    images = model.images(BATCH)
    evaluate = jax.jit(model.rebuild(sizes).evaluate)
    expected = jax.jit(model.task.evaluate)(masked, images, KEY)
    assert_close(evaluate(small, images, KEY), expected)


def test_used_channel_feeding_only_unused_channels_is_unused():
    model = networks.make("linear_ae")
    masks = jax.tree.map(lambda x: np.ones(x.shape, bool), model.shapes.params)
    encoder = masks["encoder"]
    encoder["outputs"]["kernel"][2] = False  # channel 2 of dense_1 is unused
    encoder["dense_1"]["kernel"][4] = False  # channel 4 of dense_0 feeds only it
    encoder["dense_1"]["kernel"][4, 2] = True
    used = channels.used(model.groups, masks, model.shapes.stats)["encoder"]
    assert np.flatnonzero(~used["dense_1"]).tolist() == [2]
    assert np.flatnonzero(~used["dense_0"]).tolist() == [4]
    # A channel without inputs is a constant, which the next layer may use.
    encoder["dense_0"]["kernel"][:, 0] = False
    used = channels.used(model.groups, masks, model.shapes.stats)["encoder"]
    assert used["dense_0"][0]


def test_load_compact_ticket_rebuilds_small_network(tmp_path):
    model = networks.make("dcgan")
    masks, state = draw_masks(model.groups, 5), model.draw(5)
    weight_masks = expanded(model, masks)
    state = state._replace(params=_apply(weight_masks, state.params))
    sizes, small = compact.compact(model.groups, masks, state)
    everything = masks_lib.dense(small.params)
    path = tmp_path / "ticket.npz"
    saved = tickets.Ticket(everything, small.params, small.stats, {"run": 0}, sizes)
    tickets.save(path, saved)
    loaded = tickets.load(path)
    assert loaded.channels == sizes
    with np.load(path, allow_pickle=False) as arrays:
        largest = max(arrays[x].size for x in arrays.files if x != "header")
    assert largest <= max(leaf.size for leaf in jax.tree.leaves(small.params))
    task = model.rebuild(loaded.channels)
    rebuilt = jax.eval_shape(task.init, KEY)._replace(
        params=tickets.to_device(loaded.params), stats=tickets.to_device(loaded.stats)
    )
    latents = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    no_average = networks.make("dcgan").config.copy_and_resolve_references()
    no_average.eval.average_decay = 0.0
    model = model._replace(config=no_average)
    sampled = model.rebuild(sizes).sample(rebuilt, latents)
    expected = model.rebuild({}).sample(state, latents)
    assert np.abs(np.int32(sampled) - np.int32(expected)).max() <= 1
