"""Pages of finished and half-finished workdirs, and the command that draws them."""

import csv
import html.parser
import io
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

import numpy as np
import pytest
from PIL import Image
from result_rows import BAD, GOOD, METRIC, table

from gen_tickets.config.column import Column
from gen_tickets.report import __main__ as command
from gen_tickets.report import (
    charts,
    figures,
    heatmaps,
    learning,
    outcomes,
    render,
    sparsity,
    stability,
    verdict,
)
from gen_tickets.workdir import baselines, columns
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import paths, tables


@pytest.fixture(autouse=True)
def no_matplotlib(monkeypatch, request):
    """Files of figures cost a second each, and few tests look at them."""
    if "drawn" not in request.fixturenames:
        files = {suffix: b"x" for suffix in ("png", "svg", "pdf")}
        monkeypatch.setattr(figures, "draw_files", lambda figure: files)


@pytest.fixture
def drawn():
    """Figures are drawn."""


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


def test_draw_run_with_parameters_shows_table_of_weights(tmp_path):
    rows = table([GOOD], [BAD])
    write_workdir(tmp_path, rows, images=False)
    before = check(render.draw(tmp_path)).words
    text = "| encoder/<b>/kernel | (2, 3) | 6 |\n| total | 6 |"
    paths.parameters_path(tmp_path).write_text(text)
    shown = check(render.draw(tmp_path)).words
    assert [x for x in shown if x not in before] == ["Weights", text]


class Checker(html.parser.HTMLParser):
    """Collects what a page links to and loads, its figures, its text and its tables."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.open, self.words = [], [], [], []
        self.figures, self.captions, self.ids = {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loaded += [attrs[x] for x in ("src", "srcset", "data") if x in attrs]
        self.links += [attrs["href"]] if "href" in attrs else []
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.captions += [attrs["alt"]] if attrs.get("alt") else []
        if tag not in ("img", "meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ""
        if tag == "script" and data.lstrip().startswith("{"):
            figure = json.loads(data)
            self.figures[figure["name"]] = figure
        elif tag not in ("script", "style") and data.strip():
            self.words.append(data.strip())


def check(path):
    """Nothing is loaded, and what is linked to is there."""
    text = path.read_text()
    checker = Checker(text)
    assert checker.open == []
    assert all(x.startswith("data:image/png;base64,") for x in checker.loaded)
    for link in checker.links:
        if link.startswith("#"):
            assert link[1:] in checker.ids
        else:
            place = urllib.parse.unquote(urllib.parse.urlsplit(link).path)
            assert (path.parent / place).stat().st_size > 0
    assert not re.search(r"url\(|@import|https?://(?!www.w3.org/2000/svg)", text)
    return checker


def names_of(folder):
    """The figures of a folder, each of which has all kinds of files."""
    names = {path.stem for path in folder.iterdir()}
    kinds = ("png", "svg", "pdf", "csv")
    assert {x.name for x in folder.iterdir()} == {
        f"{n}.{k}" for n in names for k in kinds
    }
    return names


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
    drawn = names_of(paths.figures_dir(workdir))
    assert "layers" in drawn and set(checker.figures) == drawn
    arms = {row["arm"] for row in rows if not row["diverged"]}
    assert (METRIC in drawn) == (len(arms) > 1)  # one point is no picture
    samples = len({(row["round"], row["arm"]) for row in rows})
    assert len(checker.captions) == 1 + samples  # the originals


def test_draw_run_without_layers_and_images_leaves_them_out(tmp_path):
    rows = table([GOOD], [BAD])
    workdir = write_workdir(tmp_path / "run", rows, layers=False, images=False)
    checker = check(render.draw(workdir))
    assert list(checker.figures) == [METRIC] and checker.captions == []


def test_draw_run_with_html_in_its_texts_escapes_it(tmp_path):
    rows = table([GOOD], [BAD])
    evil = "<script>alert('&')</script>"
    workdir = write_workdir(tmp_path / "a<b>&", rows, data={"name": evil})
    text = (paths.layers_path(workdir)).read_text().replace("<b>", "</script><b>")
    paths.layers_path(workdir).write_text(text)
    checker = check(render.draw(workdir))
    assert "decoder/</script><b>/kernel" in checker.figures["layers"]["rows"]
    words = "".join(checker.words)
    assert evil in words and "a<b>&" in words


def test_draw_whole_run_shows_config_table_and_paper(tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes.published, "winning_sparsity", lambda options: 0.3)
    rows = table([GOOD, BAD], [BAD, BAD])
    model = {"name": "linear", "widths": [128, 12]}
    workdir = write_workdir(tmp_path / "run", rows, model=model)
    words = " ".join(check(render.draw(workdir)).words)
    assert "128, 12" in words and "30.0 %" in words
    # Results come first, the configuration last.
    assert words.index("Against sparsity") < words.index("Configuration")
    assert "2.03 ± 0.15" in words and "9.50 ± 0.50" in words
    assert f"All {len(rows)} rows" in words


def test_draw_page_with_reserved_characters_in_name_links_its_figures(tmp_path):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    checker = check(render.draw(workdir, tmp_path / "50% #1?.html"))
    assert "50%25%20%231%3F_figures/layers.csv" in checker.links


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
        different = outcomes.differences([run.config for run in some])
        return outcomes.labels([run.workdir for run in some], different)

    assert labels(first, second) == ["a=1", "a=2"]
    assert labels(second, third) == [str(second.workdir), str(third.workdir)]


def test_command_with_output_writes_the_page_there(tmp_path, capsys):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    output = tmp_path / "there" / "page.html"
    assert command.main([str(workdir), "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert "found up to 20.0 %" in out and out.endswith(f"{output}\n")
    check(output)


def test_command_with_output_in_home_folder_writes_the_page_there(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    assert command.main([str(workdir), "--output=~/page.html"]) == 0
    check(tmp_path / "home" / "page.html")


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


def test_learning_of_metrics_equal_in_part_draws_all_of_both(tmp_path):
    """As the accuracies of a discriminator that is always right on held-out images."""
    metrics = ("discriminator_accuracy_fake", "discriminator_accuracy_real")
    rows = write_curves(tmp_path, 1, metrics)
    for row in rows:
        row |= {f"heldout_{metric}": 1.0 for metric in metrics}
        row[f"interval_{metrics[1]}"] += 0.25
    fake, real = learning.learning(rows, {})
    np.testing.assert_array_equal(fake.dense.heldout, [1, 1])
    np.testing.assert_array_equal(real.dense.heldout, [1, 1])
    np.testing.assert_array_equal(real.dense.training, [1.25, 2.25])
    constant = [row | {f"interval_{metric}": 1.0 for metric in metrics} for row in rows]
    assert [x.metric for x in learning.learning(constant, {})] == list(metrics)


def test_learning_without_a_number_is_left_out(tmp_path):
    rows = write_curves(tmp_path, 1, ("loss",))
    undefined = {"interval_loss": math.nan, "heldout_loss": math.nan}
    assert learning.learning([{**row, **undefined} for row in rows], {}) == []


@pytest.mark.parametrize("rounds", [1, 2, 9])
def test_draw_run_with_curves_shows_each_arm_once(tmp_path, rounds):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]), images=False)
    write_curves(workdir, rounds)
    found = check(render.draw(workdir)).figures
    arms = ("winning", "random") if rounds > 1 else ("dense",)
    names = {name for name in found if name.startswith("learning_")}
    assert names == {f"learning_loss_{arm}" for arm in arms}
    first, *others = [found[name] for name in sorted(names)]
    assert all(other["ylim"] == first["ylim"] for other in others)
    # Dense and at most six rounds, held-out and training images of each.
    assert len(first["lines"]) == 2 * min(rounds, 7)


def test_axis_label_has_title_unit_and_direction():
    assert sparsity.axis_label("heldout_loss") == "held-out loss\nlower is better"
    # A KL divergence that is 0 says that nothing is encoded: neither side is better.
    assert sparsity.axis_label("heldout_kl") == "held-out KL divergence (nats)"
    assert sparsity.axis_label("unknown") == "unknown"


def test_draw_metrics_with_equal_values_draws_one_and_names_both(tmp_path):
    rows = table([GOOD, BAD], [BAD, BAD])
    for row in rows:
        same = row[METRIC]
        row |= {"heldout_loss": same, "train_loss": same + 1, "heldout_kl": 0.0}
    checker = check(render.draw(write_workdir(tmp_path / "run", rows)))
    assert METRIC in checker.figures
    assert not {"heldout_loss", "train_loss", "heldout_kl"} & set(checker.figures)
    title = "held-out reconstruction error (the same as held-out loss)"
    assert checker.figures[METRIC]["title"] == title
    assert "held-out reconstruction error = held-out loss" in checker.words


def test_page_marks_the_winning_ticket_that_is_found(tmp_path):
    rows = table([GOOD, BAD], [BAD, BAD])
    checker = check(render.draw(write_workdir(tmp_path / "run", rows)))
    (mark,) = checker.figures[METRIC]["marks"]
    assert (mark["x"], mark["label"]) == (80.0, "winning ticket found, 20.0 %")
    assert mark["y"] == pytest.approx(np.mean(GOOD))


def test_page_shows_every_gate_and_whether_it_is_passed(tmp_path):
    rows = table([GOOD, BAD], [BAD, BAD])
    workdir = write_workdir(tmp_path / "run", rows)
    judged = outcomes.load(workdir).judge()
    text = render.draw(workdir).read_text()
    words = check(paths.report_path(workdir)).words
    states = {True: "passed", False: "failed", None: "unknown"}
    assert len(judged.gates) == 4
    for gate in judged.gates:
        head, _, rest = gate.sentence.partition(":")
        assert head in words and any(rest.strip() in word for word in words)
        assert f'title="{gate.name}: {states[gate.passed]}"><b>{head}</b>' in text


def test_heat_map_cells_and_colours_are_the_same_quantity():
    layers = heatmaps.layers({"a": {0: 0.0, 1: 0.5}, "b": {0: 0.0, 1: 0.98}})
    assert layers.values == [[0, 50], [0, 98]] and layers.bar == "sparsity (%)"
    ticks = {text: shade for shade, text in layers.bar_ticks}
    assert [row[1] for row in layers.shades] == pytest.approx(
        [ticks["50"], ticks["98"]]
    )
    assert ticks["0"] == 1 and ticks["98"] == 0


def test_captions_of_samples_and_reconstructions_have_own_metrics(tmp_path):
    rows = table([GOOD], [BAD])
    for row in rows:
        row["fid"] = 7.0 + row["run"]
    workdir = write_workdir(tmp_path / "run", rows)
    image = np.zeros((6, 6, 1), np.uint8)
    path = paths.sample_path(workdir, 1, "winning", "reconstructions")
    images_lib.write_image(path, image)
    captions = check(render.draw(workdir)).captions
    assert "winning, samples of run 0; FID: 8.0 ± 1.0" in captions
    told = "held-out reconstruction error: 2.03 ± 0.15"
    assert f"winning, reconstructions of run 0; {told}" in captions


SORTED = """
const [cells, clicks] = JSON.parse(process.argv[1]);
const node = () => ({ style: {}, setAttribute() {}, appendChild: (x) => x });
const found = { firstChild: {}, sort: "", getAttribute: () => found.sort,
  setAttribute: (_, x) => { found.sort = x; }, removeAttribute() {} };
const body = { rows: cells.map(([text, v]) => ({ cells: [{ textContent: text,
  dataset: v === null ? {} : { v } }] })), append(...rows) { body.rows = rows; } };
const table = { tBodies: [body], tHead: { rows: [{ cells: [found] }] } };
global.window = { addEventListener() {} };
global.document = { body: node(), createElement: node, createElementNS: node,
  querySelectorAll: (x) => (x === "table.sortable" ? [table] : []) };
require(process.argv[2]);
for (let i = 0; i < clicks; i++) found.firstChild.onclick();
console.log(JSON.stringify(body.rows.map((row) => row.cells[0].textContent)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize(
    "cells, ascending",
    [
        ([("0.5", "0.5"), ("", "nan"), ("0.25", "0.25")], ["0.25", "0.5", ""]),
        ([("9 P", "9e15"), ("–", None), ("11 P", "1.1e16")], ["9 P", "11 P", "–"]),
        ([("-1", None), ("", None), ("-2", None)], ["-2", "-1", ""]),
        ([("b", None), ("a", None), ("", None)], ["a", "b", ""]),
    ],
)
def test_table_sorted_by_column_with_missing_cells_keeps_them_last(cells, ascending):
    script = str(pathlib.Path(render.__file__).parent / "templates" / "page.js")
    for clicks, expected in (
        (1, ascending),
        (2, [*reversed(ascending[:-1]), ascending[-1]]),
    ):
        words = ["node", "-e", SORTED, json.dumps([cells, clicks]), script]
        shown = subprocess.run(words, capture_output=True, text=True, check=True)
        assert json.loads(shown.stdout) == expected


def test_captions_of_samples_never_have_accuracy_of_reconstructions(tmp_path):
    rows = table([GOOD], [BAD])
    for row in rows:
        row["accuracy_reconstructions"] = 0.9
    captions = check(render.draw(write_workdir(tmp_path / "run", rows))).captions
    assert "winning, samples of run 0" in captions
    tables.write_rows(
        paths.results_path(tmp_path / "run"), [{**row, "fid": 7.0} for row in rows]
    )
    captions = check(render.draw(tmp_path / "run")).captions
    assert "winning, samples of run 0; FID: 7 ± 0" in captions


def test_sparsity_that_differs_between_runs_is_a_mean_with_its_deviation(tmp_path):
    rows = table([GOOD], [BAD])
    shares = iter((0.70, 0.75, 0.80))
    for row in rows:
        if row["arm"] == "winning":
            row["sparsity"] = next(shares)
    words = check(render.draw(write_workdir(tmp_path / "run", rows))).words
    assert "75.0 ± 5.0 %" in words and "20.0 %" in words


def test_figure_csv_has_the_numbers_drawn(tmp_path):
    rows = table([GOOD], [BAD])
    workdir = write_workdir(tmp_path / "run", rows)
    render.draw(workdir)
    text = (paths.figures_dir(workdir) / f"{METRIC}.csv").read_text()
    head, *lines = csv.reader(text.splitlines())
    assert head[1:4] == [
        "remaining weights (%)",
        "held-out reconstruction error",
        "standard deviation",
    ]
    found = {line[0]: line[1:4] for line in lines}
    assert found["dense"] == ["", "2", "1"]
    assert found["random"] == ["80", "9.5", "0.5"]


def test_draw_writes_each_figure_as_png_svg_and_pdf_the_same_each_time(tmp_path, drawn):
    rows = table([GOOD, BAD], [(None, 9.0, 9.5), BAD])
    workdir = write_workdir(tmp_path / "run", rows, layers=False)
    render.draw(workdir)
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".csv": b"line"}
    files = {p: p.read_bytes() for p in paths.figures_dir(workdir).glob("held*")}
    assert len(files) == 4
    assert all(data.startswith(starts[p.suffix]) for p, data in files.items())
    assert b"winning ticket found" in next(
        data for p, data in files.items() if p.suffix == ".svg"
    )
    render.draw(workdir)
    assert {p: p.read_bytes() for p in files} == files


def test_no_text_of_a_figure_is_cut_off(drawn):
    label = "discriminator accuracy on generated images, a very long label"
    line = charts.Line("a", charts.BLUE, [1, 2, 3], [1e-7, 2e-7, 3e-7])
    chart = charts.Chart("x", "x", "step", label, [line], small=True)
    png = Image.open(io.BytesIO(figures.draw(chart))).convert("L")
    pixels = np.asarray(png)
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges) and pixels.min() < 100


def test_draw_read_only_workdir_with_output_folder_writes_only_there(tmp_path):
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")}
    output = tmp_path / "there"
    assert command.main([str(workdir), f"--output={output}"]) == 0
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} == before
    assert METRIC in names_of(output / "figures")
    check(output / "report.html")


def write_stability(folder, margin=0.03):
    config = {"eval": {"verdict": METRIC}, "stability": {"margin": margin}}
    folder.mkdir(parents=True)
    paths.config_path(folder).write_text(json.dumps(config))
    heights = {0: 0.5, 8: 0.01}
    rows = [
        {"round": 0, "run": run, "step": step, "copy_a": 1, "copy_b": 2}
        | {"point": point, METRIC: 1 + height * (point == 0.5)}
        for step, height in heights.items()
        for run in (0, 1)
        for point in (0.0, 0.5, 1.0)
    ]
    tables.write_rows(paths.stability_path(folder), rows)


def test_draw_instability_analysis_on_own_page_and_that_of_its_run(tmp_path, capsys):
    write_stability(tmp_path / "run-stability")
    assert command.main([str(tmp_path / "run-stability")]) == 0
    sentence = "Stable (margin 0.03) from step 8 on."
    assert sentence in capsys.readouterr().out
    checker = check(paths.report_path(tmp_path / "run-stability"))
    assert sentence in checker.words
    line, border = checker.figures["stability"]["lines"]
    assert (line["y"], border["y"]) == ([50.0, 1.0], [3.0])
    (mark,) = checker.figures["stability"]["marks"]
    assert mark["label"] == "first stable step, 8"
    workdir = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    checker = check(render.draw(workdir))
    assert "stability" in checker.figures and "Rewind point" in checker.words


def test_report_of_analysis_with_other_verdict_uses_it_or_refuses(tmp_path, capsys):
    workdir = tmp_path / "analysis"
    write_stability(workdir)
    path = paths.stability_path(workdir)
    rows = [
        {**row, "heldout_loss": 2.0, "accuracy": 0.5} for row in tables.read_rows(path)
    ]
    tables.write_rows(path, rows)
    words = [str(workdir), "--config.eval.verdict"]
    assert command.main([*words, "heldout_loss"]) == 0
    # Flat lines, while those of the run's own verdict have a barrier at step 0.
    assert "Stable (margin 0.03) from step 0 on." in capsys.readouterr().out
    checker = check(paths.report_path(workdir))
    assert checker.figures["stability"]["lines"][0]["y"] == [0, 0]
    assert command.main([*words, "accuracy"]) == 2
    measured = f"along the lines of {workdir} are {METRIC}, heldout_loss"
    assert measured in capsys.readouterr().err


@pytest.mark.parametrize("mean_image, learned", [(0.9, False), (2.0, True)])
def test_instability_of_networks_that_learned_nothing_says_so(
    mean_image, learned, tmp_path
):
    write_stability(tmp_path / "run")  # the ends have 1
    trivial = {baselines.MEAN: mean_image, baselines.REAL: 0.1}
    baselines.write(tmp_path / "run", {METRIC: trivial})
    sentence = stability.load(tmp_path / "run").sentence
    assert sentence.startswith("Nothing learned") != learned
    assert "Stable (margin 0.03) from step 8 on." in sentence


def test_compare_analyses_draws_a_line_each_over_all_steps(tmp_path, capsys):
    write_stability(tmp_path / "dense", margin=0.02)
    write_stability(tmp_path / "masked", margin=0.03)
    path = paths.stability_path(tmp_path / "masked")
    late = [{**row, "step": 2 * row["step"]} for row in tables.read_rows(path)]
    tables.write_rows(path, late)  # steps 0 and 16
    names = [str(tmp_path / name) for name in ("dense", "masked")]
    assert command.main([*names, f"--output={tmp_path / 'out.html'}"]) == 0
    assert "masked: Stable (margin 0.03) from step 16 on." in capsys.readouterr().out
    checker = check(tmp_path / "out.html")
    chart = checker.figures["stability"]
    dense, masked, low, high = chart["lines"]
    assert (dense["x"], masked["x"]) == ([0, 1], [0, 2])  # of steps 0, 8, 16
    assert dense["y"] == masked["y"] == [50.0, 1.0]
    assert (low["y"], high["y"]) == ([2.0], [3.0])
    assert {"stability.margin", "0.02", "0.03"} <= set(checker.words)


def test_compare_analyses_with_runs_or_by_other_metrics_is_refused(tmp_path, capsys):
    run = write_workdir(tmp_path / "run", table([GOOD], [BAD]))
    write_stability(tmp_path / "one")
    write_stability(tmp_path / "two")
    assert command.main([str(run), str(tmp_path / "one")]) == 2
    assert "compare analyses with one another" in capsys.readouterr().err
    path = paths.stability_path(tmp_path / "two")
    rows = [{"heldout_loss": 1.0, **row} for row in tables.read_rows(path)]
    tables.write_rows(path, [{k: v for k, v in r.items() if k != METRIC} for r in rows])
    assert command.main([str(tmp_path / "one"), str(tmp_path / "two")]) == 2
    assert f"are judged by {', '.join(sorted((METRIC, 'heldout_loss')))}" in (
        capsys.readouterr().err
    )


def test_comparison_page_has_samples_and_tables_of_all_workdirs(tmp_path):
    folders = [
        write_workdir(tmp_path / name, table([GOOD], [bad]), seed=i)
        for i, (name, bad) in enumerate((("one", BAD), ("two", GOOD)))
    ]
    checker = check(render.compare(folders, tmp_path / "out"))
    assert {"seed=0: originals", "seed=1: winning, samples of run 0"} <= set(
        checker.captions
    )
    assert checker.words.count("seed=1") > 3  # rows of the table among them
    assert {line["label"] for line in checker.figures[METRIC]["lines"]} == {
        "seed=0",
        "seed=1",
    }


def test_report_with_other_verdict_uses_it_or_refuses_unmeasured(tmp_path, capsys):
    rows = [{**row, "heldout_loss": 1.0} for row in table([GOOD], [BAD])]
    workdir = str(write_workdir(tmp_path / "run", rows, images=False))
    assert command.main([workdir]) == 0
    assert "the held-out reconstruction error" in capsys.readouterr().out
    assert command.main([workdir, "--config.eval.verdict=heldout_loss"]) == 0
    assert "the held-out loss" in capsys.readouterr().out
    assert command.main([workdir, "--config.eval.verdict=heldout_los"]) == 2
    said = capsys.readouterr().err
    assert "eval.verdict='heldout_los'" in said and "mean 'heldout_loss'" in said


def test_chart_axis_is_logarithmic_only_above_zero():
    line = charts.Line(label="dense", color="#000000", x=[1, 2], y=[0.001, 10.0])
    chart = charts.Chart("loss", "loss", "step", "loss", [line])
    assert chart.ylog and chart._replace(ylim=(1e-4, 20.0)).ylog
    assert not chart._replace(ylim=(1.0, 20.0)).ylog  # as another arm's chart
    assert not chart._replace(ylim=(-0.4, 10.4)).ylog  # another arm's loss is 0
