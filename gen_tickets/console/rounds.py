"""A permanent line for every round: sparsity, result of each arm, outcome."""

from collections.abc import Mapping, Sequence

from gen_tickets.console import display
from gen_tickets.console.display import Span
from gen_tickets.report import statistics
from gen_tickets.report.statistics import Rows, Summary
from gen_tickets.report.verdict import MIN_RUNS, Round, verdict
from gen_tickets.workdir import columns

_ARM_WIDTH = 19  # of "0.02440 ± 0.00080" and a gap
_MEAN_WIDTH = 11  # without the deviation
_OUTCOME_WIDTH = 19
_REST_WIDTH = 42  # round, sparsity, outcome and time


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
        widths = _widths(self._arms, display.width())
        if rows and not self._shown and display.shows_bars():
            display.say((_head(self._metric, widths), "bold"))
        for number in sorted({row["round"] for row in rows}):
            of_round = [row for row in rows if row["round"] == number]
            key = (number, len({row["run"] for row in of_round}))
            if key not in self._shown:
                self._shown.add(key)
                seconds = float(of_round[-1]["seconds"])
                if display.shows_bars():
                    spans = row_spans(rows, self._metric, number, seconds, widths)
                else:
                    spans = log_spans(rows, self._metric, number, seconds)
                display.say(*spans)


def _widths(arms: Sequence[str], terminal: int) -> dict[str, int]:
    """{arm: width of its column}; without deviations where the terminal is narrow."""
    wide, narrow = (
        {arm: max(len(arm) + 2, width) for arm in arms}
        for width in (_ARM_WIDTH, _MEAN_WIDTH)
    )
    return wide if sum(wide.values()) + _REST_WIDTH <= terminal else narrow


def _head(metric: str, widths: Mapping[str, int]) -> str:
    names = "".join(f"{arm:<{width}}" for arm, width in widths.items())
    has_deviations = max(widths.values()) >= _ARM_WIDTH
    kind = "mean ± sd" if has_deviations else "mean"
    title = f"\n{columns.find(metric).title}, {kind}\n"
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
    if judged.winning.num_diverged:
        return "no: runs diverged", "red"
    if not judged.matches:
        return "no: below dense", "red"
    if judged.random is None or judged.random.num_runs < MIN_RUNS:
        return "no random control", "bright_black"
    return "no: random as good", "yellow"


def row_spans(
    rows: Rows, metric: str, number: int, seconds: float, widths: Mapping[str, int]
) -> list[Span]:
    """A round as a line of the table; the dense arm is in the first column.

    Args:
      widths: {arm: characters of its column}.
    """
    of_arms = _of_round(rows, metric, number)
    share = statistics.percent(next(iter(of_arms.values())).sparsity) if of_arms else ""
    text, style = outcome(rows, metric, number)
    colors = {"winning": "blue", "random": "yellow", "dense": ""}
    spans: list[Span] = [(f"{number:>5}  {share:>8}  ", "")]
    for place, (column, width) in enumerate(widths.items()):
        arm = "dense" if place == 0 and "dense" in of_arms else column
        value = ""
        if arm in of_arms:
            of_arm = of_arms[arm]
            is_wide = width >= _ARM_WIDTH
            value = statistics.mean_std(of_arm) if is_wide else f"{of_arm.mean:.4g}"
        spans.append((f"{value:<{width}}", colors.get(arm, "green")))
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
