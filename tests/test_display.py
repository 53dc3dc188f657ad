"""What a run shows: bars that fit, lines that stay, a table of rounds, a verdict."""

import contextlib
import io

import pytest
import result_rows
from rich.text import Text

from gen_tickets.console import display, rounds, verdict
from gen_tickets.console.display import Progress
from gen_tickets.report.verdict import verdict as judge

FULL = Progress(
    "round 12/20",
    done=391,
    total=1150,
    details=("lowest loss winning 0.02342, random 0.1714", "25.7 steps/s"),
    seconds_left=215.0,
)


def text(spans):
    return "".join(part for part, _ in spans)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("total", [0, 1150])
def test_bar_line_is_narrower_than_the_terminal(width, total):
    line = text(display.bar_line(FULL._replace(total=total), width))
    assert len(line) < width
    assert line.startswith("round 12/20")


def test_bar_line_of_a_wide_terminal_says_all_and_of_a_narrow_one_the_most_important():
    wide = text(display.bar_line(FULL, 140))
    assert wide.endswith("  ".join(FULL.parts())) and "3m35s left" in wide
    narrow = text(display.bar_line(FULL, 60, ascii_only=True))
    assert narrow.endswith("  step 391/1150  3m35s left")
    bar = narrow.split("  ")[1]
    assert set(bar) == {"#", "-"} and bar.count("#") == round(391 / 1150 * len(bar))


@pytest.mark.parametrize(
    "seconds, said", [(41.9, "41s"), (125, "2m05s"), (7400, "2h03m")]
)
def test_duration_has_two_units_at_most(seconds, said):
    assert display.duration(seconds) == said


@contextlib.contextmanager
def terminal():
    """stderr and stdout of 80 columns, whose text is collected."""

    class Screen(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", screen)
        patch.setattr("sys.stdout", screen)
        for name, value in (("COLUMNS", "80"), ("TERM", "xterm")):
            patch.setenv(name, value)
        patch.delenv("NO_COLOR", raising=False)
        patch.setattr(display, "_screens", {})
        yield screen


def test_bars_on_a_terminal_leave_what_was_said_and_nothing_else():
    with terminal() as screen:
        with display.bar("outer", 3) as outer, display.bar("inner"):
            display.say(("header", "bold"))
            outer.update(done=2)
            display.announce("stopping")
    shown = screen.getvalue()
    assert "header" in shown and "\x1b[?25h" in shown  # the cursor is back
    # Erased: the last thing written clears the line of the bar.
    assert shown.rstrip("\x1b[?25h").rfind("\x1b[2K") > shown.rfind("header")


def test_bars_in_a_pipe_write_the_innermost_state_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(display, "LOG_SECONDS", 0.0)
    said = display._screens.setdefault(False, display._Log())
    lines = []
    monkeypatch.setattr(said, "say", lambda spans: lines.append(text(spans)))
    with display.bar("outer", 3), display.bar("inner", 5) as inner:
        inner.update(done=4)
        while "inner  step 4/5" not in lines:
            pass
    assert not display._bars


ARMS = ("winning", "random")
ROWS = result_rows.table(
    [result_rows.GOOD, (8.0, 8.1, 8.2), result_rows.GOOD],
    [result_rows.BAD, result_rows.BAD, (1.8, 2.0, 2.3)],
)


def test_round_table_in_a_pipe_is_a_line_a_round_each_once(capsys):
    table = rounds.RoundTable(result_rows.METRIC, ARMS)
    table.show([row for row in ROWS if row["round"] < 2])
    table.show(ROWS)
    table.show(ROWS)
    name = "held-out reconstruction error"
    assert capsys.readouterr().err.splitlines() == [
        f"round 0 done: 0.0 %; {name}: dense 2.0 ± 1.0; 1s",
        f"round 1 done: 20.0 %; {name}: winning 2.03 ± 0.15, random 9.50 ± 0.50; "
        "ticket: found; 1s",
        f"round 2 done: 36.0 %; {name}: winning 8.100 ± 0.100, random 9.50 ± 0.50; "
        "ticket: no: below dense; 1s",
        f"round 3 done: 48.8 %; {name}: winning 2.03 ± 0.15, random 2.03 ± 0.25; "
        "ticket: no: random as good; 1s",
    ]


@pytest.mark.parametrize("arms", [("winning",), ("winning", "rewound_random")])
def test_outcome_of_round_without_random_control_names_no_comparison(arms):
    rows = [
        {**row, "arm": "rewound_random" if row["arm"] == "random" else row["arm"]}
        for row in ROWS
        if row["arm"] != "random" or "rewound_random" in arms
    ]
    found = [rounds.outcome(rows, result_rows.METRIC, i)[0] for i in (1, 2)]
    assert found == ["no random control", "no: below dense"]


def test_outcome_of_round_with_diverged_winning_run_says_so():
    rows = result_rows.table([(1.0, 1.0, None)], [result_rows.BAD])
    assert rounds.outcome(rows, result_rows.METRIC, 1)[0] == "no: runs diverged"


def test_round_table_on_a_terminal_has_columns_that_fit_80():
    with terminal() as screen:
        rounds.RoundTable(result_rows.METRIC, ARMS).show(ROWS)
    lines = Text.from_ansi(screen.getvalue()).plain.splitlines()
    head, dense, first, *_ = lines[2:]
    assert max(map(len, lines)) < 80 and len(lines) == 7
    for column, cell in (
        ("winning", "2.03 ± 0.15"),
        ("random", "9.50"),
        ("t", "found"),
    ):
        assert head.index(f" {column}") == first.index(f" {cell}")
    assert dense.index("dense") == head.index("ticket")


def test_round_table_of_three_arms_on_80_columns_leaves_out_deviations():
    with terminal() as screen:
        arms = (*ARMS, "rewound_random")
        rounds.RoundTable(result_rows.METRIC, arms).show(ROWS)
    title, head, _, first, *_ = Text.from_ansi(screen.getvalue()).plain.splitlines()[1:]
    assert title.endswith("mean") and len(head) <= 80
    assert first.split() == ["1", "20.0", "%", "2.033", "9.5", "found", "1s"]


def test_verdict_in_a_pipe_is_lines_and_on_a_terminal_a_box(capsys, monkeypatch):
    judged = judge(ROWS, result_rows.METRIC)
    verdict.show(judged)
    first, *gates = capsys.readouterr().out.splitlines()
    assert first.startswith("verdict: ") and judged.sentence in first
    assert [line[2:] for line in gates] == [
        f"{'+' if gate.passed else '?' if gate.passed is None else '-'} {gate.sentence}"
        for gate in judged.gates
    ]
    verdict.show(judged, with_gates=False)  # of several runs; it still names failures
    assert capsys.readouterr().out == f"{first}\n" and "Too noisy to judge. " in first
    monkeypatch.setattr(display, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "100")
    verdict.show(judged, "runs/a")
    box = capsys.readouterr().out.splitlines()
    assert "runs/a" in box[0] and {len(line) for line in box} == {100}
    assert any("too noisy" in line for line in box)
    of_gates = box[box.index(next(x for x in box if x[2] in "+-?")) : -1]
    assert {line[2] for line in of_gates} <= set("+-? ")  # indented below the mark
