"""A trained network in PyTorch: weights.npz, and a model.py with the same outputs.

The program that JAX traces for a network is translated operation by operation, so
compacted and custom models can be exported too; one with an operation or a constant
that has no counterpart here, such as the U-Net's times, is refused. Weights keep their
names and layout; images are [N, C, H, W] as in PyTorch. Convolutions have float32
operands, regardless of `precision`.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pytorch import operations
from gen_tickets.tasks import networks
from gen_tickets.trained import Trained
from gen_tickets.workdir import npz, paths

# Of the batches traced, to tell their size from those of weights and images.
_SIZES = (7919, 8191)

_HEAD = '''"""{title}.

    from model import load
    networks = load()  # {{{components}}}

Images are float32 [N, C, H, W] in [-1, 1]; batch norm uses its running statistics.
"""

import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def conv(x, kernel, strides, padding):
    """x [N, H, W, C] by a kernel [h, w, in, out]; zeros (left, right, top, bottom)."""
    x = F.pad(x.permute(0, 3, 1, 2), padding)
    return F.conv2d(x, kernel.permute(3, 2, 0, 1), stride=strides).permute(0, 2, 3, 1)


def conv_transpose(x, kernel, strides, padding):
    """x [N, H, W, C] by a kernel [h, w, in, out] rotated by 180 degrees.

    Then padded with zeros (left, right, top, bottom); negative numbers crop.
    """
    x, kernel = x.permute(0, 3, 1, 2), kernel.flip(0, 1).permute(2, 3, 0, 1)
    x = F.pad(F.conv_transpose2d(x, kernel, stride=strides), padding)
    return x.permute(0, 2, 3, 1)


class Network(nn.Module):
    """Weights by their names, "_" between the parts: dense_0_kernel."""

    def __init__(self, params, stats):
        super().__init__()
        for name, value in params.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(value)))
        for name, value in stats.items():
            self.register_buffer(name, torch.tensor(value))
'''

_CLASS = """

class {name}(Network):
    def forward(self, x):
{body}
"""

_LOAD = '''

def load(path=pathlib.Path(__file__).with_name("weights.npz")):
    """{{component: network}} with the weights of a file, ready for inference."""
    arrays = np.load(path)
    classes = {{{classes}}}
    found = {{}}
    for component, kind in classes.items():
        parts = [
            {{
                name.split("/")[-1]: arrays[name]
                for name in arrays.files
                if name.startswith(f"{{component}}/{{part}}/")
            }}
            for part in ("params", "stats")
        ]
        found[component] = kind(*parts).eval()
    return found
'''


def write(folder: pathlib.Path, trained: Trained) -> None:
    """Writes weights.npz and model.py.

    Args:
      folder: created if missing.
      trained: from `trained.load`.

    Raises:
      UserError: an operation has no counterpart, or the disk is full.
    """
    source, arrays = convert(trained)
    npz.write(folder / "weights.npz", arrays)
    paths.write_atomically(folder / "model.py", source.encode())


def convert(trained: Trained) -> tuple[str, dict[str, np.ndarray]]:
    """(source of model.py, {component/params or stats/name: array}).

    Raises:
      UserError: an operation has no counterpart.
    """
    classes = {name: name.title().replace("_", "") for name in trained.modules}
    source = _HEAD.format(title=trained.title, components=", ".join(map(repr, classes)))
    arrays: dict[str, np.ndarray] = {}
    for component, name in classes.items():
        parts = {"params": trained.params[component], "stats": trained.stats[component]}
        for part, tree in parts.items():
            for leaf, value in zip(_names(tree), jax.tree.leaves(tree)):
                arrays[f"{component}/{part}/{leaf}"] = np.asarray(value)
        source += _CLASS.format(name=name, body=_forward(trained, component))
    pairs = ", ".join(f"{component!r}: {name}" for component, name in classes.items())
    return source + _LOAD.format(classes=pairs), arrays


def _names(tree: Any) -> list[str]:
    """Names of the leaves, as attribute names of a module."""
    return [name.replace("/", "_") for name in trees.named_leaves(tree)]


def _forward(trained: Trained, component: str) -> str:
    """The lines of a network's forward function.

    Raises:
      UserError: an operation has no counterpart, or depends on the size of the batch.
    """
    sources = [_trace(trained, component, size) for size in _SIZES]
    if sources[0] != sources[1]:
        raise UserError(component, "depends on the batch size", "give another --format")
    return "\n".join(f"        {line}" for line in sources[0])


def _trace(trained: Trained, component: str, size: int) -> list[str]:
    """Lines of the program that JAX traces for a batch of this size."""
    network = trained.task.networks[component]
    fields: dict[str, Any] = {"lowering": LIBRARY, "dtype": jnp.dtype("float32")}
    own = {name: x for name, x in fields.items() if hasattr(network.module, name)}
    module = network.module.clone(**own)

    def function(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return networks.apply(module, params, stats, x, train=False)[0]

    params, stats = trained.params[component], trained.stats[component]
    x = jax.ShapeDtypeStruct((size, *network.input_shape), jnp.float32)
    program = jax.make_jaxpr(function)(params, stats, x)
    weights = [f"self.{name}" for tree in (params, stats) for name in _names(tree)]
    lines = ["x = x.permute(0, 2, 3, 1)"] if x.ndim == 4 else []
    (output,) = operations.Writer(lines, size).run(program, [*weights, "x"])
    images = ".permute(0, 3, 1, 2)" if program.out_avals[0].ndim == 4 else ""
    return [*lines, f"return {output}{images}"]
