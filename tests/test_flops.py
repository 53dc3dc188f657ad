"""FLOPs against counts by hand, against enumeration, and against XLA's own."""

import itertools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gen_tickets.evaluation import flops
from gen_tickets.kernels import convolutions, lowering
from gen_tickets.models import layers
from gen_tickets.pruning import channels, compact
from gen_tickets.pruning import masks as masks_lib
from tests import networks

KEY = jax.random.key(0)
LIBRARY = {"lowering": lowering.LIBRARY}


def of_layer(layer, shape, *arguments):
    x = jnp.zeros(shape)
    variables = layer.init(KEY, x, *arguments)
    return flops.count(lambda x: layer.apply(variables, x, *arguments), x)


def taps(size, out, kernel, stride, padding):
    """Pairs of output and tap that meet a pixel, by walking over all of them."""
    return sum(
        0 <= o * stride + k - padding < size for o in range(out) for k in range(kernel)
    )


def test_count_convolution_equals_hand_count():
    # 8x8 -> 4x4, k4 s2 p1: 4 taps along a side, less the 1 at either end over the edge.
    sides = taps(8, 4, 4, 2, 1)
    assert sides == 4 * 4 - 2
    multiplied = 5 * 3 * 6 * sides**2  # images, channels, features
    found = of_layer(layers.Conv(6, use_bias=False, **LIBRARY), (5, 8, 8, 3))
    assert found == 2 * multiplied
    with_bias = of_layer(layers.Conv(6, **LIBRARY), (5, 8, 8, 3))
    assert with_bias == found + 5 * 4 * 4 * 6


def test_count_transposed_convolution_skips_inserted_zeros():
    # 4x4 -> 8x8, the mirror of the convolution above: as many multiplications.
    layer = layers.ConvTranspose(6, use_bias=False, **LIBRARY)
    found = of_layer(layer, (5, 4, 4, 3))
    assert found == 2 * 5 * 3 * 6 * taps(8, 4, 4, 2, 1) ** 2


def test_count_dense_layer_equals_hand_count():
    assert of_layer(layers.Dense(7), (5, 3)) == 2 * 5 * 3 * 7 + 5 * 7


def test_count_batch_norm_equals_hand_count():
    x, pixels, channels_ = (2, 3, 3, 4), 2 * 3 * 3, 4
    evaluation = of_layer(layers.BatchNorm(), x, False)
    # x - mean, times, plus; a channel: var + eps, rsqrt, inverse * scale.
    assert evaluation == 3 * pixels * channels_ + 3 * channels_
    layer = layers.BatchNorm()
    variables = layer.init(KEY, jnp.zeros(x), False)
    training = flops.count(
        lambda x: layer.apply(variables, x, True, mutable=["batch_stats"])[0],
        jnp.zeros(x),
    )
    # Mean, x - mean, square, mean; then as above, x - mean once more.
    least = (4 + 3) * pixels * channels_
    assert least <= training <= least + 20 * channels_


def test_count_max_pool_equals_hand_count():
    # Three maxima for each window of four.
    assert flops.count(layers.max_pool, jnp.zeros((2, 4, 4, 3))) == 3 * 2 * 2 * 2 * 3


@pytest.mark.parametrize(
    "kernel, stride, pad, size", list(itertools.product((3, 4), (1, 2), (0, 1), (6, 7)))
)
def test_count_convolution_gradients_equal_forward_cost(kernel, stride, pad, size):
    """Each of the three operators multiplies the same pairs."""
    x, k = jnp.zeros((2, size, size, 3)), jnp.zeros((kernel, kernel, 3, 5))
    out = (size + 2 * pad - kernel) // stride + 1
    pairs = 2 * 3 * 5 * taps(size, out, kernel, stride, pad) ** 2

    def conv(x, k):
        strides, padding = (stride, stride), ((pad, pad),) * 2
        return convolutions.conv(x, k, strides=strides, padding=padding, **LIBRARY)

    assert flops.count(conv, x, k) == 2 * pairs
    y = jnp.zeros((2, out, out, 5))

    def both(x, k, y):
        found, gradients = jax.vjp(conv, x, k)
        return found, gradients(y)

    assert flops.count(both, x, k, y) == 3 * 2 * pairs


def test_count_loop_iterations_and_costliest_branch_of_switch():
    a = jnp.zeros((3, 4))

    def loop(a):
        return lax.fori_loop(0, 5, lambda i, x: x @ (a.T @ a), a)

    assert flops.count(loop, a) == 5 * 2 * (4 * 3 * 4 + 3 * 4 * 4)

    def choice(a, i):
        return lax.switch(i, [lambda a: a + 1, lambda a: a * 2 + a], a)

    assert flops.count(choice, a, 0) == 2 * 12
    with pytest.raises(ValueError, match="known only when it runs"):
        flops.count(lambda n: lax.fori_loop(0, n, lambda i, x: x + 1.0, 0.0), 3)


def test_of_step_does_not_depend_on_earlier_traces():
    model = networks.make("vae")
    images = images_of(model, 4)
    before = flops.of_step(model.task, images)
    product = model.rebuild({}, lowering.PRODUCT)
    state = jax.eval_shape(product.init, KEY)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    jax.eval_shape(product.step, state, masks, images, KEY)
    assert flops.of_step(model.task, images) == before


def test_of_step_other_lowering_raises_value_error():
    model = networks.make("vae")
    product = model.rebuild({}, lowering.PRODUCT)
    with pytest.raises(ValueError, match="encoder has .*product"):
        flops.of_step(product, images_of(model, 4))


def multiplications(model, batch):
    """2 * MAC of every layer in one pass forward, {component: {layer: FLOPs}}."""
    found = {}
    for component, network in model.task.networks.items():
        of_layers = found.setdefault(component, {})

        def watch(next_call, args, kwargs, context):
            y, layer = next_call(*args, **kwargs), context.module
            if isinstance(layer, (layers.Conv, layers.ConvTranspose, layers.Dense)):
                of_layers["/".join(layer.path)] = 2 * macs(layer, args[0], y)
            return y

        x = jax.ShapeDtypeStruct((batch, *network.input_shape), jnp.float32)
        with nn.intercept_methods(watch):
            jax.eval_shape(lambda x: network.module.init(KEY, x, False), x)
    return found


def macs(layer, x, y):
    if isinstance(layer, layers.Dense):
        return x.size * layer.features
    small, big = sorted((x.shape[1], y.shape[1]))
    pairs = taps(big, small, layer.kernel_size, layer.strides, layer.padding)
    return len(x) * x.shape[-1] * y.shape[-1] * pairs**2


def images_of(model, batch):
    return jax.ShapeDtypeStruct((batch, *model.image_shape), jnp.uint8)


def test_of_step_linear_autoencoder_equals_hand_count():
    model, batch = networks.make("linear_ae"), 6
    sizes = [16, 7, 5, 2, 5, 7, 16]
    edges = sum(a * b for a, b in zip(sizes, sizes[1:]))
    cost = flops.of_step(model.task, images_of(model, batch))
    # Forward, the weights' gradients, the inputs' (of all but the first layer).
    expected = 2 * batch * (3 * edges - 16 * 7)
    assert sum(cost.of_weights.values()) == expected
    num_weights = edges + sum(sizes[1:])
    # Adam: two moments (3 each), their corrections (1 each), root, sum, quotient; the
    # rate; the step. A bias is added, and its gradient summed up.
    update = flops_of_adam(num_weights)
    activations = cost.fixed - update
    assert 4 * batch * sum(sizes[1:]) < activations < 12 * batch * sum(sizes[1:])


def flops_of_adam(num_weights):
    per_weight = 3 + 4 + 2 + 3 + 1 + 1  # b1 m + (1-b1) g; b2 v + (1-b2) g^2; ...
    return per_weight * num_weights


def test_of_step_vae_equals_hand_count():
    model, batch = networks.make("vae"), 4
    of_layers = multiplications(model, batch)
    cost = flops.of_step(model.task, images_of(model, batch))
    for component, found in of_layers.items():
        for layer, forward in found.items():
            first = (component, layer) == ("encoder", "conv_0")
            expected = forward * (2 if first else 3)  # images need no gradient
            assert cost.of_weights[f"{component}/{layer}/kernel"] == expected
    assert len(cost.of_weights) == sum(map(len, of_layers.values())) == 6


def test_of_step_gan_equals_hand_count():
    model, batch = networks.make("dcgan"), 4
    of_layers = multiplications(model, batch)
    cost = flops.of_step(model.task, images_of(model, batch))
    for layer, forward in of_layers["generator"].items():
        # Forward for the discriminator's step; forward and both gradients for its own
        # (the latent's is not asked for).
        passes = 3 if layer == "base" else 4
        assert cost.of_weights[f"generator/{layer}/kernel"] == passes * forward
    for layer, forward in of_layers["discriminator"].items():
        # Real and fake: forward and both gradients; for the generator's step forward
        # and the input's gradient.
        passes = 2 * (2 if layer == "conv_0" else 3) + 2
        assert cost.of_weights[f"discriminator/{layer}/kernel"] == passes * forward


@pytest.mark.parametrize("name", ["linear_ae", "vae", "dcgan", "resnet_vae", "sngan"])
def test_of_step_compact_network_scales_with_kept_channels(name):
    """Of every convolution the kept inputs times the kept outputs, exactly."""
    model = networks.make(name)
    masks = channels.complete(model.groups, {})
    for of_component in masks.values():
        for group, mask in of_component.items():
            of_component[group] = np.arange(mask.size) < (mask.size + 1) // 2
    weight_masks = channels.expand(model.groups, masks, model.shapes.params)
    images = images_of(model, 4)
    dense = flops.of_step(model.task, images)
    sizes = compact.sizes(model.groups, masks)
    small = flops.of_step(model.rebuild(sizes), images)
    kept = flops.kept_shares(weight_masks)
    assert small.of_weights.keys() == dense.of_weights.keys()
    for leaf, cost in dense.of_weights.items():
        np.testing.assert_allclose(small.of_weights[leaf], cost * kept[leaf], rtol=1e-6)
    assert small.total() <= dense.total(kept) < dense.total()


def test_total_unstructured_mask_counts_kept_weights():
    model = networks.make("vae")
    masks = masks_lib.dense(model.shapes.params)
    kernel = masks["encoder"]["conv_1"]["kernel"]
    masks["encoder"]["conv_1"]["kernel"] = kernel.at[0].set(False)  # a quarter
    cost = flops.of_step(model.task, images_of(model, 4))
    lost = cost.total() - cost.total(flops.kept_shares(masks))
    assert lost == cost.of_weights["encoder/conv_1/kernel"] / 4


def xla(function, *arguments):
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]


def test_count_dense_and_convolution_within_five_percent_of_xla():
    rng = np.random.default_rng(0)

    def dense(x, a, b):
        return jnp.square(jnp.tanh(x @ a) @ b).sum()

    shapes = (32, 64), (64, 128), (128, 16)
    arguments = [jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes]
    step = jax.grad(dense, (1, 2))
    assert abs(flops.count(step, *arguments) / xla(step, *arguments) - 1) < 0.05

    def convolution(x, k, m):
        x = convolutions.conv(x, k, padding=((1, 1), (1, 1)), **LIBRARY)
        return convolutions.conv(jnp.maximum(x, 0), m, **LIBRARY).sum()

    shapes = (4, 16, 16, 8), (3, 3, 8, 24), (3, 3, 24, 16)
    arguments = [jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes]
    for function in (convolution, jax.grad(convolution, (0, 1, 2))):
        ratio = flops.count(function, *arguments) / xla(function, *arguments)
        assert abs(ratio - 1) < 0.05


def test_of_step_dcgan_within_five_percent_of_xla():
    model = networks.make("dcgan")
    task = model._replace(config=wide(model.config)).rebuild({})
    state = jax.eval_shape(task.init, KEY)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    images = images_of(model, 16)
    found = flops.of_step(task, images).total()
    assert abs(found / xla(task.step, state, masks, images, KEY) - 1) < 0.05


def wide(config):
    config = config.copy_and_resolve_references()
    config.model.widths = (32, 64)
    return config


def test_kept_shares_equal_mask_means():
    masks = {"a": {"k": {"kernel": np.array([[True, False, False, False]])}}}
    assert flops.kept_shares(masks) == {"a/k/kernel": 0.25}
    assert math.isclose(flops.Cost(3.0, {"a/k/kernel": 8.0}).total({}), 11.0)
