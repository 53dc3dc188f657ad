"""The paper's figures: plans by hand, runs shared, claims and pages of made-up rows."""

import csv
import json

import numpy as np
import pytest

from gen_tickets import errors, procedures
from gen_tickets.evaluation import flops
from gen_tickets.paper import __main__ as command
from gen_tickets.paper import claims, declared, draw
from gen_tickets.paper import experiment as experiments
from gen_tickets.paper import panels, plan, results, scales, table2, work
from gen_tickets.paper.claims import Evidence
from gen_tickets.workdir import images, paths, tables

# --- made-up tables ------------------------------------------------------------------

GOOD, BAD = 10.0, 90.0


def row(number, run, arm, sparsity, quality, **more):
    """A line of results.csv; qualities of runs differ by 1."""
    return {
        "round": number,
        "run": run,
        "arm": arm,
        "sparsity": sparsity,
        "remaining": 1 - sparsity,
        "steps": 100,
        "seconds": 12.0,
        "diverged": False,
        "flops_dense": 1000.0,
        "flops_masked": 1000 * (1 - sparsity),
        "flops_compact": 1000.0,
        "early_stop_step": 50 + number,
        "heldout_reconstruction": quality + run,
        "fd_classifier": quality + run,
        **more,
    }


def table(config, worse=("random",)):
    """What a training would leave; the arms in `worse` end with a bad quality."""
    rows = []
    if config.prune.schedule == "early_bird":
        share = 1 - config.prune.fraction
        for arm, run in experiments.members(config, 1):
            cost = {"flops_compact": 1000 * share**2, "seconds": 100 * share}
            more = {**cost, "found_epoch": 6 + run, "search_epochs": 6 + run}
            sparsity = 1 - share**2
            rows.append(row(1, run, arm, sparsity, GOOD, **more))
        return rows
    for number in range(config.prune.rounds + 1):
        sparsity = 1 - (1 - config.prune.fraction) ** number
        for arm, run in experiments.members(config, number):
            quality = BAD if arm in worse else GOOD
            rows.append(row(number, run, arm, sparsity, quality))
    return rows


def plant(config, folder, rows=None):
    """In the place of a training: the files that one leaves."""
    rows = table(config) if rows is None else rows
    tables.write_rows(paths.results_path(folder), rows)
    layers = [
        {"round": x["round"], "run": x["run"], "layer": "a", "total": 9, "kept": 5}
        for x in rows
        if x["arm"] != "random"
    ]
    tables.write_rows(paths.layers_path(folder), layers)
    stored = {**config.to_dict(), "provenance": {"data": {"encoding": "raw"}}}
    paths.write_atomically(paths.config_path(folder), json.dumps(stored).encode())
    for x in rows:
        path = paths.sample_path(folder, x["round"], x["arm"], "samples")
        images.write_image(path, np.zeros((8, 8, 1), np.uint8))


@pytest.fixture
def runs(monkeypatch):
    """The folders that were run, in their order; every run is planted."""
    ran = []

    def fake(config, folder):
        ran.append(folder.name)
        if config.suite:
            for name, part in table2.experiments(config).items():
                plant(part, folder / name)
        else:
            plant(config, folder)

    monkeypatch.setattr(procedures, "run", fake)
    return ran


def of(root, scale="smoke"):
    return results.Results(scales.SCALES[scale], root)


def finish(name, root):
    """Runs a figure's experiments (planted) -> (figure, results)."""
    figure, found = declared.FIGURES[name], of(root)
    work.run(work.needed_by([figure], found.scale), found)
    return figure, found


# --- declarations -------------------------------------------------------------------


@pytest.mark.parametrize("scale", scales.SCALES)
def test_one_name_is_one_experiment_and_every_one_is_valid(scale):
    scale, found = scales.SCALES[scale], {}
    for figure in declared.FIGURES.values():
        for one in results.needed(figure, scale):
            assert found.setdefault(one.name, one) == one
    assert len(found) > 12
    for one in found.values():
        one.config("root")  # validates


def test_the_scales_are_what_they_say():
    full, laptop = scales.FULL, scales.LAPTOP
    config = full.experiment("dcgan_cifar10").config("root")
    assert (config.runs, config.prune.rounds, config.train.epochs) == (5, 20, 200)
    ours = laptop.experiment("ae_mnist")
    assert (ours.file, ours.changes) == ("ae_mnist", ())
    alone = laptop.experiment("ae_mnist", (("prune.components", ("encoder",)),))
    config = alone.config("root")
    assert tuple(config.prune.components) == ("encoder",)
    assert (config.runs, config.prune.rounds, tuple(config.arms)) == (
        *(3, 10),
        ("winning",),
    )
    assert alone.name == "ae_mnist,prune.components=encoder"
    assert laptop.experiment("dcgan_celeba") is None
    for setting in scales.SMOKE.settings:
        config = scales.SMOKE.experiment(setting).config("root")
        assert config.data.name == "digits" and config.train.steps == 30


def test_the_papers_numbers_agree_with_the_experiment_files():
    for model in declared.MODELS:
        for setting, published in model.sparsity.items():
            config = experiments.Experiment(setting, setting).config("root")
            if setting not in ("vae_celeba", "resnet_vae_celeba"):
                assert config.paper.sparsity == published, setting


def test_a_ticket_is_made_before_it_is_taken_over():
    names = [x.name for x in results.needed(declared.FIG8, scales.LAPTOP)]
    assert names == [
        "vae_digits,prune.components=decoder",
        "transfer_vae_to_dcgan_digits",
        "transfer_dcgan_to_vae_digits",
    ]
    last = results.needed(declared.FIG8, scales.LAPTOP)[-1]
    assert last.config("root").ticket.path == f"root/experiments/{names[1]}"


# --- plans --------------------------------------------------------------------------


def test_flops_of_rounds_are_those_counted_by_hand(monkeypatch):
    monkeypatch.setattr(plan, "_count", lambda config: (1000.0, 100.0))
    ae = scales.LAPTOP.experiment("ae_mnist").config("root")
    steps = ae.train.epochs * 468  # 60,000 images in batches of 128
    expected = [5 * steps * 1000] + [10 * (steps - 10) * 1000] * 20
    assert plan.round_flops(ae) == expected
    bird = declared.FIG7.curves()[3]
    bird = scales.LAPTOP.experiment(bird.setting, bird.changes).config("root")
    epoch = 1497 // 32
    search = 10 * epoch
    assert plan.round_flops(bird) == [search * 1000 + (3700 - search) * 100] * 3
    transfer = scales.LAPTOP.experiment("transfer_vae_to_dcgan").config("root")
    assert plan.round_flops(transfer)[1] == 3 * 3 * (700 - 10) * 1000
    wgan = scales.FULL.experiment("wgan_cifar10").config("root")
    assert plan.round_flops(wgan)[0] == 5 * 200 * (50_000 // 500) * 1000


def test_a_step_is_that_of_the_experiment():
    config = scales.SMOKE.experiment("ae_mnist").config("root")
    whole, left = plan._of_step(config)
    task = plan.tasks.build(config, (28, 28, 1), 30, lowering=plan.LIBRARY)
    images = plan.jax.ShapeDtypeStruct((32, 28, 28, 1), "uint8")
    assert whole == left == flops.of_step(task, images).total() > 0


def test_what_is_left_and_the_rate_come_from_finished_rounds(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_count", lambda config: (1000.0, 100.0))
    one = scales.SMOKE.experiment("dcgan_cifar10")
    (training,) = one.trainings(tmp_path)
    rows = [x for x in table(training.config) if x["round"] < 2]
    plant(training.config, training.folder, rows)
    (line,) = plan.lines([one], tmp_path)
    assert str(line.state) == "round 2 of 2" and line.trainings == 2 + 2 * 4
    assert line.flops == 2 * 30 * 1000 + 2 * 4 * 26 * 1000
    assert line.left == 4 * 26 * 1000
    # 2 + 4 members of 1000 FLOPs, in two rounds of 12 seconds.
    rates = plan.seen_rates(tmp_path)
    assert rates == {line.family: plan.Rate(6000 / 24, "finished rounds here")}
    text = plan.told([line], tmp_path)
    hours = line.left / 250 / 3600
    assert f"{hours:.2f}" in text[1] and "finished rounds here" in text[-1]


def test_without_a_finished_round_the_rate_is_a_product_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "product_rate", lambda: plan.Rate(1e9, "a product"))
    one = plan.Line(
        "x", experiments.State(0, 3, "round"), ("a", "b", "c"), 1, *[1e9] * 2
    )
    assert "a product" in plan.told([one], tmp_path)[-1]
    assert not list(tmp_path.iterdir())


# --- running ------------------------------------------------------------------------


def test_figures_share_experiments_and_finished_ones_are_skipped(tmp_path, runs):
    finish("fig3", tmp_path)
    assert runs == ["dcgan_digits", "one_shot_dcgan_digits", "rewind_dcgan_digits"]
    runs.clear()
    finish("fig3", tmp_path)
    assert runs == []
    finish("fig6", tmp_path)
    assert "dcgan_digits" not in runs and "wgan_digits" in runs


def test_a_stopped_one_goes_on_and_one_with_more_rounds_is_finished(tmp_path, runs):
    figure, found = finish("fig3", tmp_path)
    first = results.needed(figure, found.scale)[0]
    (training,) = first.trainings(tmp_path)
    rows = [x for x in table(training.config) if x["round"] < 2]
    plant(training.config, training.folder, rows)
    assert str(experiments.state(training)) == "round 2 of 2"
    runs.clear()
    finish("fig3", tmp_path)
    assert runs == [first.name]
    more = training.config.copy_and_resolve_references()
    more.prune.rounds += 3
    plant(more, training.folder)
    runs.clear()
    finish("fig3", tmp_path)
    assert runs == []


def test_other_options_in_a_folder_are_refused_before_any_run(tmp_path, runs):
    figure, found = finish("fig3", tmp_path)
    last = results.needed(figure, found.scale)[-1]
    (training,) = last.trainings(tmp_path)
    other = training.config.copy_and_resolve_references()
    other.seed = 7
    plant(other, training.folder, table(other)[:2])
    paths.results_path(training.folder).with_name("x").touch()
    runs.clear()
    with pytest.raises(errors.UserError, match="seed: 7 -> 0"):
        finish("fig3", tmp_path)
    assert runs == []


def test_early_bird_and_table2_know_how_far_they_are(tmp_path, runs):
    finish("fig7", tmp_path)
    dense = declared.FIG7.curves()[0]
    one = of(tmp_path).experiment(dense)
    (training,) = one.trainings(tmp_path)
    plant(training.config, training.folder, table(training.config)[:1])
    assert str(experiments.state(training)) == "run 2 of 2"
    suite = scales.SMOKE.experiment("table2")
    assert not suite.is_finished(tmp_path)
    finish("table2", tmp_path)
    assert suite.is_finished(tmp_path) and len(suite.trainings(tmp_path)) == 5


# --- claims -------------------------------------------------------------------------


def evidence(label, arm, *rounds):
    """An arm with the qualities of its runs in each round of 50 %."""
    rows = [
        row(number, run, arm, 1 - 0.5**number, 0.0, fd_classifier=value)
        for number, values in enumerate(rounds, start=1)
        for run, value in enumerate(values)
    ]
    return Evidence(label, arm, rows)


LOW, HIGH = (1.0, 2.0, 3.0), (21.0, 22.0, 23.0)
METRIC = "fd_classifier"


def test_one_shot_is_compared_at_the_highest_common_sparsity():
    test = claims.second_is_worse_at_the_top
    iterative = evidence("iterative", "winning", HIGH, LOW)
    worse = evidence("one-shot", "winning", LOW, HIGH, LOW)
    found = test([iterative, worse], METRIC)
    assert found.outcome == claims.REPRODUCED and "at 75.0 %" in found.found
    assert test([iterative, iterative], METRIC).outcome == claims.NOT_REPRODUCED
    few = evidence("one-shot", "winning", LOW[:2])
    assert test([iterative, few], METRIC).outcome == claims.NOT_TRIED


def test_a_diverged_run_counts_as_the_worst_value():
    iterative = evidence("iterative", "winning", LOW)
    broken = evidence("one-shot", "winning", (1.5, 2.5, 3.5))
    for x in broken.rows:
        x["diverged"] = x["run"] == 0
    found = claims.second_is_worse_at_the_top([iterative, broken], METRIC)
    assert found.outcome == claims.NOT_REPRODUCED and "1 diverged" in found.found
    comparison = claims.compare(
        METRIC, iterative.last(METRIC), broken.last(METRIC), ("a", "b")
    )
    assert not comparison.worse and not comparison.better


def test_late_rewinding_may_be_worse_nowhere():
    late = evidence("late", "winning", LOW, LOW)
    zero = evidence("zero", "winning", LOW, HIGH)
    found = claims.first_is_nowhere_worse([late, zero], METRIC)
    assert found.outcome == claims.REPRODUCED
    assert "better than zero at 1 of 2 sparsities" in found.found
    found = claims.first_is_nowhere_worse([zero, late], METRIC)
    assert found.outcome == claims.NOT_REPRODUCED


@pytest.mark.parametrize("published, holds", [(0.892, True), (0.98, False)])
def test_a_winning_sparsity_is_asked_for_at_the_round_below_the_papers(
    published, holds
):
    dense = [row(0, run, "dense", 0.0, GOOD) for run in range(3)]
    winning = evidence("w", "winning", *[LOW] * 4, HIGH, HIGH, HIGH).rows
    random = evidence("r", "random", *[(50.0, 51.0, 52.0)] * 7).rows
    rows = [*dense, *winning, *random]
    test = claims.winning_sparsity(published)
    found = test([Evidence("w", "winning", rows)], METRIC)
    assert (found.outcome == claims.REPRODUCED) is holds
    assert "93.8 %" in found.found
    found = claims.winning_sparsity(0.3)([Evidence("w", "winning", rows)], METRIC)
    assert found.outcome == claims.NOT_TRIED  # the first round is at 50 %


def test_a_transferred_ticket_is_held_against_both():
    test = claims.like_the_own_ticket
    own, random = evidence("own", "winning", LOW), evidence("r", "random", HIGH)
    near = evidence("t", "transferred", (1.5, 2.0, 3.0))
    assert test([near, own, random], METRIC).outcome == claims.REPRODUCED
    for one in near.rows:
        one.update(sparsity_encoder=0.0, sparsity_decoder=0.969)
    judged = test([near, own, random], METRIC)
    assert judged.found.startswith("at 50.0 % sparsity (96.9 % of the decoder) ")
    far = evidence("t", "transferred", (11.0, 12.0, 13.0))
    assert test([far, own, random], METRIC).outcome == claims.NOT_REPRODUCED
    assert test([near, own, near], METRIC).outcome == claims.NOT_REPRODUCED


def bird(saved, seconds, values, epochs=(6, 6, 6)):
    rows = [
        row(
            *(1, run, "early_bird", saved, 0.0),
            fd_classifier=value,
            flops_compact=1000 * (1 - saved),
            seconds=seconds,
            found_epoch=epoch,
        )
        for run, (value, epoch) in enumerate(zip(values, epochs))
    ]
    return Evidence(f"{saved}", "early_bird", rows)


def test_early_bird_is_judged_where_it_saves_what_the_paper_saves():
    found = [bird(0.0, 100.0, LOW), bird(0.5, 60.0, HIGH), bird(0.86, 40.0, LOW)]
    judged = claims.as_good_with_less(0.88)(found, METRIC)
    assert judged.outcome == claims.REPRODUCED and "86.0 %" in judged.found
    judged = claims.time_saved(0.88, 0.47)(found, METRIC)
    assert judged.outcome == claims.REPRODUCED and "60.0 % less" in judged.found
    judged = claims.time_saved(0.88, 0.61)(found, METRIC)
    assert judged.outcome == claims.NOT_REPRODUCED
    judged = claims.as_good_with_less(0.88)(found[:2], METRIC)
    assert judged.outcome == claims.NOT_TRIED and "50.0 %" in judged.found
    found[2] = bird(0.86, 40.0, HIGH)
    judged = claims.as_good_with_less(0.88)(found, METRIC)
    assert judged.outcome == claims.NOT_REPRODUCED


def test_an_early_birds_savings_are_those_of_the_runs_that_were_cut():
    """The others are dense networks, and a mean with them is of neither."""
    dense, cut = bird(0.0, 100.0, LOW), bird(0.86, 40.0, LOW)
    whole = bird(0.0, 100.0, LOW).rows
    mixed = cut._replace(rows=[*cut.rows[:2], whole[2]])
    assert mixed.whole() == 1 and len(mixed.cut().rows) == 2
    assert claims.compressed([dense, mixed, cut._replace(rows=whole)]) == [mixed.cut()]
    judged = claims.time_saved(0.88, 0.47)([dense, mixed], METRIC)
    assert judged.found == "86.0 % fewer FLOPs are 60.0 % less time"
    judged = claims.as_good_with_less(0.88)([dense, mixed], METRIC)
    assert judged.outcome == claims.NOT_TRIED and "3 runs" in judged.found
    judged = claims.as_good_with_less(0.88)([dense, cut._replace(rows=whole)], METRIC)
    assert judged.outcome == claims.NOT_TRIED and "about 88.0 %" in judged.found


@pytest.mark.parametrize(
    "epochs, holds",
    [((6, 6, 6), True), ((6, 7, 6), False), ((6, 6, float("nan")), False)],
)
def test_every_search_must_end_in_time(epochs, holds):
    found = [bird(0.0, 1.0, LOW), bird(0.5, 1.0, LOW, epochs)]
    judged = claims.found_by_epoch(6)(found, METRIC)
    assert (judged.outcome == claims.REPRODUCED) is holds


def test_table2_tests_are_of_the_last_round():
    first = evidence("unpruned", "dense", LOW)
    assert claims.matches_the_first([first, first], METRIC).outcome == claims.REPRODUCED
    other = evidence("SNIP", "winning", LOW, HIGH)
    found = claims.matches_the_first([first, other], METRIC)
    assert found.outcome == claims.NOT_REPRODUCED
    found = claims.all_worse_than_the_first([first, other, other], METRIC)
    assert found.outcome == claims.REPRODUCED
    found = claims.all_worse_than_the_first([first, other, first], METRIC)
    assert found.outcome == claims.NOT_REPRODUCED


@pytest.mark.parametrize("sparsities", [(0.0, 0.0, 0.0), (0.0, 0.6, 0.6)])
def test_a_search_that_found_nothing_is_no_evidence(sparsities):
    """Its runs are the dense network, which matches itself."""
    first = evidence("unpruned", "dense", LOW)
    rows = [{**row, "arm": "early_bird"} for row in first.rows]
    for row, sparsity in zip(rows, sparsities, strict=True):
        row["sparsity"] = sparsity
    bird = Evidence("early-bird", "early_bird", rows)
    for found in (
        claims.matches_the_first([first, bird], METRIC),
        claims.all_worse_than_the_first([bird, first], METRIC),
    ):
        assert found.outcome == claims.NOT_TRIED
        assert f"no ticket in {sparsities.count(0.0)} of 3 runs" in found.found


# --- pages --------------------------------------------------------------------------


def lines_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("name", ["fig1", "fig4", "fig7", "fig8", "table1", "table2"])
def test_a_figure_is_drawn_of_what_there_is(name, tmp_path, runs, monkeypatch):
    monkeypatch.setattr(panels, "num_weights", lambda setting: 12345)
    figure = declared.FIGURES[name]
    before = draw.draw(figure, of(tmp_path)).read_text()
    assert "<h1>" in before
    _, found = finish(name, tmp_path)
    path = draw.draw(figure, found)
    text = path.read_text()
    assert path == tmp_path / name / "index.html"
    assert "digits, 30 steps" in text
    assert ("Not at this scale" in text) is (name not in ("fig8", "table2"))
    pictures = list(path.parent.glob("panel_*.png"))
    assert bool(pictures) is (name != "table1")
    assert all(x.read_bytes()[:4] == b"\x89PNG" for x in pictures)


def test_weights_are_counted_of_the_papers_networks():
    units = [784, 128, 64, 12, 3, 12, 64, 128, 784]
    by_hand = sum(a * b + b for a, b in zip(units, units[1:]))
    assert panels.num_weights("ae_mnist") == by_hand


def test_numbers_and_claims_are_kept(tmp_path, runs, capsys):
    figure, found = finish("fig3", tmp_path)
    work.draw([figure], found)
    assert "one_shot" not in capsys.readouterr().err
    numbers = lines_of(tmp_path / "fig3" / "numbers.csv")
    dense = [x for x in numbers if x["curve"] == "dense"]
    assert {(x["mean"], x["std"]) for x in dense} == {(str(GOOD + 0.5), str(0.5**0.5))}
    assert {x["panel"] for x in numbers} == {panel.title for panel in figure.panels}
    judged = {x["claim"]: x for x in lines_of(tmp_path / "claims.csv")}
    assert {x["figure"] for x in judged.values()} > {"fig3", "fig8", "table2"}
    claim = judged["One-shot pruning is worse than iterative at high sparsity."]
    assert claim["outcome"] == "not tried"  # 2 runs are too few
    assert claim["instead"].startswith("digits")


def test_an_unfinished_experiment_is_not_judged(tmp_path, runs):
    figure, found = finish("fig3", tmp_path)
    one = results.needed(figure, found.scale)[1]
    (training,) = one.trainings(tmp_path)
    plant(training.config, training.folder, table(training.config)[:2])
    lines = results.judged(figure, found)
    assert lines[0]["outcome"] == "not tried"
    assert lines[0]["found"] == "one_shot_dcgan_digits: round 1 of 2"


# --- the command line ---------------------------------------------------------------


@pytest.mark.parametrize(
    "words, told",
    [
        (["fig9", "--scale=smoke"], "fig9: is no figure; there are fig1"),
        (["fig3", "--scale=big"], "--scale=big: give one of smoke, laptop"),
        (["fig3"], "--scale"),
        (["fig3", "--scale=smoke", "--fast"], "--fast"),
        (["fig4", "--scale=laptop"], "config.data.name=mnist: no prepared set"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words, told, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    assert command.run([*words, f"--workdir={tmp_path}/runs"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and told in said
    assert not (tmp_path / "runs").exists()


def test_a_plan_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plan, "product_rate", lambda: plan.Rate(1e9, "a product"))
    words = ["fig4", "--scale=smoke", "--plan", f"--workdir={tmp_path}/runs"]
    assert command.run(words) == 0
    said = capsys.readouterr().out
    assert "ae_mnist,prune.components=encoder" in said and "to do" in said
    assert "digits, 30 steps" in said
    assert not list(tmp_path.iterdir())


def test_a_stop_is_status_130(tmp_path, monkeypatch, capsys):
    def stop(config, folder):
        raise errors.Interrupted(2)

    monkeypatch.setattr(procedures, "run", stop)
    words = ["fig3", "--scale=smoke", f"--workdir={tmp_path}"]
    assert command.run(words) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.slow
def test_a_figure_from_end_to_end(tmp_path, capsys):
    words = ["fig8", "--scale=smoke", f"--workdir={tmp_path}"]
    assert command.run(words) == 0
    assert "0 of 3 experiments are finished" in capsys.readouterr().out
    assert (tmp_path / "smoke" / "fig8" / "panel_02_1.png").exists()
    assert command.run(words) == 0
    assert "3 of 3 experiments are finished" in capsys.readouterr().out
