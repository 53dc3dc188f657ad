"""Early-bird searches on disk: the mask of every epoch, and the kept channels.

One .npz per run, read without pickle; `report` plots the mask distances.
"""

import pathlib
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from gen_tickets.errors import Damaged
from gen_tickets.workdir import npz, reading


class Search(NamedTuple):
    """The search of one run; E = epochs of the search, C = channels with a score."""

    drawn: Any  #: bool [E, C], the mask of every epoch, True = kept
    found: int  #: epoch at which the ticket was found, from 1; 0: none
    #: {component: {group: bool [channels]}}, True = kept
    kept: dict[str, dict[str, Any]]


def save(path: str | pathlib.Path, search: Search) -> None:
    """Writes a search to one file, atomically."""
    arrays: dict[str, Any] = {
        "drawn": np.asarray(search.drawn),
        "found": np.int32(search.found),
    }
    for component, groups in search.kept.items():
        for group, mask in groups.items():
            arrays[f"kept/{component}/{group}"] = np.asarray(mask)
    npz.write(path, arrays, np.savez_compressed)


def load(path: str | pathlib.Path) -> Search:
    """Reads a search.

    Raises:
      UserError: the file is missing or damaged.
    """
    with reading.explained(path, "search"):
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            drawn, found = arrays["drawn"], int(arrays["found"])
            kept: dict[str, dict[str, Any]] = {}
            for name in arrays.files:
                if name.startswith("kept/"):
                    _, component, group = name.split("/", 2)
                    kept.setdefault(component, {})[group] = arrays[name]
    masks = [drawn, *(mask for groups in kept.values() for mask in groups.values())]
    if drawn.ndim != 2 or any(mask.dtype != bool for mask in masks):
        raise Damaged(path, "is not an intact search (masks are not boolean)")
    return Search(drawn, found, kept)


def distances(drawn: Any) -> np.ndarray:
    """Normalised Hamming distances between masks: bool [E, C] -> float [E, E]."""
    x = np.asarray(drawn, np.float64)
    # Two masks agree on a channel if both keep it or neither does.
    both = x @ x.T
    one = x.sum(1)
    return (one[:, None] + one[None] - 2 * both) / x.shape[1]


def outcome(search: Search, run: int, options: ConfigDict) -> str:
    """The outcome of a search as a sentence; options: `config.early_bird`."""
    from gen_tickets.pruning import detection  # imported here: reports need no JAX

    epochs = len(search.drawn)
    if search.found:
        return f"run {run}: early-bird ticket found at epoch {search.found}"
    far = distances(search.drawn)[-1, -1 - detection.NUM_COMPARED : -1]
    after = (
        "the last mask is taken"
        if options.take_last
        else "nothing is pruned (early_bird.take_last=true would take the last mask)"
    )
    return (
        f"run {run}: no early-bird ticket in {epochs} epochs, the last mask is "
        f"{far.max():.3g} from one of the {detection.NUM_COMPARED} before, not "
        f"below early_bird.distance={options.distance}: {after}"
    )
