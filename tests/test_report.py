"""Verdicts on tables with a known answer, and pages of every half-finished workdir."""

import html.parser
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gen_tickets.report import __main__ as command
from gen_tickets.report import outcomes, render, statistics, verdict
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import paths, tables

METRIC = "heldout_reconstruction"
DENSE = (1.0, 2.0, 3.0)  # mean 2, standard deviation 1


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


GOOD, BAD = (1.9, 2.0, 2.2), (9.0, 9.5, 10.0)


def test_planted_ticket_is_found_at_its_sparsity():
    winning = [GOOD] * 10 + [BAD] * 3
    judged = verdict.verdict(table(winning, [BAD] * 13), METRIC)
    assert judged.sparsity == pytest.approx(1 - 0.8**10)  # 89.3 %
    assert judged.unbroken == judged.sparsity
    assert [r.found for r in judged.rounds] == [True] * 10 + [False] * 3
    assert "89.3 %" in judged.sentence and "round 10" in judged.sentence
    assert judged.notes == ()


def test_a_gap_is_told():
    winning = [GOOD, BAD, GOOD]
    judged = verdict.verdict(table(winning, [BAD] * 3), METRIC)
    assert judged.sparsity == pytest.approx(1 - 0.8**3)
    assert judged.unbroken == pytest.approx(0.2)
    assert "to 20.0 %, and not at the next one" in judged.sentence


@pytest.mark.parametrize("metric, sign", [("fid", 1.0), ("accuracy", -1.0)])
@pytest.mark.parametrize("excess, is_match", [(1.0, True), (1.0 + 1e-9, False)])
def test_the_border_is_one_dense_deviation(metric, sign, excess, is_match):
    # In the direction that is worse, dense has mean 2 and deviation exactly 1.
    dense, worse = [sign * x for x in DENSE], [sign * x for x in BAD]
    winning = [sign * (2.0 + excess + x) for x in (-0.5, 0.0, 0.5)]
    judged = verdict.verdict(table([winning], [worse], dense, metric), metric)
    assert judged.rounds[0].matches is is_match
    assert (judged.sparsity is not None) is is_match


def test_better_than_dense_matches():
    judged = verdict.verdict(table([(-9.0, -9.5, -8.0)], [GOOD]), METRIC)
    assert judged.sparsity == pytest.approx(0.2)


def test_random_that_is_better_or_the_same_finds_nothing():
    for random in (GOOD, (0.1, 0.11, 0.12)):
        judged = verdict.verdict(table([GOOD], [random]), METRIC)
        assert judged.sparsity is None
        assert "never significantly worse" in judged.sentence
        assert judged.unbroken == pytest.approx(0.2)


def test_winning_that_never_matches_finds_nothing():
    judged = verdict.verdict(table([BAD], [(90.0, 91.0, 92.0)]), METRIC)
    assert judged.sparsity is None and judged.unbroken is None
    assert "never does as well as dense" in judged.sentence
    assert "already does not match" in judged.sentence


def _welch_by_hand(a, b):
    """t and degrees of freedom of Welch (1947); p from an integral of the density."""
    a, b = np.asarray(a), np.asarray(b)
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    t = abs(a.mean() - b.mean()) / math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    log_norm = math.lgamma((df + 1) / 2) - math.lgamma(df / 2)
    x = np.linspace(0.0, t, 200_001)
    density = np.exp(log_norm) / math.sqrt(df * math.pi)
    density = density * (1 + x**2 / df) ** (-(df + 1) / 2)
    return 1 - 2 * np.trapezoid(density, x)


@pytest.mark.parametrize(
    "a, b",
    [
        ((1.0, 2.0, 3.0), (2.5, 3.5, 9.0)),
        ((1.0, 1.1, 1.2, 0.9), (1.0, 5.0, 2.0)),
        ((0.01, 0.012, 0.011, 0.013, 0.01), (0.02, 0.03, 0.015, 0.016, 0.019)),
    ],
)
def test_welch_p_by_hand_and_by_scipy(a, b):
    assert verdict.welch_p(a, b) == pytest.approx(_welch_by_hand(a, b), abs=1e-8)
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert verdict.welch_p(a, b) == pytest.approx(expected, rel=1e-9)


def test_no_variance_at_all():
    same = (0.1, 0.1, 0.1)
    assert verdict.welch_p(same, same * 2) == 1.0
    assert verdict.welch_p(same, (0.2, 0.2, 0.2)) == 0.0
    judged = verdict.verdict(table([same], [(0.3,) * 3], dense=same), METRIC)
    assert judged.sparsity == pytest.approx(0.2)
    judged = verdict.verdict(table([same], [same], dense=same), METRIC)
    assert judged.sparsity is None and judged.rounds[0].matches


def test_a_diverged_winning_run_is_no_match():
    judged = verdict.verdict(table([(2.0, 2.0, 2.1, None)], [BAD]), METRIC)
    assert judged.sparsity is None and not judged.rounds[0].matches
    assert "1 of 4 winning" in judged.notes[0]


def test_diverged_random_runs_enter_as_the_worst_value():
    random = (9.0, 9.5, None, None)
    judged = verdict.verdict(table([GOOD], [random]), METRIC)
    assert judged.rounds[0].p_value == pytest.approx(
        _welch_by_hand(GOOD, (9.0, 9.5, 9.5, 9.5)), abs=1e-8
    )
    assert judged.rounds[0].random.mean == 9.25  # of those that did not diverge
    assert "2 of 4 random" in judged.notes[0] and judged.sparsity is not None
    # With a metric of which more is better, the worst is the smallest.
    good = (0.9, 0.91, 0.92)
    rows = table([good], [(0.5, 0.6, None)], good, "accuracy")
    assert verdict.verdict(rows, "accuracy").rounds[0].p_value == pytest.approx(
        _welch_by_hand(good, (0.5, 0.6, 0.5)), abs=1e-8
    )
    # One diverged run in three is no proof: the others do as well as winning.
    judged = verdict.verdict(table([GOOD], [(1.9, 2.0, None)]), METRIC)
    assert judged.sparsity is None


def test_random_that_always_diverges_is_worse():
    judged = verdict.verdict(table([GOOD, BAD], [(None,) * 3] * 2), METRIC)
    assert [r.found for r in judged.rounds] == [True, False]
    assert "random all diverged" in judged.sentence


def test_a_number_that_is_not_finite_is_a_diverged_run_without_a_flag():
    rows = table([GOOD], [BAD])
    rows[3][METRIC] = math.nan
    judged = verdict.verdict(rows, METRIC)
    assert judged.rounds[0].winning.num_diverged == 1 and judged.sparsity is None


@pytest.mark.parametrize(
    "rows, metric, words",
    [
        (table([(2.0, 2.1)], [(9.0, 9.1)], (1.0, 2.0)), METRIC, "at least 3 runs"),
        (table([(2.0, 2.1)], [BAD]), METRIC, "at least 3 runs"),
        (table([GOOD], []), METRIC, "random control is not trained"),
        (table([], [BAD]), METRIC, "no winning ticket is trained"),
        (table([], []), METRIC, "no winning ticket is trained"),
        (table([GOOD], [BAD], (1.0, 2.0, None)), METRIC, "1 of 3 dense runs diverged"),
        (table([GOOD], [BAD]), "fid", "fid is not measured here"),
        (table([GOOD], [BAD], metric="flops"), "flops", "has no better side"),
    ],
)
def test_no_verdict_says_why(rows, metric, words):
    judged = verdict.verdict(rows, metric)
    assert judged.sparsity is None
    assert judged.sentence.startswith("No verdict") and words in judged.sentence


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_found_is_what_the_definition_says(data):
    runs = st.lists(st.floats(-4, 4), min_size=3, max_size=5)
    dense, winning, random = (data.draw(runs) for _ in range(3))
    judged = verdict.verdict(table([winning], [random], dense), METRIC)
    p_value = verdict.welch_p(winning, random)
    # Away from rounding at the two borders.
    gap = np.mean(winning) - np.mean(dense) - np.std(dense, ddof=1)
    if abs(gap) > 1e-9 and abs(np.mean(random) - np.mean(winning)) > 1e-9:
        expected = gap < 0 and np.mean(random) > np.mean(winning) and p_value < 0.05
        assert (judged.sparsity is not None) == expected


@pytest.mark.parametrize(
    "metric, expected",
    [
        ("train_loss", -1),
        ("heldout_reconstruction", -1),
        ("heldout_kl", -1),
        ("fid", -1),
        ("kid", -1),
        ("fd_classifier", -1),
        ("accuracy_reconstructions", 1),
        ("inception_score", 1),
        ("precision", 1),
        ("recall", 1),
        ("discriminator_loss", 0),
        ("flops", 0),
    ],
)
def test_direction(metric, expected):
    assert statistics.direction(metric) == expected


def test_summaries_leave_nothing_out():
    rows = table([(1.0, 3.0, None)], [])
    rows[0]["early_stop_step"] = math.nan  # it never stopped early: not a divergence
    summary = statistics.summarize(rows, METRIC)["winning"][1]
    assert (summary.mean, summary.num_runs, summary.num_diverged) == (2.0, 3, 1)
    assert summary.std == pytest.approx(math.sqrt(2.0))
    stops = statistics.summarize(rows, "early_stop_step")["dense"][0]
    assert (stops.num_runs, stops.num_diverged) == (2, 0)
    assert statistics.metrics(rows) == [METRIC]


@pytest.mark.parametrize(
    "values, text",
    [
        ((0.02, 0.0209), "0.02045 ± 0.00064"),
        ((30.0, 32.0), "31.0 ± 1.4"),
        ((1.0, 1.0), "1 ± 0"),
        ((1.5,), "1.5"),
        ((), "all diverged"),
    ],
)
def test_mean_std_is_readable(values, text):
    summary = statistics.Summary(1, 0.2, 0.8, *statistics.moments(values), values, 0)
    assert statistics.mean_std(summary) == text


# Pages


def test_layer_sparsity_is_the_mean_over_runs():
    rows = [
        {"round": 1, "run": run, "layer": layer, "total": 10, "kept": kept}
        for layer, of_runs in {"b": (10, 10), "a": (4, 7)}.items()
        for run, kept in enumerate(of_runs)
    ]
    found = statistics.layer_sparsity(rows)
    assert list(found) == ["b", "a"]
    assert found == {"b": {1: 0.0}, "a": {1: pytest.approx(0.45)}}


def write_workdir(folder, rows, layers=True, images=True, **config):
    nested = {"eval": {"verdict": METRIC}, "paper": {"sparsity": 0.3}, "seed": 0}
    folder.mkdir(parents=True, exist_ok=True)
    paths.config_path(folder).write_text(json.dumps({**nested, **config}))
    tables.write_rows(paths.results_path(folder), rows)
    numbers = sorted({row["round"] for row in rows})
    if layers:
        of_layers = [
            {"round": n, "run": 0, "layer": name, "total": 10, "kept": 10 - n}
            for n in numbers
            for name in ("encoder/dense_0/kernel", "decoder/<b>/kernel")
        ]
        tables.write_rows(paths.layers_path(folder), of_layers)
    if images:
        image = np.zeros((6, 6, 1), np.uint8)
        images_lib.write_image(paths.originals_path(folder), image)
        for n, arm in {(row["round"], row["arm"]) for row in rows}:
            images_lib.write_image(paths.sample_path(folder, n, arm, "samples"), image)
    return folder


class Checker(html.parser.HTMLParser):
    """Collects what a page would load from elsewhere, its tags, and its text."""

    def __init__(self, text):
        super().__init__()
        self.outside, self.open, self.words, self.images = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data"):
                if value.startswith("data:image/png;base64,"):
                    self.images += 1
                else:
                    self.outside.append(value)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def check(path):
    text = path.read_text()
    checker = Checker(text)
    assert checker.outside == [] and checker.open == []
    assert not re.search(r"url\(|@import|<script|<a ", text)
    return checker


@pytest.mark.parametrize(
    "rows",
    [
        table([GOOD] * 4, [BAD] * 4),
        table([], []),
        table([(2.0,)], [(9.0,)], (2.0,)),
        table([GOOD] * 2, []),
        table([], [BAD] * 2),
        table([(None,) * 3], [(None,) * 3], (None,) * 3),
        table([(None,) * 3], [(1e9, None, 1e-9)]),
        table([(0.0,) * 3], [(0.0,) * 3], (0.0,) * 3),
    ],
    ids=[
        "whole",
        "round-0",
        "one-run",
        "winning-only",
        "random-only",
        "all-diverged",
        "partly-diverged",
        "constant",
    ],
)
def test_every_half_finished_run_has_a_page(tmp_path, rows):
    workdir = write_workdir(tmp_path / "run", rows)
    path = render.draw(workdir)
    assert path == paths.report_path(workdir)
    checker = check(path)
    judged = verdict.verdict(rows, METRIC)
    assert judged.sentence in " ".join(checker.words)  # in two elements
    drawn = sorted(p.name for p in paths.figures_dir(workdir).iterdir())
    assert "layers.png" in drawn
    has_numbers = any(not row["diverged"] for row in rows)
    assert (f"{METRIC}.png" in drawn) == has_numbers
    samples = len({(row["round"], row["arm"]) for row in rows})
    assert checker.images == len(drawn) + 1 + samples  # the originals


def test_a_page_without_layers_and_images(tmp_path):
    rows = table([GOOD], [BAD])
    workdir = write_workdir(tmp_path / "run", rows, layers=False, images=False)
    assert check(render.draw(workdir)).images == 2  # metric and early-stopping step


def test_text_is_escaped(tmp_path):
    rows = table([GOOD], [BAD])
    evil = "<script>alert('&')</script>"
    workdir = write_workdir(tmp_path / "a<b>&", rows, data={"name": evil})
    checker = check(render.draw(workdir))
    words = "".join(checker.words)
    assert evil in words and "a<b>&" in words


def test_a_page_shows_config_table_and_paper(tmp_path):
    rows = table([GOOD, BAD], [BAD, BAD])
    model = {"name": "linear", "widths": [128, 12]}
    workdir = write_workdir(tmp_path / "run", rows, model=model)
    words = " ".join(check(render.draw(workdir)).words)
    assert "128, 12" in words and "30.0 %" in words
    # What was found comes first, by what options it was found last.
    assert words.index("Against sparsity") < words.index("Configuration")
    assert "2.03 ± 0.15" in words and "9.50 ± 0.50" in words
    assert f"All {len(rows)} rows" in words


def test_drawing_again_gives_the_same_page(tmp_path):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    first = render.draw(workdir).read_bytes()
    assert render.draw(workdir).read_bytes() == first


def test_several_workdirs_lie_over_one_another(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = write_workdir(tmp_path / "both", table([GOOD], [BAD]))
    one = write_workdir(
        tmp_path / "one", table([BAD], [BAD]), prune={"components": ["encoder"]}
    )
    assert command.main([str(both), str(one)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "comparison.html" and len(lines) == 3
    assert "found up to 20.0 %" in lines[0] and "No winning ticket" in lines[1]
    words = " ".join(check(tmp_path / "comparison.html").words)
    assert "prune.components=('encoder',)" in words
    assert not paths.report_path(both).exists()


def test_labels_say_what_differs_or_name_the_folder(tmp_path):
    runs = [
        outcomes.load(write_workdir(tmp_path / name / "run", table([], []), a=a))
        for name, a in (("x", 1), ("y", 2), ("z", 2))
    ]
    first, second, third = runs

    def labels(*some):
        return outcomes.labels(some, outcomes.differences([r.config for r in some]))

    assert labels(first, second) == ["a=1", "a=2"]
    assert labels(second, third) == [str(second.workdir), str(third.workdir)]


def test_one_workdir_to_another_place(tmp_path, capsys):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    output = tmp_path / "there" / "page.html"
    assert command.main([str(workdir), "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert "found up to 20.0 %" in out and out.endswith(f"{output}\n")
    check(output)


@pytest.mark.parametrize("what", ["absent", "empty", "config", "foreign", "layers"])
def test_a_bad_path_is_one_line_and_status_2(tmp_path, capsys, what):
    workdir = tmp_path / "run"
    if what != "absent":
        write_workdir(workdir, table([GOOD], [BAD]))
    if what == "empty":
        paths.results_path(workdir).unlink()
    if what == "config":
        paths.config_path(workdir).write_text("{")
    if what == "foreign":
        paths.config_path(workdir).write_text("[1]")
    if what == "layers":
        workdir.joinpath("results.csv").write_bytes(
            paths.layers_path(workdir).read_bytes()
        )
    assert command.main([str(workdir)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert str(workdir) in captured.err


def test_it_runs_from_files_alone(tmp_path):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    code = (
        "import sys; from gen_tickets.report import __main__ as report\n"
        "status = report.main(sys.argv[1:])\n"
        "assert not {'jax', 'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "sys.exit(status)"
    )
    subprocess.run([sys.executable, "-c", code, str(workdir)], check=True)
