"""Notes on a verdict: diverged runs, layer collapse, rewound weights' head start."""

import numpy as np

from gen_tickets.report.comparison import P_BORDER, Rounds, by_sparsity, compare
from gen_tickets.report.statistics import Rows, Summaries, Summary, mean_std, percent


def diverged(arms: Summaries) -> tuple[str, ...]:
    counts = {
        arm: np.sum([(s.num_diverged, s.num_runs) for s in of.values()], axis=0)
        for arm, of in arms.items()
    }
    parts = [f"{bad} of {total} {arm}" for arm, (bad, total) in counts.items() if bad]
    if not parts:
        return ()
    return (
        f"Diverged trainings: {', '.join(parts)}. Means, deviations and tests use "
        "the others. A winning arm with one does not match; a random arm is worse if "
        "all of its runs diverged.",
    )


def layer_collapse(rows: Rows) -> tuple[str, ...]:
    """Whether pruning has emptied layers (Tanaka et al. 2020, SynFlow).

    A layer keeps at least one weight. Layer collapse means that its saliencies are too
    small for the pool, as those of a critic whose weights are clipped are in a pool
    with a generator's.
    """
    winning = [row for row in rows if row["arm"] == "winning"]
    collapsed = [row for row in winning if row.get("floored_layers", 0)]
    if not collapsed:
        return ()
    number = min(row["round"] for row in collapsed)
    first = [row for row in collapsed if row["round"] == number]
    layers = max(row["floored_layers"] for row in first)
    count = "one layer keeps" if layers == 1 else f"up to {layers} layers keep"
    shares = {
        name.removeprefix("sparsity_"): float(np.mean([row[name] for row in first]))
        for name in first[0]
        if name.startswith("sparsity_")
    }
    component = max(shares, key=shares.__getitem__)
    sparsity = percent(float(np.mean([row["sparsity"] for row in first])))
    return (
        f"Layer collapse: from round {number} ({sparsity}) on, {count} a single "
        f"weight; the {component} is pruned to "
        f"{percent(shares[component])}. prune.scope=component or layer prevents this.",
    )


def head_start(
    rounds: Rounds, controls: dict[int, Summary], sign: int
) -> tuple[str, ...]:
    """Whether the ticket is more than the head start of its rewound weights."""
    known = [x for x in rounds if x.round in controls]
    found = [x for x in known if x.found]
    one = max(found or known[-1:], key=by_sparsity, default=None)
    if one is None:
        return ()
    winning, control = one.winning, controls[one.round]
    p_value = compare(winning, control)
    ahead = not control.values or sign * (winning.mean - control.mean) > 0
    is_mask = ahead and p_value < P_BORDER
    says = "so the mask matters" if is_mask else "so this may be their head start alone"
    return (
        f"The same rewound weights under a random mask, at {percent(one.sparsity)}: "
        f"{mean_std(control)}, winning {mean_std(winning)}, which is "
        f"{'' if is_mask else 'not '}significantly better, {says}.",
    )
