"""A permanent line for every round: sparsity, result of each arm, outcome."""

from collections.abc import Sequence

from gen_tickets.console import display
from gen_tickets.console.display import Span
from gen_tickets.report import statistics
from gen_tickets.report.statistics import Rows, Summary
from gen_tickets.report.verdict import MIN_RUNS, Round, verdict
from gen_tickets.workdir import columns

_ARM_WIDTH = 18
_OUTCOME_WIDTH = 20


class RoundTable:
    """The rounds of a run that have been shown, as a table that grows downwards."""

    def __init__(self, metric: str, arms: Sequence[str]):
        """Shows nothing yet.

        Args:
          metric: the column of results.csv that the verdict compares.
          arms: of the rounds after the dense one; each is a column of the table.
        """
        self._metric, self._arms = metric, arms
        self._shown: set[tuple[int, int]] = set()  # (round, runs in its rows)

    def show(self, rows: Rows) -> None:
        """Writes the lines of the rounds that have not been shown.

        Args:
          rows: all of results.csv.
        """
        if rows and not self._shown and display.shows_bars():
            display.say((_head(self._metric, self._arms), "bold"))
        for number in sorted({row["round"] for row in rows}):
            of_round = [row for row in rows if row["round"] == number]
            key = (number, len({row["run"] for row in of_round}))
            if key not in self._shown:
                self._shown.add(key)
                seconds = float(of_round[-1]["seconds"])
                if display.shows_bars():
                    spans = row_spans(rows, self._metric, number, seconds, self._arms)
                else:
                    spans = log_spans(rows, self._metric, number, seconds)
                display.say(*spans)


def _head(metric: str, arms: Sequence[str]) -> str:
    names = "".join(f"{arm:<{_ARM_WIDTH}}" for arm in arms)
    title = f"\n{columns.find(metric).title}, mean ± sd\n"
    return f"{title}round  sparsity  {names}{'ticket':<{_OUTCOME_WIDTH}}time"


def _of_round(rows: Rows, metric: str, number: int) -> dict[str, Summary]:
    """{arm: its summary} of one round."""
    arms = statistics.summarize(rows, metric)
    return {arm: of[number] for arm, of in arms.items() if number in of}


def outcome(rows: Rows, metric: str, number: int) -> Span:
    """Whether a round's ticket is found, or why not, with a style."""
    judged: Round | None = next(
        (x for x in verdict(rows, metric).rounds if x.round == number), None
    )
    if number == 0:
        return "dense", ""
    if judged is None or judged.winning.num_runs < MIN_RUNS:
        return "-", "bright_black"
    if judged.found:
        return "found", "bold green"
    if not judged.matches:
        return "no: below dense", "red"
    return "no: random as good", "yellow"


def row_spans(
    rows: Rows, metric: str, number: int, seconds: float, arms: Sequence[str]
) -> list[Span]:
    """A round as a line of the table; the dense arm is in the first column."""
    of_arms = _of_round(rows, metric, number)
    share = statistics.percent(next(iter(of_arms.values())).sparsity) if of_arms else ""
    text, style = outcome(rows, metric, number)
    colors = {"winning": "blue", "random": "yellow", "dense": ""}
    spans: list[Span] = [(f"{number:>5}  {share:>8}  ", "")]
    for place, column in enumerate(arms):
        arm = "dense" if place == 0 and "dense" in of_arms else column
        value = statistics.mean_std(of_arms[arm]) if arm in of_arms else ""
        spans.append((f"{value:<{_ARM_WIDTH}}", colors.get(arm, "green")))
    time = display.duration(seconds)
    return [*spans, (f"{text:<{_OUTCOME_WIDTH}}", style), (time, "bright_black")]


def log_spans(rows: Rows, metric: str, number: int, seconds: float) -> list[Span]:
    """A round as a self-explanatory line."""
    of_arms = _of_round(rows, metric, number)
    found = [f"{arm} {statistics.mean_std(of)}" for arm, of in of_arms.items()]
    share = [statistics.percent(of.sparsity) for of in of_arms.values()][:1]
    text, _ = outcome(rows, metric, number)
    ticket = [] if number == 0 else [f"ticket: {text}"]
    parts = [*share, f"{columns.find(metric).wording}: {', '.join(found)}", *ticket]
    time = display.duration(seconds)
    return [(f"round {number} done: {'; '.join([*parts, time])}", "")]
