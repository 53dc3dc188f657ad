"""Layers against the library's operators, PyTorch and brute force."""

from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gen_tickets.kernels import convolutions, products, winograd
from gen_tickets.kernels.lowering import (
    BATCHED_PRODUCT,
    LIBRARY,
    PRODUCT,
    Form,
    Lowering,
    choose,
    choose_forward,
)
from gen_tickets.models import layers

# Half the compile time; the same program.
_QUICK = {"xla_backend_optimization_level": 0}
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# kernel, strides, padding, image side, channels in and out, batch
_SMALL = [
    ((4, 4), (2, 2), ((1, 1), (1, 1)), (8, 8), (2, 5), 3),
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (5, 7), (3, 2), 2),
    ((2, 2), (2, 2), ((0, 0), (0, 0)), (7, 6), (2, 3), 3),
    ((3, 2), (2, 1), ((1, 2), (0, 1)), (7, 5), (2, 3), 2),
    ((1, 1), (2, 2), ((0, 0), (0, 0)), (5, 6), (2, 3), 2),
    ((5, 5), (3, 3), ((2, 2), (2, 4)), (9, 8), (1, 2), 2),
    ((4, 4), (1, 1), ((0, 0), (0, 0)), (4, 4), (3, 5), 2),
    ((1, 7), (1, 1), ((0, 0), (3, 3)), (4, 9), (2, 3), 2),
]
_WINOGRAD = [
    ((4, 4), (2, 2), ((1, 1), (1, 1)), (8, 12), (16, 20), 12),
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (8, 8), (17, 16), 5),
    ((3, 3), (1, 1), ((2, 0), (0, 2)), (8, 8), (16, 17), 5),
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (8, 8), (130, 16), 4),
    ((4, 2), (2, 1), ((0, 1), (1, 0)), (9, 10), (16, 16), 8),
]

_TAPERED = [  # more than 8 channels per feature
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (5, 8), (17, 2), 3),
    ((3, 4), (1, 1), ((0, 3), (2, 0)), (4, 6), (9, 1), 3),
]
_NARROW = [  # an even number of columns in the output
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (5, 8), (3, 2), 3),
    ((1, 5), (1, 1), ((0, 0), (3, 0)), (4, 9), (2, 3), 3),
]


def _draw(*shape, seed=0):
    return jax.random.normal(jax.random.fold_in(jax.random.key(1), seed), shape)


def _case(case):
    kernel, strides, padding, sides, (channels, features), batch = case
    x = _draw(batch, *sides, channels)
    k = _draw(*kernel, channels, features, seed=1)
    return x, k, {"strides": strides, "padding": padding}


def _library(x, k, strides, padding):
    return lax.conv_general_dilated(
        x, k, strides, padding, dimension_numbers=_DIMENSIONS
    )


def _library_transpose(x, k, strides, padding):
    return lax.conv_transpose(x, k, strides, padding, dimension_numbers=_DIMENSIONS)


_PAIRS = {
    "conv": (convolutions.conv, _library),
    "conv_transpose": (convolutions.conv_transpose, _library_transpose),
}


def _value_and_gradients(function, x, k):
    y, pull = jax.vjp(function, x, k)
    return y, *pull(_draw(*y.shape, seed=2))


def _assert_near(ours, reference, tolerance):
    for a, b in zip(ours, reference, strict=True):
        assert a.shape == b.shape and a.dtype == jnp.float32
        assert float(abs(a - b).max()) <= tolerance * float(abs(b).max())


def _compare(name, case, lowering, tolerance=1e-5, members=0, **keywords):
    x, k, static = _case(case)
    ours, reference = _PAIRS[name]

    def our(x, k):
        return ours(x, k, lowering=lowering, **static, **keywords)

    def theirs(x, k):
        return reference(x, k, **static)

    if members:
        x, k = (jnp.stack([z * (i + 1) for i in range(members)]) for z in (x, k))
        our, theirs = jax.vmap(our), jax.vmap(theirs)
    compiled = (
        jax.jit(partial(_value_and_gradients, f), compiler_options=_QUICK)(x, k)
        for f in (our, theirs)
    )
    _assert_near(*compiled, tolerance)


@pytest.mark.parametrize("case", _SMALL)
@pytest.mark.parametrize("name", _PAIRS)
def test_conv_product_and_gradients_equal_library(name, case):
    _compare(name, case, PRODUCT)


@pytest.mark.parametrize("case", [_SMALL[3], _SMALL[5]])
@pytest.mark.parametrize("name", _PAIRS)
def test_conv_library_lowering_and_gradients_equal_library(name, case):
    _compare(name, case, LIBRARY)


@pytest.mark.parametrize("name", _PAIRS)
def test_conv_under_vmap_uses_the_vmapped_lowering(name):
    case, lowering = _SMALL[0], Lowering("library", "product")
    _compare(name, case, lowering)
    _compare(name, case, lowering, members=3)
    x, k, static = _case(case)
    operator = partial(_PAIRS[name][0], lowering=lowering, **static)
    alone = jax.jit(operator).lower(x, k).as_text()
    vmapped = jax.jit(jax.vmap(operator)).lower(x[None], k[None]).as_text()
    assert "stablehlo.convolution" in alone
    assert "stablehlo.convolution" not in vmapped


def test_conv_shared_kernel_under_vmap_equals_library():
    x, k, static = _case(_SMALL[0])
    operator = partial(
        convolutions.conv, lowering=Lowering("library", "product"), **static
    )
    found = jax.vmap(operator, (0, None))(jnp.stack([x, 2 * x]), k)
    expected = [_library(image, k, **static) for image in (x, 2 * x)]
    _assert_near(found, expected, 1e-5)


def _untraced(case):
    """The case with one more image, so that it is traced anew."""
    *rest, batch = case
    return *rest, batch + 1


@pytest.mark.parametrize("case", _TAPERED)
@pytest.mark.parametrize("name", _PAIRS)
def test_conv_tapered_and_gradients_equal_library(name, case):
    _compare(name, case, PRODUCT)


@pytest.mark.parametrize("case", _NARROW)
def test_conv_narrow_and_gradients_equal_library(monkeypatch, case):
    used, kept = [], products._pair
    monkeypatch.setattr(products, "_pair", lambda k: used.append(k) or kept(k))
    _compare("conv", case, PRODUCT)
    assert len(used) == 2  # forward and backward


@pytest.mark.parametrize("case", _WINOGRAD)
def test_conv_winograd_and_gradients_equal_library(monkeypatch, case):
    used = []
    for direction in ("forward", "backward"):
        kept = getattr(winograd, direction)
        monkeypatch.setattr(
            winograd, direction, lambda *a, kept=kept: used.append(a) or kept(*a)
        )
    _compare("conv", _untraced(case), PRODUCT)
    assert len(used) == 2


@pytest.mark.parametrize(
    "padding,sides",
    [(((2, 1), (0, 1)), (7, 9)), (((4, 2), (3, 1)), (8, 8))],
    ids=["odd image", "padding above kernel - 1"],
)
def test_conv_winograd_and_gradients_in_other_forms_equal_library(padding, sides):
    case = ((3, 3), (1, 1), padding, sides, (16, 17), 6)
    _compare("conv", case, PRODUCT)


def test_conv_transpose_winograd_equals_library(monkeypatch):
    used, kept = [], winograd.backward
    monkeypatch.setattr(winograd, "backward", lambda *a: used.append(a) or kept(*a))
    case = ((4, 4), (2, 2), ((2, 2), (2, 2)), (4, 6), (16, 20), 12)
    _compare("conv_transpose", case, PRODUCT)
    assert used


@pytest.mark.parametrize("name", _PAIRS)
def test_conv_in_chunks_and_under_vmap_equals_library(monkeypatch, name):
    monkeypatch.setattr(products, "_CHUNK_BYTES", 2000)
    _compare(name, ((4, 4), (2, 2), ((1, 2), (2, 1)), (7, 8), (2, 3), 6), PRODUCT)
    _compare(name, _untraced(_SMALL[0]), PRODUCT, members=3)
    if name == "conv":
        _compare(name, _WINOGRAD[0], PRODUCT)
        _compare(name, _untraced(_NARROW[0]), PRODUCT, members=2)


@pytest.mark.parametrize("lowering", [PRODUCT, LIBRARY], ids=["product", "library"])
@pytest.mark.parametrize("name", _PAIRS)
def test_conv_bfloat16_gradients_equal_library(name, lowering):
    cases = (_WINOGRAD[0], _NARROW[1], _TAPERED[0]) if name == "conv" else (_SMALL[1],)
    for case in cases:
        _compare(name, case, lowering, tolerance=3e-2, dtype=jnp.bfloat16)


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("name", _PAIRS)
def test_conv_bfloat16_rounds_operands_and_sums_in_float32(name, form):
    operator, reference = _PAIRS[name]
    x, k, static = _case(_SMALL[0])
    lowering = Lowering(form, form)
    found = operator(x, k, lowering=lowering, dtype=jnp.bfloat16, **static)
    rounded = (a.astype(jnp.bfloat16).astype(jnp.float32) for a in (x, k))
    _assert_near([found], [reference(*rounded, **static)], 1e-5)


def test_conv_second_derivative_equals_library():
    x, k, static = _case(_SMALL[0])

    def penalty(operator):
        def norm(x, k):
            return (operator(x, k, **static) ** 3).sum() ** 2 * 1e-6

        return jax.grad(
            lambda x, k: jnp.square(jax.grad(norm)(x, k)).sum(), argnums=(0, 1)
        )(x, k)

    ours = partial(convolutions.conv, lowering=PRODUCT)
    _assert_near(penalty(ours), penalty(_library), 1e-4)


def test_choose_platform_returns_its_lowering():
    assert choose("cpu") == PRODUCT
    assert choose("gpu") == BATCHED_PRODUCT
    assert choose("tpu") == choose("another") == LIBRARY
    assert choose() == choose(jax.default_backend())


def test_choose_forward_differs_from_choose_for_narrow_networks_on_a_cpu_only():
    assert choose_forward(8, "cpu") == LIBRARY
    assert choose_forward(64, "cpu") == choose("cpu") == PRODUCT
    assert choose_forward(8, "gpu") == choose("gpu")
    assert choose_forward(8, "tpu") == choose("tpu")


@pytest.mark.parametrize("dtype,tolerance", [("float32", 1e-5), ("bfloat16", 3e-2)])
def test_dense_equals_matrix_product(dtype, tolerance):
    x, k = _draw(3, 4, 7), _draw(7, 5, seed=1)
    ours = _value_and_gradients(lambda x, k: convolutions.dense(x, k, dtype), x, k)
    _assert_near(ours, _value_and_gradients(jnp.matmul, x, k), tolerance)


def _to_torch(torch, x):
    return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def _from_torch(y):
    return y.detach().numpy().transpose(0, 2, 3, 1)


@pytest.mark.parametrize("side,strides,padding", [(4, 2, 1), (3, 2, 1), (2, 2, 0)])
def test_conv_equals_torch(side, strides, padding):
    torch = pytest.importorskip("torch")
    x, module = _draw(2, 9, 9, 3), layers.Conv(
        5, side, strides, padding, lowering=PRODUCT
    )
    params = module.init(jax.random.key(0), x)["params"]
    params["bias"] = _draw(5, seed=3)
    peer = torch.nn.Conv2d(3, 5, side, strides, padding)
    kernel = np.array(params["kernel"].transpose(3, 2, 0, 1))
    peer.load_state_dict(
        {"weight": torch.tensor(kernel), "bias": torch.tensor(np.array(params["bias"]))}
    )
    expected = _from_torch(peer(_to_torch(torch, x)))
    np.testing.assert_allclose(module.apply({"params": params}, x), expected, atol=1e-5)


@pytest.mark.parametrize(
    "side,strides,padding,output_padding",
    [(4, 2, 1, 0), (3, 2, 1, 1), (2, 2, 0, 1), (3, 1, 1, 0), (4, 1, 0, 0)],
)
def test_conv_transpose_equals_torch(side, strides, padding, output_padding):
    torch = pytest.importorskip("torch")
    x = _draw(2, 5, 6, 3)
    module = layers.ConvTranspose(
        5, side, strides, padding, output_padding, lowering=PRODUCT
    )
    params = module.init(jax.random.key(0), x)["params"]
    peer = torch.nn.ConvTranspose2d(3, 5, side, strides, padding, output_padding)
    kernel = np.array(params["kernel"][::-1, ::-1].transpose(2, 3, 0, 1))
    peer.load_state_dict({"weight": torch.tensor(kernel), "bias": torch.zeros(5)})
    expected = _from_torch(peer(_to_torch(torch, x)))
    np.testing.assert_allclose(module.apply({"params": params}, x), expected, atol=1e-5)
    # PyTorch's formula of the side
    rows = (5 - 1) * strides - 2 * padding + side + output_padding
    assert expected.shape[1] == rows
    gradient = jax.grad(lambda x: module.apply({"params": params}, x).sum())(x)
    assert gradient.shape == x.shape


def test_conv_kernel_initialization_has_bounds_of_torch():
    module = layers.Conv(64, 4, lowering=LIBRARY)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 32)))
    kernel = variables["params"]["kernel"]
    bound = 1 / np.sqrt(4 * 4 * 32)
    assert float(abs(kernel).max()) <= bound
    assert float(kernel.std()) == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_batch_norm_equals_torch():
    torch = pytest.importorskip("torch")
    module, peer = layers.BatchNorm(), torch.nn.BatchNorm2d(5)
    x = _draw(4, 3, 2, 5) * 2 + 1
    variables = module.init(jax.random.key(0), x, True)
    assert float(variables["batch_stats"]["mean"].max()) == 0.0
    for seed in range(3):
        x = _draw(4, 3, 2, 5, seed=seed) * 2 + seed
        y, changed = module.apply(variables, x, True, mutable=["batch_stats"])
        variables = {**variables, **changed}
        np.testing.assert_allclose(y, _from_torch(peer(_to_torch(torch, x))), atol=1e-5)
    stats = variables["batch_stats"]
    np.testing.assert_allclose(stats["mean"], peer.running_mean, atol=1e-6)
    np.testing.assert_allclose(stats["var"], peer.running_var, rtol=1e-5)
    peer.eval()
    expected = _from_torch(peer(_to_torch(torch, x)))
    np.testing.assert_allclose(module.apply(variables, x, False), expected, atol=1e-5)


def test_batch_norm_first_and_second_gradients_equal_plain_form():
    x, scale, bias = _draw(6, 2, 2, 3), 1 + _draw(3, seed=1) / 9, _draw(3, seed=2)

    def plain(x, scale, bias):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias

    def ours(x, scale, bias):
        variables = {
            "params": {"scale": scale, "bias": bias},
            "batch_stats": {"mean": jnp.zeros(3), "var": jnp.ones(3)},
        }
        return layers.BatchNorm().apply(variables, x, True, mutable=["batch_stats"])[0]

    def both(function):
        def loss(*arguments):
            return jnp.sin(3 * function(*arguments)).sum()

        first = jax.grad(loss, argnums=(0, 1, 2))
        second = jax.grad(lambda *a: sum(jnp.square(g).sum() for g in first(*a)), 0)
        return *first(x, scale, bias), second(x, scale, bias)

    _assert_near(both(ours), both(plain), 1e-4)


def test_batch_norm_of_large_mean_is_normalized():
    x = 1000 + _draw(8, 4, 4, 2)
    variables = layers.BatchNorm().init(jax.random.key(0), x, True)
    y, _ = layers.BatchNorm().apply(variables, x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.std((0, 1, 2)), 1.0, atol=1e-3)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0.0, atol=1e-3)


def _brute_pool(x):
    n, h, w, c = x.shape
    out = np.zeros((n, h // 2, w // 2, c), np.float32)
    for i in range(h // 2):
        for j in range(w // 2):
            out[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2))
    return out


def test_max_pool_and_gradient_equal_brute_force():
    x = np.array(_draw(2, 5, 6, 3))
    np.testing.assert_allclose(layers.max_pool(x), _brute_pool(x), rtol=1e-6)
    weights = np.array(_draw(2, 2, 3, 3, seed=1))

    def loss(x):
        return float((_brute_pool(x).astype(float) * weights).sum())

    gradient = jax.grad(lambda x: (layers.max_pool(x) * weights).sum())(x)
    differences = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-2
        differences[index] = (loss(x + step) - loss(x - step)) / 2e-2
    close = np.isclose(gradient, differences, atol=1e-3)
    assert close.mean() > 0.95  # a step of 1e-2 may change which pixel is the largest


def test_max_pool_tied_pixels_share_the_gradient():
    x = jnp.zeros((1, 2, 2, 1)).at[0, 0, 0, 0].set(-1.0)
    gradient = jax.grad(lambda x: layers.max_pool(x).sum())(x)
    np.testing.assert_allclose(gradient.ravel(), [0, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6)


def test_upsample_nearest_repeats_pixels():
    x = _draw(2, 3, 2, 4)
    expected = np.repeat(np.repeat(x, 3, axis=1), 3, axis=2)
    np.testing.assert_array_equal(layers.upsample_nearest(x, 3), expected)
    gradient = jax.grad(lambda x: layers.upsample_nearest(x, 3).sum())(x)
    np.testing.assert_allclose(gradient, 9.0)
