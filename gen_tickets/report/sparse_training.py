"""Verdict of dynamic sparse training: the largest sparsity of each method.

For experiments with `procedure=dynamic`, whose arms are those of `dynamic.methods`.
"""

from collections.abc import Callable, Mapping

from gen_tickets.config import option
from gen_tickets.config.options import OPTIONS
from gen_tickets.report.statistics import Summaries, Summary, mean_std, percent
from gen_tickets.workdir import columns


def methods(arms: Summaries) -> Summaries:
    """The arms of a results table that were sparse from the first step."""
    known = OPTIONS["dynamic.methods"]
    names = known.names if isinstance(known, option.Choices) else ()
    return {name: arms[name] for name in names if name in arms}


def judge(
    metric: str,
    dense: Summary,
    of_methods: Mapping[str, Mapping[int, Summary]],
    matches: Callable[[Summary], bool],
) -> tuple[float | None, str]:
    """The sparsities at which methods do as well as dense training.

    Args:
      metric: column compared.
      dense: of the dense network.
      of_methods: {method: {round: its runs}}.
      matches: whether runs do as well as dense.

    Returns:
      (largest sparsity of any method or None, the sentence).
    """
    largest: float | None = None
    parts = []
    for name, rounds in of_methods.items():
        found = [one for one in rounds.values() if matches(one)]
        best = max(found, key=lambda one: one.sparsity, default=None)
        if best is None:
            parts.append(f"{name} at no sparsity")
            continue
        largest = max(largest or 0.0, best.sparsity)
        parts.append(f"{name} up to {percent(best.sparsity)} ({mean_std(best)})")
    words = columns.find(metric).wording
    head = f"Trained sparse from the first step, by the {words}"
    if largest is None:
        names = ", ".join(of_methods)
        sentence = f"{head} no method ({names}) is as good as dense ({mean_std(dense)})"
        return None, f"{sentence} at any sparsity."
    return largest, f"{head} as good as dense ({mean_std(dense)}): {', '.join(parts)}."
