"""The lowering of a convolution: the form in which it is compiled, by platform.

- "library": XLA's convolution. A `vmap` over members makes it a grouped convolution.
- "product": matrix products, a few images at a time so that their patches stay in a
  CPU's cache. The members of a `vmap` are processed one after another.
- "batched_product": one matrix product on the patches of all images. The members of a
  `vmap` become the batch of that product.

The choice is an argument of every convolution and an attribute of every Flax module
that contains one, so it is part of the key under which JAX caches a trace.
`python -m benchmarks.accelerator` times the forms on a device, for every convolution of
the paper's models, and prints the best choice.
"""

from typing import Literal, NamedTuple

import jax

Form = Literal["library", "product", "batched_product"]


class Lowering(NamedTuple):
    """The forms of a convolution."""

    alone: Form  #: outside of a `vmap`
    vmapped: Form  #: under a `vmap`, such as over members


LIBRARY = Lowering("library", "library")
PRODUCT = Lowering("product", "product")
BATCHED_PRODUCT = Lowering("batched_product", "batched_product")
# The GPU entry was measured on an H200 (`benchmarks.accelerator`, jax 0.11.2). A step
# of ten members of the paper's DCGAN takes 44.7 ms in the library form, 13.3 ms as
# batched products (bfloat16: 9.0 ms); one member takes 2.6 and 1.8 ms (bfloat16: 3.0
# and 1.3 ms; cuDNN has no kernel with bfloat16 operands and float32 results).
# The TPU entry follows the compiler's estimates for a v5e (`benchmarks.tpu_compile`).
# A step of ten members of the paper's VAE, vmapped in float32, takes 7.9 ms and 3.9 GB
# of HBM traffic in the library form, whose grouped convolutions need no extra FLOPs; as
# batched products it takes 38 ms and 14.5 GB, mostly for moving patches.
_BY_PLATFORM = {"cpu": PRODUCT, "gpu": BATCHED_PRODUCT, "tpu": LIBRARY}
# A ResNet-18 applied to an image of 32x32 takes 0.52 ms of CPU time at width 8 in the
# library form and 1.1 ms as products, 1.6 and 1.8 ms at width 16, 13.1 and 10.2 ms at
# width 64 (one core of an AMD EPYC, jax 0.10.2; before `products` paired columns). With
# gradients, a step of a DCGAN of widths 16 to 64 takes 25 times as long in the library
# form.
_NARROW = 16


def choose(platform: str | None = None) -> Lowering:
    """The fastest measured lowering of a platform.

    Args:
      platform: for which programs are compiled, "cpu", "gpu" or "tpu"; None: JAX's
        default backend. Unknown platforms use LIBRARY.
    """
    return _BY_PLATFORM.get(platform or jax.default_backend(), LIBRARY)


def choose_forward(width: int, platform: str | None = None) -> Lowering:
    """The fastest measured lowering of a network that is applied without gradients.

    Args:
      width: channels of its narrowest layers.
      platform: as in `choose`.
    """
    found = choose(platform)
    return LIBRARY if found == PRODUCT and width <= _NARROW else found
