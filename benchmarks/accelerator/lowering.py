"""Times the convolutions of the models, with gradients, in several forms."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from benchmarks.accelerator import models, timing
from benchmarks.accelerator.scales import Scale
from benchmarks.accelerator.steps import dtype_of, precision_of
from gen_tickets.kernels import convolutions
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import layers

_KINDS = {layers.Conv: "conv", layers.ConvTranspose: "transposed"}


def shapes(scale: Scale, model: str) -> dict[str, Any]:
    """The different convolutions of a model's training step.

    A layer is named by what decides its time, as "conv-100x32x32x3-k4-s2-p1-o128":
    kind, images [N, H, W, C], kernel, stride, padding and output channels; "-e1" is
    the output padding of a transposed one.
    """
    config = models.configure(model, scale.smoke)
    task = models.build(model, scale.smoke)
    found: list[str] = []

    def note(call, args, kwargs, context):
        module = context.module
        if context.method_name == "__call__" and type(module) in _KINDS:
            found.append(_name(module, args[0].shape))
        return call(*args, **kwargs)

    for network in task.networks.values():
        shape = (config.data.batch_size, *network.input_shape)
        images = jax.ShapeDtypeStruct(shape, "float32")
        with nn.intercept_methods(note):
            init = functools.partial(network.module.init, train=False)
            jax.eval_shape(init, jax.random.key(0), images)
    return {"layers": list(dict.fromkeys(found))}


def _name(module: Any, shape: tuple[int, ...]) -> str:
    images = "x".join(map(str, shape))
    name = f"{_KINDS[type(module)]}-{images}-k{module.kernel_size}"
    name += f"-s{module.strides}-p{module.padding}-o{module.features}"
    extra = getattr(module, "output_padding", 0)
    return name + (f"-e{extra}" if extra else "")


def _parse(
    layer: str, dtype: str, lowering: Lowering
) -> tuple[Callable[..., Any], tuple, tuple]:
    """(operator of images and kernel, shape of the images, shape of the kernel)."""
    kind, images, *rest = layer.split("-")
    shape = tuple(map(int, images.split("x")))
    sizes = {x[0]: int(x[1:]) for x in rest}
    side, stride, pad = sizes["k"], sizes["s"], sizes["p"]
    kernel = (side, side, shape[-1], sizes["o"])
    function, edges = convolutions.conv, (pad, pad)
    if kind == "transposed":
        function, low = convolutions.conv_transpose, side - 1 - pad
        edges = (low, low + sizes.get("e", 0))

    def operator(x, k):
        return function(
            x,
            k,
            lowering=lowering,
            strides=(stride, stride),
            padding=(edges, edges),
            dtype=dtype,
        )

    return operator, shape, kernel


def layer(
    scale: Scale, layer: str, precision: str, members: int, form: str
) -> dict[str, Any]:
    """Seconds of one convolution with both of its gradients, for all members.

    Args:
      scale: how long it is measured.
      layer: from `shapes`.
      precision: one of `scales.PRECISIONS`.
      members: under a `vmap`; 1 = none.
      form: of the convolution, see `kernels.lowering`.
    """
    lowering = Lowering(form, form)
    operator, image_shape, kernel_shape = _parse(layer, dtype_of(precision), lowering)

    def differentiate(x, k, gradient):
        y, pull = jax.vjp(operator, x, k)
        return y, pull(gradient)

    keys = jax.random.split(jax.random.key(0), 3)
    output_shape = jax.eval_shape(
        operator, *map(_float32, (image_shape, kernel_shape))
    ).shape
    axis = (members,) if members > 1 else ()
    arguments = [
        jax.random.normal(key, (*axis, *shape))
        for key, shape in zip(keys, (image_shape, kernel_shape, output_shape))
    ]
    function = jax.vmap(differentiate) if members > 1 else differentiate
    with precision_of(precision):
        compiled = jax.jit(function).lower(*arguments).compile()

    def run(num_steps):
        for _ in range(num_steps):
            results = compiled(*arguments)
        jax.block_until_ready(results)

    return timing.repeat(run, scale.seconds / 3, scale.repetitions)


def _float32(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")
