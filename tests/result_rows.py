"""Synthetic tables of results with known answers."""

import math

from gen_tickets.workdir import tables

METRIC = "heldout_reconstruction"
DENSE = (1.0, 2.0, 3.0)  # mean 2, standard deviation 1
GOOD, BAD = (1.9, 2.0, 2.2), (9.0, 9.5, 10.0)


def table(winning, random, dense=DENSE, metric=METRIC):
    """Rows of round 0 and of one round for each pair of value lists; None diverged."""
    rows = []
    arms = [("dense", 0, dense)]
    arms += [("winning", i, values) for i, values in enumerate(winning, 1)]
    arms += [("random", i, values) for i, values in enumerate(random, 1)]
    for arm, number, values in arms:
        for run, value in enumerate(values):
            row = {
                "round": number,
                "run": run,
                "arm": arm,
                "sparsity": 1 - 0.8**number,
                "remaining": 0.8**number,
                "steps": 100,
                "seconds": 1.5,
                "diverged": value is None,
                "floored_layers": 0,
                "sparsity_encoder": 1 - 0.8**number,
                "early_stop_step": 40 + number,
                metric: math.nan if value is None else value,
            }
            rows.append(row)
    return tables.replace_round(rows, -1, [])  # in the order of the rounds
