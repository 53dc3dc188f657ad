"""The rounds whose trained networks are kept, chosen from a results table."""

from gen_tickets.report import verdict as verdict_lib
from gen_tickets.report.statistics import Rows
from gen_tickets.report.verdict import Round, Verdict


def best_round(verdict: Verdict) -> int | None:
    """The round of the sparsest winning ticket; None if none is found."""
    return _sparsest([judged for judged in verdict.rounds if judged.found])


def rounds(rows: Rows, metric: str, policy: str, last: int) -> set[int]:
    """Rounds to keep once the round `last` is recorded.

    Whether a winning arm matches depends only on its own rows and the dense ones, so
    later rounds do not change it. Whether a ticket is found may depend on a later
    diverged run. Hence "best" keeps the sparsest round of each kind.

    Args:
      rows: of results.csv; rounds after `last` are ignored.
      metric: column that the verdict compares.
      policy: keep.rounds, "best" or "last".
      last: number of a recorded round.
    """
    if policy == "last":
        return {last}
    known = [row for row in rows if row["round"] <= last]
    verdict = verdict_lib.verdict(known, metric)
    matching = _sparsest([judged for judged in verdict.rounds if judged.matches])
    best = best_round(verdict), matching
    return {0, last, *(number for number in best if number is not None)}


def _sparsest(judged: list[Round]) -> int | None:
    """The sparsest round; of two with equal sparsity (floors), the later one."""
    best = max(judged, key=lambda one: (one.sparsity, one.round), default=None)
    return None if best is None else best.round
