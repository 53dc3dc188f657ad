"""Checks the saved tickets of a finished workdir against the invariants.

    python -m benchmarks.check_tickets runs/ae_mnist

In every round and run: pruned weights are exactly 0.0, masks are nested in those of the
previous round, kept counts are exact, and kept weights equal the dense network's of
step k bit for bit. Exits with status 1 and prints the first violation if one fails.
"""

import pathlib
import sys

import numpy as np

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import outcomes
from gen_tickets.workdir import paths, tickets


def _expected(config, masks, round_number: int) -> list[tuple[list[str], int]]:
    """[(names of a pool, weights it must keep)]."""
    names = masks_lib.prunable_names(
        masks, config["prune.components"], config["prune.exclude"]
    )
    sizes = trees.named_leaves(masks)
    pools = [list(names)]
    if config["prune.scope"] == "layer":
        pools = [[name] for name in names]
    fraction = config["prune.fraction"]
    counts = [sum(sizes[name].size for name in pool) for pool in pools]
    keeps = [masks_lib.keep_count(n, fraction, round_number) for n in counts]
    return [(pool, max(keep, len(pool))) for pool, keep in zip(pools, keeps)]


def _check_ticket(ticket, before, dense, config, round_number: int) -> None:
    masks, weights = trees.named_leaves(ticket.masks), trees.named_leaves(ticket.params)
    dense_weights = trees.named_leaves(dense.params)
    for name, mask in masks.items():
        assert np.all(weights[name][~mask] == 0.0), f"{name}: a pruned weight is not 0"
        same = weights[name][mask] == dense_weights[name][mask]
        assert np.all(same), f"{name}: a survivor is not the weight of step k"
        if before is not None:
            gone = ~trees.named_leaves(before.masks)[name]
            assert not np.any(mask & gone), f"{name}: a pruned weight came back"
    for pool, keep in _expected(config, ticket.masks, round_number):
        kept = sum(int(masks[name].sum()) for name in pool)
        assert kept == keep, f"{kept} weights kept, {keep} expected"


def main(workdir) -> None:
    outcome = outcomes.load(workdir)
    rounds = sorted({row["round"] for row in outcome.rows})
    runs = sorted({row["run"] for row in outcome.rows})
    for run in runs:
        dense = before = None
        for number in rounds:
            path = pathlib.Path(paths.ticket_path(workdir, number, run))
            ticket = tickets.load(path)
            dense = dense or ticket
            try:
                _check_ticket(ticket, before, dense, outcome.config, number)
            except AssertionError as violation:
                raise SystemExit(f"{path}: {violation}") from None
            before = ticket
    print(f"{len(rounds)} rounds x {len(runs)} runs: zero, nested, exact, rewound")


if __name__ == "__main__":
    main(*sys.argv[1:])
