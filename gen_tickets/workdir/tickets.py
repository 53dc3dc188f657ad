"""Tickets: a mask together with the weights that its training starts from.

On disk a ticket is one .npz that NumPy reads without pickle: masks as packed bits, the
weights that are kept, the batch-norm statistics of the rewind step, and the provenance
as JSON. For a compacted network it has the channels of each group, and arrays of the
smaller shapes, which fit `tasks.build(config, ..., channels)`.

A ticket of a custom model needs only masks and params, which may be any pytree; it is
read back as nested dicts, which `trees.like` converts to other structures.
"""

import io
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.trees import Tree
from gen_tickets.workdir import npz, paths


class Ticket(NamedTuple):
    """One ticket of one run; trees have the component as first level."""

    masks: Tree  #: bool, True = kept
    params: Tree  #: float32 weights of the rewind step, exactly 0.0 where pruned
    stats: dict[str, Any] = {}  #: batch-norm statistics of the rewind step
    provenance: dict[str, Any] = {}  #: config, run, round, sparsity, step, versions
    channels: dict[str, Any] = {}  #: {component: channels} if compacted, else {}


def save(path: str | os.PathLike[str], ticket: Ticket) -> None:
    """Writes a ticket to one file, atomically.

    Raises:
      UserError: weights or statistics that are not float32, or the disk is full.
    """
    masks, params = trees.named_leaves(ticket.masks), trees.named_leaves(ticket.params)
    shapes = {name: list(leaf.shape) for name, leaf in params.items()}
    header = json.dumps(
        {
            "provenance": ticket.provenance,
            "shapes": shapes,
            "stats": list(ticket.stats),  # including those without arrays
            "channels": ticket.channels,
        }
    )
    arrays: dict[str, Any] = {"header": np.frombuffer(header.encode(), np.uint8)}
    for name, mask in masks.items():
        mask = np.asarray(mask)
        arrays[f"masks/{name}"] = np.packbits(mask)
        arrays[f"params/{name}"] = _float32(name, params[name])[mask]
    for name, leaf in trees.named_leaves(ticket.stats).items():
        arrays[f"stats/{name}"] = _float32(name, leaf)
    content = io.BytesIO()
    np.savez(content, **arrays)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    paths.write_atomically(path, content.getvalue())


def _float32(name: str, leaf: Any) -> np.ndarray:
    leaf = np.asarray(leaf)
    if leaf.dtype != np.float32:
        raise UserError(name, f"is {leaf.dtype}", "cast it: a ticket holds float32")
    return leaf


def _nest(leaves: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *parts, last = name.split("/")
        place = nested
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = leaf
    return nested


def _check_arrays(path: str | os.PathLike[str]) -> None:
    """Raises ValueError unless sizes and dtypes are those of a ticket; reads none."""
    arrays, size = npz.headers(path), os.path.getsize(path)
    if npz.announced_bytes(arrays) > size:
        raise ValueError(f"its arrays are said to be larger than its {size} bytes")
    for name, (_, dtype) in arrays.items():
        if name.startswith(("params/", "stats/")) and dtype != np.float32:
            raise ValueError(f"{name} is {dtype}, not float32")


def _check_header(header: dict[str, Any]) -> None:
    """Raises ValueError unless all of a header but the shapes can be used."""
    if not isinstance(header["provenance"], dict):
        raise ValueError("its provenance is no table")
    stats = header.get("stats", [])
    if not isinstance(stats, list) or not all(isinstance(x, str) for x in stats):
        raise ValueError("its statistics have no names")
    for component, sizes in header.get("channels", {}).items():
        if not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"channels of {component} are no whole numbers >= 1")


def _unpack(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """-> (mask, weights) of one leaf, checked against the shape in the header."""
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"{name} has the shape {shape}")
    size = math.prod(shape)
    packed, survivors = arrays[f"masks/{name}"], arrays[f"params/{name}"]
    if packed.dtype != np.uint8 or packed.shape != (-(-size // 8),):
        raise ValueError(f"mask of {name} has {packed.size} bytes for {size} weights")
    mask = np.unpackbits(packed, count=size).astype(bool).reshape(shape)
    if survivors.shape != (mask.sum(),):
        raise ValueError(f"{name} has {survivors.size} weights for {mask.sum()} kept")
    weights = np.zeros(shape, np.float32)
    weights[mask] = survivors
    return mask, weights


def _read(path: str | os.PathLike[str]) -> Ticket:
    """Reads a ticket; invalid files raise exceptions of many kinds."""
    _check_arrays(path)
    # Opened here, because NumPy does not close a file that is no archive.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        _check_header(header)
        masks, params = {}, {}
        for name, shape in header["shapes"].items():
            masks[name], params[name] = _unpack(arrays, name, tuple(shape))
        stats = {
            name.removeprefix("stats/"): arrays[name]
            for name in arrays.files
            if name.startswith("stats/")
        }
        # Files of the first version have no such entries.
        components = header.get("stats", [name.split("/")[0] for name in params])
        channels = header.get("channels", {})
        return Ticket(
            _nest(masks),
            _nest(params),
            {**{name: {} for name in components}, **_nest(stats)},
            header["provenance"],
            {name: tuple(sizes) for name, sizes in channels.items()},
        )


def load(path: str | os.PathLike[str]) -> Ticket:
    """Reads a ticket; NumPy arrays in nested dicts.

    Raises:
      UserError: no such file, or not an intact ticket. No code in it is executed, and
        no more memory is allocated than the file can fill.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        raise UserError(path, "there is no such ticket") from None
    except Exception as error:  # zipfile, zlib, NumPy and JSON raise many kinds.
        reason = (str(error).splitlines() or [repr(error)])[0][:200]
        raise UserError(path, f"is not an intact ticket ({reason})") from None


def to_device(tree: Tree) -> Tree:
    """NumPy leaves -> JAX arrays."""
    return jax.tree.map(jnp.asarray, tree)
