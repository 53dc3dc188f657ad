"""Channel groups claim every axis once; channel masks against brute force."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets import models, trees
from gen_tickets.config import defaults
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.models import groups as groups_lib
from gen_tickets.pruning import channels
from tests import networks

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=networks.MODELS)
def model(request):
    return networks.make(request.param)


def test_claims_of_model_groups_cover_every_axis_once(model):
    for component, groups in model.groups.items():
        for tree in (model.shapes.params[component], model.shapes.stats[component]):
            claimed = channels.claims(groups, tree)
            assert set(claimed) == set(trees.named_leaves(tree))
        cut = {claim.group for of_leaf in claimed.values() for claim in of_leaf}
        assert cut <= {group.name for group in groups.groups}


@pytest.mark.parametrize("what", ["makers", "users", "norms"])
def test_claims_wrong_group_member_raises_value_error(model, what):
    for component, groups in model.groups.items():
        for i, group in enumerate(groups.groups):
            if not getattr(group, what):
                continue
            for wrong in ((), getattr(group, what) + groups.outputs + groups.inputs):
                changed = list(groups.groups)
                changed[i] = group._replace(**{what: wrong})
                with pytest.raises(ValueError, match="claimed"):
                    channels.claims(
                        groups._replace(groups=tuple(changed)),
                        model.shapes.params[component],
                    )


def test_claims_wrong_group_size_raises_value_error(model):
    for component, groups in model.groups.items():
        first = groups.groups[0]
        wrong = (first._replace(size=first.size + 13), *groups.groups[1:])
        with pytest.raises(ValueError, match="does not hold"):
            channels.claims(
                groups._replace(groups=wrong), model.shapes.params[component]
            )


def test_groups_residual_encoder_equal_hand_written_groups():
    groups = networks.make("resnet_vae").groups["encoder"].groups
    assert groups[0] == groups_lib.Group(
        "stem",
        4,
        ("stem", "block_0/conv_1"),
        ("norm_stem", "block_0/norm_1"),
        ("block_0/conv_0", "block_1/conv_0", "block_1/conv_shortcut"),
    )
    assert groups[2].makers == ("block_1/conv_0",)
    assert groups[3] == groups_lib.Group(
        "block_1",
        6,
        ("block_1/conv_1", "block_1/conv_shortcut"),
        ("block_1/norm_1", "block_1/norm_shortcut"),
        ("outputs",),
    )


def test_scores_shared_channel_is_largest_absolute_scale():
    model = networks.make("resnet_vae")
    state = model.draw(0)
    found = channels.scores(model.groups, state.params)["encoder"]
    leaves = trees.named_leaves(state.params["encoder"])
    expected = np.maximum(
        np.abs(leaves["norm_stem/scale"]), np.abs(leaves["block_0/norm_1/scale"])
    )
    np.testing.assert_array_equal(found["stem"], expected)
    assert np.any(np.asarray(leaves["norm_stem/scale"]) < 0)
    decoder = channels.scores(model.groups, state.params)["decoder"]
    assert "base" not in decoder and len(decoder) == len(leaves["norm_stem/scale"]) - 1


SIZES = {"a": {"x": 3, "y/z": 5}, "b": {"x": 4}}


def brute_force(scores, num_keep, scope):
    """Sorts in Python: the best channels of a pool, one a group first."""
    names = list(trees.named_leaves(scores))
    by_scope = {"global": lambda n: "", "component": lambda n: n[0], "layer": str}
    pools = {}
    for name in names:
        pools.setdefault(by_scope[scope](name), []).append(name)
    kept = set()
    for pool, count in zip(pools.values(), num_keep, strict=True):
        ranked = sorted(
            (-float(x), pool.index(name), i, name)
            for name in pool
            for i, x in enumerate(trees.named_leaves(scores)[name])
        )
        best = [next(r for r in ranked if r[3] == name) for name in pool]
        others = [r for r in ranked if r not in best]
        chosen = best + others[: max(count - len(best), 0)]
        kept |= {(name, i) for _, _, i, name in chosen}
    return kept


@settings(deadline=None, max_examples=30)
@given(data=st.data(), scope=st.sampled_from(["global", "component", "layer"]))
def test_select_channels_equals_brute_force(data, scope):
    values = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])
    scores = {
        component: {
            name: np.float32(data.draw(st.lists(values, min_size=n, max_size=n)))
            for name, n in of.items()
        }
        for component, of in SIZES.items()
    }
    sizes = channels.num_channels(scores, scope)
    assert sizes == {"global": [12], "component": [8, 4], "layer": [3, 5, 4]}[scope]
    num_keep = [data.draw(st.integers(0, size)) for size in sizes]
    masks = channels.select(scores, num_keep, scope)
    found = {
        (name, i)
        for name, mask in trees.named_leaves(masks).items()
        for i in np.flatnonzero(mask)
    }
    assert found == brute_force(scores, num_keep, scope)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=2),
)
def test_distances_of_masks_equal_share_of_differing_channels(rows):
    found = channels.distances(np.array(rows[0]), np.array(rows[1:]))
    expected = [sum(a != b for a, b in zip(rows[0], row)) / 7 for row in rows[1:]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_round_up_adds_next_best_channels():
    scores = {"a": {"x": np.float32([5, 1, 4, 2, 3, 6, 0])}}
    masks = {"a": {"x": np.array([1, 0, 0, 0, 0, 1, 0], bool)}}
    rounded, every, same = (
        channels.round_up(scores, masks, {"a": {"x": multiple}})["a"]["x"]
        for multiple in (4, 8, 2)
    )
    np.testing.assert_array_equal(rounded, [1, 0, 1, 0, 1, 1, 0])
    assert every.all()
    np.testing.assert_array_equal(same, masks["a"]["x"])


def test_multiples_of_group_norm_count_the_channels_of_its_groups():
    """A group of group norm has 4 or 6 channels here, one of batch norm has 1."""
    config = defaults.get_config()
    sizes = {"widths": (32, 48), "norm_groups": 8, "attention": (), "blocks": 1}
    options = {"name": "unet", **sizes}
    config.update_from_flattened_dict({f"model.{x}": y for x, y in options.items()})
    unet = models.build_denoiser(config, (8, 8, 1), lowering=LIBRARY)
    x = jax.ShapeDtypeStruct((1, 8, 8, 1), np.float32)
    shapes = jax.eval_shape(lambda x: unet.init(jax.random.key(0), x, False), x)
    groups = {"unet": groups_lib.of(unet)}
    found = channels.multiples(groups, {"unet": shapes["params"]}, 8)["unet"]
    assert found["stem"] == found["up_0_block_0"] == 2  # 2 groups of 4 channels
    assert found["down_1_block_0"] == 4 and "time_0" not in found  # 4 groups of 6
    resnet = networks.make("resnet_vae")
    of_batch_norm = channels.multiples(resnet.groups, resnet.shapes.params, 8)
    assert set(of_batch_norm["encoder"].values()) == {8}


def test_expand_flattened_axis_masks_channel_at_every_pixel():
    """Base map of SNGAN: a dense layer's [base * base * channels]."""
    model = networks.make("sngan")
    masks = channels.complete(model.groups, {})
    masks["generator"]["base"] = np.array([1, 1, 0, 1, 1, 1], bool)
    weights = channels.expand(model.groups, masks, model.shapes.params)
    base = np.asarray(weights["generator"]["base"]["kernel"])  # [latent, 4 * 4 * 6]
    pixels = base.reshape(len(base), -1, 6)
    assert not pixels[..., 2].any() and pixels[..., [0, 1, 3, 4, 5]].all()
    incoming = np.asarray(weights["generator"]["conv_0"]["kernel"])
    assert not incoming[:, :, 2].any()
    assert incoming.sum() == incoming.size * 5 // 6


def test_expand_removed_channels_mask_their_inputs_and_outputs():
    model = networks.make("vae")
    masks = channels.complete(model.groups, {})
    masks["encoder"]["conv_0"] = np.array([1, 0, 1, 0], bool)
    weights = channels.expand(model.groups, masks, model.shapes.params)["encoder"]
    lost = np.array([1, 3])
    conv, norm = np.asarray(weights["conv_0"]["kernel"]), weights["norm_0"]
    assert not conv[..., lost].any() and conv[..., [0, 2]].all()
    assert not np.asarray(weights["conv_1"]["kernel"])[:, :, lost].any()
    for leaf in jax.tree.leaves(norm):
        np.testing.assert_array_equal(leaf, masks["encoder"]["conv_0"])
    assert all(x.all() for x in jax.tree.leaves(weights["outputs"]))


def test_scores_of_group_norm_are_the_largest_of_each_group():
    group = groups_lib.Group("a", 2, ("conv",), ("norm_0", "norm_1"), ())
    params = {
        "norm_0": {"scale": np.array([1.0, -5.0, 2.0, 3.0])},
        "norm_1": {"scale": np.array([0.5, 0.1, -4.0, 0.2])},
    }
    groups = {"net": groups_lib.ChannelGroups((group,), (), ())}
    found = channels.scores(groups, {"net": params})
    np.testing.assert_array_equal(found["net"]["a"], [4.0, 5.0])
