"""Pages of finished and half-finished workdirs, and the command that draws them."""

import html.parser
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from result_rows import BAD, GOOD, METRIC, table

from gen_tickets.config.column import Column
from gen_tickets.report import __main__ as command
from gen_tickets.report import learning, outcomes, render, verdict
from gen_tickets.workdir import columns
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import paths, tables


def write_workdir(folder, rows, layers=True, images=True, **config):
    nested = {"eval": {"verdict": METRIC}, "seed": 0}
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
    tables.write_columns(folder)
    if images:
        image = np.zeros((6, 6, 1), np.uint8)
        images_lib.write_image(paths.originals_path(folder), image)
        for n, arm in {(row["round"], row["arm"]) for row in rows}:
            images_lib.write_image(paths.sample_path(folder, n, arm, "samples"), image)
    return folder


def test_page_shows_table_of_weights(tmp_path):
    rows = table([GOOD], [BAD])
    write_workdir(tmp_path, rows, images=False)
    before = check(render.draw(tmp_path)).words
    text = "| encoder/<b>/kernel | (2, 3) | 6 |\n| total | 6 |"
    paths.parameters_path(tmp_path).write_text(text)
    shown = check(render.draw(tmp_path)).words
    assert [x for x in shown if x not in before] == ["Weights", text]


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
        self.words += [data.strip()] if data.strip() else []


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
def test_draw_half_finished_run_writes_figures_and_page(tmp_path, rows):
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


def test_draw_run_without_layers_and_images_leaves_them_out(tmp_path):
    rows = table([GOOD], [BAD])
    workdir = write_workdir(tmp_path / "run", rows, layers=False, images=False)
    assert check(render.draw(workdir)).images == 2  # metric and early-stopping step


def test_draw_run_with_html_in_its_texts_escapes_it(tmp_path):
    rows = table([GOOD], [BAD])
    evil = "<script>alert('&')</script>"
    workdir = write_workdir(tmp_path / "a<b>&", rows, data={"name": evil})
    checker = check(render.draw(workdir))
    words = "".join(checker.words)
    assert evil in words and "a<b>&" in words


def test_draw_whole_run_shows_config_table_and_paper(tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes.published, "winning_sparsity", lambda options: 0.3)
    rows = table([GOOD, BAD], [BAD, BAD])
    model = {"name": "linear", "widths": [128, 12]}
    workdir = write_workdir(tmp_path / "run", rows, model=model)
    words = " ".join(check(render.draw(workdir)).words)
    assert "128, 12" in words and "30.0 %" in words
    # What was found comes first, by what options it was found last.
    assert words.index("Against sparsity") < words.index("Configuration")
    assert "2.03 ± 0.15" in words and "9.50 ± 0.50" in words
    assert f"All {len(rows)} rows" in words


def test_draw_again_gives_the_same_page(tmp_path):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    first = render.draw(workdir).read_bytes()
    assert render.draw(workdir).read_bytes() == first


def test_compare_workdirs_draws_one_page_with_their_differences(
    tmp_path, capsys, monkeypatch
):
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


def test_labels_of_runs_are_their_differences_or_folders(tmp_path):
    runs = [
        outcomes.load(write_workdir(tmp_path / name / "run", table([], []), a=a))
        for name, a in (("x", 1), ("y", 2), ("z", 2))
    ]
    first, second, third = runs

    def labels(*some):
        return outcomes.labels(some, outcomes.differences([r.config for r in some]))

    assert labels(first, second) == ["a=1", "a=2"]
    assert labels(second, third) == [str(second.workdir), str(third.workdir)]


def test_command_with_output_writes_the_page_there(tmp_path, capsys):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    output = tmp_path / "there" / "page.html"
    assert command.main([str(workdir), "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert "found up to 20.0 %" in out and out.endswith(f"{output}\n")
    check(output)


@pytest.mark.parametrize("what", ["absent", "empty", "config", "foreign", "layers"])
def test_command_on_bad_workdir_prints_one_line_and_returns_2(tmp_path, capsys, what):
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


def test_command_imports_no_jax(tmp_path):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    code = (
        "import sys; from gen_tickets.report import __main__ as report\n"
        "status = report.main(sys.argv[1:])\n"
        "assert not {'jax', 'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "sys.exit(status)"
    )
    subprocess.run([sys.executable, "-c", code, str(workdir)], check=True)


def test_command_on_metric_of_another_process_judges_it_as_declared(
    tmp_path, capsys, monkeypatch
):
    good, bad = (0.9, 0.91, 0.92), (0.1, 0.11, 0.12)
    rows = table([good], [bad], good, "coverage")
    workdir = write_workdir(tmp_path / "run", rows, eval={"verdict": "coverage"})
    own = Column("coverage", better="higher")
    monkeypatch.setattr(columns, "_remembered", {"coverage": own})
    tables.write_columns(workdir)
    monkeypatch.setattr(columns, "_remembered", {})  # as in another process
    assert command.main([str(workdir)]) == 0
    assert "found up to 20.0 %" in capsys.readouterr().out


def write_curves(workdir, rounds, metrics=("loss", "reconstruction")):
    """Curves whose means over the two runs are: training 10 n + step, held-out 1 more.

    The two metrics are the same, as those of an autoencoder are.
    """
    rows = [
        {
            **{"round": number, "run": run, "arm": arm, "step": step},
            **{f"interval_{x}": 10 * number + step + run - 0.5 for x in metrics},
            **{f"heldout_{x}": 10 * number + step + run + 0.5 for x in metrics},
        }
        for number in range(rounds)
        for step in (1, 2)
        for arm in (("winning", "random") if number else ("dense",))
        for run in (0, 1)
    ]
    tables.write_rows(paths.curves_path(workdir), rows)
    return rows


def test_learning_of_runs_is_their_mean_over_the_steps(tmp_path):
    rows = write_curves(tmp_path, 3)
    (found,) = learning.learning(rows, {2: "round 2, 36.0 %"})
    assert found.metric == "loss" and list(found.arms) == ["winning", "random"]
    first, second = found.arms["random"]
    assert (first.round, first.label) == (1, "round 1")
    assert (second.round, second.label) == (2, "round 2, 36.0 %")
    np.testing.assert_array_equal(second.steps, [1, 2])
    np.testing.assert_array_equal(second.training, [21, 22])
    np.testing.assert_array_equal(second.heldout, [22, 23])
    np.testing.assert_array_equal(found.dense.heldout, [2, 3])


def test_learning_of_diverged_runs_is_the_mean_of_the_others(tmp_path):
    rows = write_curves(tmp_path, 1, ("loss",))
    rows[0]["heldout_loss"] = rows[2]["interval_loss"] = rows[3]["interval_loss"] = (
        math.nan
    )
    (found,) = learning.learning(rows, {})
    assert found.arms == {}
    np.testing.assert_array_equal(found.dense.heldout, [2.5, 3])
    np.testing.assert_array_equal(found.dense.training, [1, math.nan])


def test_learning_without_a_number_is_left_out(tmp_path):
    rows = write_curves(tmp_path, 1, ("loss",))
    undefined = {"interval_loss": math.nan, "heldout_loss": math.nan}
    assert learning.learning([{**row, **undefined} for row in rows], {}) == []


@pytest.mark.parametrize("rounds", [1, 2, 9])
def test_draw_run_with_curves_shows_them_once(tmp_path, rounds):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]), images=False)
    before = check(render.draw(workdir)).images
    write_curves(workdir, rounds)
    assert check(render.draw(workdir)).images == before + 1
    assert (paths.figures_dir(workdir) / "learning_loss.png").exists()


def test_axis_label_of_columns_tells_what_they_are():
    assert render.axis_label("heldout_loss") == "held-out loss\nlower is better"
    assert render.axis_label("heldout_kl") == "held-out KL divergence (nats)"
    assert render.axis_label("unknown") == "unknown"


def test_report_by_another_verdict_judges_by_it_and_refuses_one_not_measured(
    tmp_path, capsys
):
    rows = [{**row, "heldout_loss": 1.0} for row in table([GOOD], [BAD])]
    workdir = str(write_workdir(tmp_path / "run", rows, images=False))
    assert command.main([workdir]) == 0
    assert METRIC in capsys.readouterr().out
    assert command.main([workdir, "--config.eval.verdict=heldout_loss"]) == 0
    assert "heldout_loss" in capsys.readouterr().out
    assert command.main([workdir, "--config.eval.verdict=heldout_los"]) == 2
    said = capsys.readouterr().err
    assert "eval.verdict='heldout_los'" in said and "mean 'heldout_loss'" in said
