"""FLOPs of a training: dense, masked, compact, against products counted by hand."""

import functools

import jax
import numpy as np
import pytest

from gen_tickets import tasks, trees
from gen_tickets.evaluation import costs, flops
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib
from tests import networks

BATCH, STEPS = 4, 7


@functools.cache
def make(name):
    model = networks.make(name)
    images = jax.ShapeDtypeStruct((BATCH, *model.image_shape), np.uint8)
    return model, images, costs.Costs(model.rebuild, images)


def all_kept(model):
    return jax.tree.map(lambda x: np.ones(x.shape, bool), model.shapes.params)


@pytest.mark.parametrize("name", ["linear_ae", "dcgan"])
def test_costs_without_pruning_all_equal_dense_flops(name):
    model, images, counted = make(name)
    expected = STEPS * flops.of_step(model.task, images).total()
    found = counted.of_training(all_kept(model), STEPS)
    assert found == dict.fromkeys(costs.COLUMNS, expected)
    more = counted.of_training(all_kept(model), STEPS, extra=5.0)
    assert more == dict.fromkeys(costs.COLUMNS, expected + 5)


def test_costs_pruned_dense_weight_saves_three_products():
    model, _, counted = make("linear_ae")
    masks = all_kept(model)
    # Output, gradient of the input, gradient of the weight; images have no gradient.
    masks["decoder"]["dense_0"]["kernel"][0, :3] = False
    masks["encoder"]["dense_0"]["kernel"][:4, 0] = False
    found = counted.of_training(masks, STEPS)
    saved = STEPS * 2 * BATCH * (3 * 3 + 2 * 4)
    assert found["flops_dense"] - found["flops_masked"] == pytest.approx(saved)
    assert found["flops_compact"] == found["flops_dense"]


def test_costs_compact_equals_dense_cost_of_narrower_network():
    model, images, counted = make("linear_ae")
    masks = all_kept(model)
    leaves = trees.named_leaves(masks)
    # Channels without a use: 2 of 7 in the encoder, 1 of 5 in the decoder.
    leaves["encoder/dense_1/kernel"][[1, 4]] = False
    leaves["decoder/dense_1/kernel"][0] = False
    narrow = model.config.copy_and_resolve_references()
    narrow.model.widths = (7, 5)
    small = {"encoder": (5, 5), "decoder": (4, 7)}
    task = tasks.build(narrow, model.image_shape, networks.NUM_STEPS, small, LIBRARY)
    expected = STEPS * flops.of_step(task, images).total()
    found = counted.of_training(masks, STEPS)
    assert found["flops_compact"] == pytest.approx(expected)
    assert found["flops_compact"] < found["flops_masked"] < found["flops_dense"]
    assert 0 < masks_lib.sparsity(masks) < 0.5
