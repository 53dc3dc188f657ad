"""Tickets: a mask together with the weights from which training starts.

On disk a ticket is one .npz that NumPy reads without pickle: masks as packed bits, the
kept weights, the batch-norm statistics of the rewind step, and the provenance as JSON.
For a compacted network it has the channels of each group, and arrays of the smaller
shapes, which fit `tasks.build(config, ..., channels)`.

A ticket of a custom model needs only masks and params, which may be any pytree. Dicts
and lists are restored as such, without their parts that hold no arrays: of a list with
such parts, a dict of positions. `load(path, like=params)` restores any structure, such
as tuples, FrozenDicts, nnx states and Equinox modules.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.trees import Tree
from gen_tickets.workdir import npz, reading


class Ticket(NamedTuple):
    """One ticket of one run; the first level of the trees is the component.

    That of dynamic sparse training has the last masks of the round's first method, on
    the initial weights.
    """

    masks: Tree  #: bool, True = kept
    params: Tree  #: float32 weights of the rewind step, exactly 0.0 where pruned
    stats: dict[str, Any] = {}  #: batch-norm statistics of the rewind step
    provenance: dict[str, Any] = {}  #: config, run, round, sparsity, step, versions
    channels: dict[str, Any] = {}  #: {component: channels} if compacted, else {}


def save(path: str | os.PathLike[str], ticket: Ticket) -> None:
    """Writes a ticket to one file, atomically.

    Raises:
      UserError: weights or statistics are not float32, masks are not bool or have
        another structure or shape, or the disk is full.
    """
    masks, params = trees.named_leaves(ticket.masks), trees.named_leaves(ticket.params)
    if masks.keys() != params.keys():
        raise UserError("masks", "are not of the structure of params")
    for name, mask in masks.items():
        _check_mask(name, np.asarray(mask), np.shape(params[name]))
    shapes = {name: list(leaf.shape) for name, leaf in params.items()}
    header = json.dumps(
        {
            "provenance": ticket.provenance,
            "shapes": shapes,
            "paths": dict(zip(params, trees.paths(ticket.params))),
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
    npz.write(pathlib.Path(path), arrays)


def _check_mask(name: str, mask: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises UserError unless a mask is bool and of the shape of its weights.

    Any other would be saved as another ticket, as integers or rows select weights too.
    """
    if mask.dtype != bool or mask.shape != shape:
        raise UserError(
            f"mask of {name}",
            f"is {mask.dtype} {list(mask.shape)}, for weights {list(shape)}",
            "give bool, True = kept, of the shape of the weights",
        )


def _float32(name: str, leaf: Any) -> np.ndarray:
    leaf = np.asarray(leaf)
    if leaf.dtype != np.float32:
        raise UserError(name, f"is {leaf.dtype}", "cast it: a ticket holds float32")
    return leaf


def _nest(
    leaves: dict[str, Any], paths: Mapping[str, Sequence[str | int]] | None = None
) -> Any:
    """Nested dicts and lists from {name: leaf}.

    Args:
      leaves: by name.
      paths: {name: its parts}, integers for lists; None: splits names at "/".
    """
    nested: dict[str | int, Any] = {}
    for name, leaf in leaves.items():
        *parts, last = name.split("/") if paths is None else paths[name]
        place = nested
        for part in parts:
            place = place.setdefault(part, {})
        if last in place:
            raise ValueError(f"{name} occurs twice")
        place[last] = leaf
    return _with_lists(nested)


def _with_lists(tree: Any) -> Any:
    """Dicts with keys 0, 1, ... become lists."""
    if not isinstance(tree, dict):
        return tree
    tree = {key: _with_lists(value) for key, value in tree.items()}
    is_list = bool(tree) and list(tree) == list(range(len(tree)))
    return list(tree.values()) if is_list else tree


def _check_arrays(path: str | os.PathLike[str]) -> None:
    """Raises ValueError unless sizes and dtypes are a ticket's; reads no array."""
    arrays, size = npz.headers(path), os.path.getsize(path)
    if npz.announced_bytes(arrays) > size:
        raise ValueError(f"its arrays are said to be larger than its {size} bytes")
    for name, (_, dtype) in arrays.items():
        if name.startswith(("params/", "stats/")) and dtype != np.float32:
            raise ValueError(f"{name} is {dtype}, not float32")


def _check_header(header: dict[str, Any]) -> None:
    """Raises ValueError unless a header is valid, except for its shapes."""
    if not isinstance(header["provenance"], dict):
        raise ValueError("its provenance is no table")
    stats = header.get("stats", [])
    if not isinstance(stats, list) or not all(isinstance(x, str) for x in stats):
        raise ValueError("its statistics have no names")
    parts = [part for path in header.get("paths", {}).values() for part in path]
    if not all(type(part) in (str, int) for part in parts):
        raise ValueError("its leaves have no paths")
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
    """Reads a ticket; invalid files raise many kinds of exceptions."""
    _check_arrays(path)
    # Opened here, because NumPy does not close a file that is not an archive.
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
        # Files of earlier versions lack some of these.
        components = header.get("stats", [name.split("/")[0] for name in params])
        channels, parts = header.get("channels", {}), header.get("paths")
        return Ticket(
            _nest(masks, parts),
            _nest(params, parts),
            {**{name: {} for name in components}, **_nest(stats)},
            header["provenance"],
            {name: tuple(sizes) for name, sizes in channels.items()},
        )


def load(path: str | os.PathLike[str], like: Tree = None) -> Ticket:
    """Reads a ticket as NumPy arrays in nested dicts and lists.

    Never runs code from the file, and never allocates more than the file can contain.

    Args:
      path: of the file.
      like: weights that define the structure of masks and params; None: as stored.

    Raises:
      UserError: the file is missing, not an intact ticket, or of another model.
    """
    with reading.explained(path, "ticket"):
        ticket = _read(path)
    if like is None:
        return ticket
    stored, wanted = trees.named_leaves(ticket.params), trees.named_leaves(like)
    for name in sorted(stored.keys() | wanted.keys()):
        shapes = [np.shape(x[name]) if name in x else None for x in (stored, wanted)]
        if shapes[0] != shapes[1]:
            problem = f"{name} is {shapes[0]} there, {shapes[1]} here"
            raise UserError(path, problem, "give the weights of its model")
    parts = (trees.named_leaves(tree) for tree in (ticket.masks, ticket.params))
    masks, params = (trees.like(like, leaves) for leaves in parts)
    return ticket._replace(masks=masks, params=params)


def to_device(tree: Tree) -> Tree:
    """NumPy leaves -> JAX arrays."""
    return jax.tree.map(jnp.asarray, tree)
