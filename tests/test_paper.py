"""The paper's figures: experiments shared and resumed, pages of synthetic results."""

import csv
import json

import numpy as np
import pytest

from gen_tickets import errors, procedures
from gen_tickets.cli import command_line
from gen_tickets.config import defaults
from gen_tickets.paper import __main__ as command
from gen_tickets.paper import page, panels, published
from gen_tickets.paper.figures import FIGURES, SPARSE, Curve, Variant, alone
from gen_tickets.paper.results import SCALES, Results, judge_all, options_of
from gen_tickets.report import outcomes
from gen_tickets.workdir import baselines, images, paths, tables

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


def rows_of(config):
    """The rows that a training would write; the random arm has a bad quality."""
    runs = range(config.runs)
    if config.prune.schedule == "early_bird":
        share = 1 - config.prune.fraction
        more = {"flops_compact": 1000 * share**2, "seconds": 100 * share}
        more |= {"found_epoch": 6, "search_epochs": 6}
        return [row(1, i, "early_bird", 1 - share**2, GOOD, **more) for i in runs]
    rows = [row(0, run, "dense", 0.0, GOOD) for run in runs]
    arms = (*config.arms, *(("transferred",) if config.ticket.path else ()))
    if config.procedure == "dynamic":
        arms = tuple(config.dynamic.methods)
    for number in range(1, config.prune.rounds + 1):
        sparsity = 1 - (1 - config.prune.fraction) ** number
        if config.prune.sparsities:
            sparsity = config.prune.sparsities[number - 1]
        for arm in arms:
            quality = BAD if arm == "random" else GOOD
            rows += [row(number, run, arm, sparsity, quality) for run in runs]
    return rows


def plant(config, folder, rows=None):
    """Writes the files of a finished training without training."""
    rows = rows_of(config) if rows is None else rows
    tables.write_rows(paths.results_path(folder), rows)
    layers = [
        {
            "round": x["round"],
            "run": x["run"],
            "layer": "g/kernel",
            "total": 10,
            "kept": 10 - x["round"],
        }
        for x in rows
        if x["arm"] not in ("random", "transferred")
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
        plant(config, folder)

    monkeypatch.setattr(procedures, "run", fake)
    return ran


@pytest.fixture(autouse=True)
def two_runs(monkeypatch):
    """Of the smoke scale: too few for a claim."""
    monkeypatch.setitem(defaults._SMOKE, "runs", 2)


def finish(name, root, scale="smoke"):
    """Runs a figure's experiments (planted) -> its results."""
    found = Results(scale, root)
    command.run([name], found)
    return found


# --- experiments --------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_of_each_scale_are_valid_with_distinct_workdirs(scale, tmp_path):
    found = Results(scale, tmp_path).experiments(list(FIGURES))
    assert len({one.folder for one in found}) == len(found) > 12
    for one in found:
        defaults.validate(one.config)


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_with_download_set_only_options_with_effect(scale, tmp_path):
    given = {"data.dir": "/x", "data.download": True, "eval.download_weights": True}
    found = Results(scale, tmp_path, tuple(given.items())).experiments(list(FIGURES))
    for one in found:
        is_tfds = one.config.data.name != "digits"
        assert one.config.data.dir == "/x" * is_tfds
        assert one.config.data.download == is_tfds
        by_inception = {"fid", "inception_score"} & set(one.config.eval.metrics)
        assert one.config.eval.download_weights == bool(by_inception)


def test_experiment_full_scale_has_published_options(tmp_path):
    full = Results("full", tmp_path)
    config = full.experiment(Curve("", "dcgan_cifar10")).config
    assert (config.runs, config.prune.rounds, config.train.epochs) == (5, 20, 200)
    assert config.eval.verdict == "fid" and config.eval.num_samples == 50_000
    # Without classes there is no classifier.
    config = full.experiment(Curve("", "vae_celeba")).config
    assert tuple(config.eval.metrics) == ("fid",)


def test_experiment_smoke_scale_uses_digits_and_its_steps(tmp_path):
    for one in Results("smoke", tmp_path).experiments(list(FIGURES)):
        assert one.config.data.name == "digits" and one.config.train.steps <= 16


def test_experiment_without_a_size_is_left_out(tmp_path):
    laptop = Results("laptop", tmp_path)
    assert laptop.experiment(Curve("", "dcgan_celeba")) is None
    only_full = Curve("", "wgan_cifar10", variant=alone("generator"), only_full=True)
    assert laptop.experiment(only_full) is None
    missing = page.left_out("fig6", laptop)
    assert "dcgan_celeba" in missing and "wgan_cifar10 (generator only)" in missing


def test_experiment_variant_changes_options_and_workdir(tmp_path):
    curve = Curve("", "ae_mnist", variant=alone("encoder"))
    one = Results("laptop", tmp_path).experiment(curve)
    assert one.folder == tmp_path / "experiments" / "ae_mnist-encoder"
    assert tuple(one.config.prune.components) == ("encoder",)
    assert tuple(one.config.arms) == ("winning",)


def test_experiments_of_a_transfer_follow_their_source(tmp_path):
    found = Results("laptop", tmp_path).experiments(["fig8"])
    assert [one.folder.name for one in found] == [
        "vae_cifar10-decoder",
        "transfer_vae_to_dcgan",
        "transfer_dcgan_to_vae",
    ]
    assert found[1].config.ticket.path == str(found[0].folder)


@pytest.mark.parametrize("scale", ["laptop", "full"])
def test_experiments_of_table2_prune_to_the_same_sparsity(scale, tmp_path):
    found = {
        one.folder.name: one.config
        for one in Results(scale, tmp_path).experiments(["table2"])
    }
    imp = found["table2_imp"].prune
    sparsity = 1 - (1 - imp.fraction) ** imp.rounds
    assert sparsity == pytest.approx(0.832, abs=5e-4)
    for name in ("snip", "grasp"):
        prune = found[f"table2_{name}"].prune
        assert (prune.method, prune.rounds) == (name, 1)
        assert prune.fraction == pytest.approx(sparsity)
    assert found["table2_early_bird-bfloat16"].precision == "bfloat16"


# --- running ------------------------------------------------------------------------


def test_run_of_figures_shares_experiments_and_skips_finished_ones(tmp_path, runs):
    finish("fig3", tmp_path)
    assert runs == ["dcgan_cifar10", "one_shot_dcgan_cifar10", "rewind_dcgan_cifar10"]
    runs.clear()
    finish("fig3", tmp_path)
    assert runs == []
    finish("fig6", tmp_path)
    assert "dcgan_cifar10" not in runs and "wgan_cifar10" in runs


def test_run_unfinished_experiment_continues_it(tmp_path, runs):
    found = finish("fig3", tmp_path)
    first = found.experiments(["fig3"])[0]
    rows = [x for x in rows_of(first.config) if x["round"] < 2]
    plant(first.config, first.folder, rows)
    assert first.state() == "6 of 10 trainings"
    runs.clear()
    finish("fig3", tmp_path)
    assert runs == [first.folder.name]


def test_run_workdir_of_other_options_is_refused_before_training(tmp_path, runs):
    found = finish("fig3", tmp_path)
    last = found.experiments(["fig3"])[-1]
    other = last.config.copy_and_resolve_references()
    other.seed = 7
    plant(other, last.folder, rows_of(other)[:2])
    runs.clear()
    with pytest.raises(errors.UserError, match="seed: 7 -> 0"):
        finish("fig3", tmp_path)
    assert runs == []


def test_state_of_early_bird_tickets_counts_runs(tmp_path):
    variant = Variant("30", (("prune.fraction", 0.3),))
    curve = Curve("", "early_bird_dcgan_cifar10", "early_bird", variant)
    one = Results("smoke", tmp_path).experiment(curve)
    assert one.state() == "missing"
    plant(one.config, one.folder, rows_of(one.config)[:1])
    assert one.state() == "1 of 2 trainings"
    plant(one.config, one.folder)
    assert one.state() == "finished"


# --- the paper's numbers --------------------------------------------------------------


def test_winning_sparsity_of_options_equals_table_1():
    options = {"model.name": "convstack", "task.name": "vae", "task.loss": "bce"}
    options |= {"task.beta": 4.0, "data.name": "celeb_a"}
    options["model.widths"] = [64, 128, 256, 512]
    assert published.winning_sparsity(options) == 0.865
    assert published.winning_sparsity({**options, "data.name": "digits"}) == 0
    assert published.winning_sparsity({**options, "model.widths": [8, 8]}) == 0
    for name, other in (
        ("prune.schedule", "early_bird"),
        ("prune.schedule", "one_shot"),
        ("prune.components", ("decoder",)),
        ("procedure", "dynamic"),
    ):
        assert published.winning_sparsity({**options, name: other}) == 0


def test_winning_sparsity_of_options_read_from_workdir_equals_table_1(tmp_path):
    config = Results("full", tmp_path).experiment(Curve("", "ae_mnist")).config
    path = paths.config_path(tmp_path)
    path.write_text(json.dumps(config.to_dict()))
    options = outcomes.config_of(tmp_path)
    assert published.winning_sparsity(options) == 0.892


def test_num_weights_linear_autoencoder_equals_hand_count():
    units = [784, 128, 64, 12, 3, 12, 64, 128, 784]
    by_hand = sum(a * b + b for a, b in zip(units, units[1:]))
    assert panels.num_weights("ae_mnist") == by_hand


# --- pages --------------------------------------------------------------------------


def lines_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize(
    "name", ["fig1", "fig4", "fig7", "fig8", "table1", "table2", "beyond"]
)
def test_page_of_figure_shows_finished_and_missing_results(
    name, tmp_path, runs, monkeypatch
):
    monkeypatch.setattr(panels, "num_weights", lambda file: 12345)
    before = page.draw(name, Results("smoke", tmp_path), []).read_text()
    assert "<h1>" in before
    found = finish(name, tmp_path)
    path = page.draw(name, found, judge_all(found))
    text = path.read_text()
    assert path == tmp_path / name / "index.html"
    assert "digits, widths" in text
    assert ("Not at this scale" in text) is (name not in ("fig8", "table2", "beyond"))
    assert ("Beyond the paper: Diffusion models" in text) is (name == "beyond")
    pictures = list(path.parent.glob("panel_*.png"))
    assert bool(pictures) is not name.startswith("table")
    assert all(x.read_bytes()[:4] == b"\x89PNG" for x in pictures)


def test_page_of_table_2_has_costs_of_one_training(tmp_path, runs):
    page.draw("table2", finish("table2", tmp_path), [])
    rows = {x["row"]: x for x in lines_of(tmp_path / "table2" / "numbers.csv")}
    assert rows["unpruned"]["seconds"] == "6.00"  # two members took 12
    assert rows["unpruned"]["weights"] == "10"
    winning = rows["IMP, winning"]
    assert (winning["seconds"], winning["weights"]) == ("3.00", "8")  # 4 members
    assert winning["FLOPs"] == "1000" and winning["sparsity"] == "59.0 %"
    assert winning["FLOPs, masked"] == "409.6"
    assert winning["fd_classifier"] == "10.50 ± 0.71"
    assert winning["paper: FID"] == "37.77"
    bird = rows["early-bird"]
    assert (bird["seconds"], bird["FLOPs"]) == ("33.50", "112.2")


def test_draw_figure_writes_numbers_and_claims_tables(tmp_path, runs):
    command.draw(["fig3"], finish("fig3", tmp_path))
    numbers = lines_of(tmp_path / "fig3" / "numbers.csv")
    dense = [x for x in numbers if x["curve"] == "dense"]
    assert {(x["mean"], x["std"]) for x in dense} == {(str(GOOD + 0.5), str(0.5**0.5))}
    assert {x["panel"] for x in numbers} == {x.title for x in FIGURES["fig3"].panels}
    judged = {x["claim"]: x for x in lines_of(tmp_path / "claims.csv")}
    assert {x["figure"] for x in judged.values()} > {"fig3", "fig8", "table2"}
    claim = judged["One-shot pruning is worse than iterative at high sparsity."]
    assert claim["outcome"] == "not tried"  # 2 runs are too few
    assert claim["instead"].startswith("digits")


def test_claim_of_an_unfinished_experiment_is_not_tried(tmp_path, runs):
    found = finish("fig3", tmp_path)
    one = found.experiments(["fig3"])[1]
    plant(one.config, one.folder, rows_of(one.config)[:2])
    line = next(x for x in judge_all(found) if x["figure"] == "fig3")
    assert line["outcome"] == "not tried"
    assert line["found"] == "one_shot_dcgan_cifar10: 2 of 6 trainings"


def test_claim_with_failed_learned_gate_is_not_judged(tmp_path, runs):
    found = finish("fig3", tmp_path)
    for one in found.experiments(["fig3"]):
        config = one.config.copy_and_resolve_references()
        config.runs = 3
        plant(config, one.folder)
    while_sound = next(x for x in judge_all(found) if x["figure"] == "fig3")
    assert while_sound["outcome"] == "not reproduced" and not while_sound["gates"]
    baselines.write(one.folder.parent / "dcgan_cifar10", {"fd_classifier": {"grey": 1}})
    line = next(x for x in judge_all(found) if x["figure"] == "fig3")
    assert line["outcome"] == "not judged"
    assert line["found"] == f"not reproduced by the numbers: {while_sound['found']}"
    assert line["gates"].startswith("dcgan_cifar10: Nothing learned: the Fréchet dist")
    text = page.draw("fig3", found, judge_all(found)).read_text()
    assert "Not judged: " in text and "baselines: grey 1." in text


def test_claims_beyond_the_paper_are_judged_by_later_sparsities(tmp_path, runs):
    found = finish("beyond", tmp_path)
    for one in found.experiments(["beyond"]):
        config = one.config.copy_and_resolve_references()
        config.runs = 3
        if one.folder.name == "ddpm_mnist":
            config.prune.rounds = 8
        if config.procedure == "dynamic":
            config.prune.rounds = 2
        plant(config, one.folder)
    lines = [x for x in judge_all(found) if x["figure"] == "beyond"]
    assert [x["outcome"] for x in lines] == ["reproduced"] * 3
    assert "up to 97.2 % sparsity" in lines[0]["found"]
    assert "rigl up to 80.0 %" in lines[2]["found"]
    assert lines[1]["instead"].endswith("to 50.0 %")


@pytest.mark.parametrize("file", ["rigl_ddpm_mnist", "rigl_dcgan_mnist"])
def test_pruned_networks_have_the_sparsities_of_sparse_training(file):
    assert options_of(file, "laptop").prune.sparsities == SPARSE


def test_narrower_dense_network_has_scaled_widths_and_prunes_nothing(tmp_path):
    (curve,) = [x for x in FIGURES["beyond"].curves() if x.variant.name == "small_50"]
    config = Results("laptop", tmp_path).experiment(curve).config
    assert config.model.widths == (12, 24) and config.prune.fraction < 1e-6


# --- the command line ---------------------------------------------------------------


def status(words):
    return command_line.exit_status(lambda: command.main(words))


def test_paper_command_with_workdir_in_home_folder_uses_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    roots = []
    monkeypatch.setattr(command, "plan", lambda names, of: roots.append(of.root))
    assert status(["fig1", "--scale=smoke", "--plan", "--workdir=~/paper"]) == 0
    assert roots == [tmp_path / "paper" / "smoke"]


@pytest.mark.parametrize(
    "words, told",
    [
        (["fig9", "--scale=smoke"], "fig9: allowed is one of fig1, fig2"),
        (["fig3", "--scale=big"], "--scale=big: allowed is one of smoke, laptop"),
        (["fig3"], "--scale"),
        (["fig3", "--scale=smoke", "--fast"], "--fast"),
        (["fig4", "--scale=laptop"], "data.name=mnist: no prepared set"),
    ],
)
def test_paper_command_with_mistake_prints_one_line(
    words, told, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    assert status([*words, f"--workdir={tmp_path}/runs"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and told in said
    assert not (tmp_path / "runs").exists()


def test_paper_command_with_plan_writes_nothing(tmp_path, capsys):
    assert (
        status(["fig4", "--scale=smoke", "--plan", f"--workdir={tmp_path}/runs"]) == 0
    )
    said = capsys.readouterr().out
    assert "ae_mnist-encoder: missing; digits, widths" in said
    assert "Not at this scale: ae_celeba." in said
    assert not list(tmp_path.iterdir())


@pytest.fixture
def compiled_quickly(monkeypatch):
    """The calls of `compile_quickly`, which would change the process of the tests."""
    calls = []
    monkeypatch.setattr(command_line, "compile_quickly", lambda: calls.append(None))
    return calls


def test_paper_command_interrupted_exits_with_130(
    tmp_path, monkeypatch, capsys, compiled_quickly
):
    def stop(config, folder):
        raise errors.Interrupted(2)

    monkeypatch.setattr(procedures, "run", stop)
    assert status(["fig3", "--scale=smoke", f"--workdir={tmp_path}"]) == 130
    assert compiled_quickly
    assert "run the same command to continue" in capsys.readouterr().err


@pytest.mark.slow
def test_paper_command_end_to_end_draws_and_then_skips_finished(
    tmp_path, capsys, compiled_quickly
):
    words = ["fig8", "--scale=smoke", f"--workdir={tmp_path}"]
    assert status(words) == 0
    assert "0 of 3 experiments are finished" in capsys.readouterr().out
    assert (tmp_path / "smoke" / "fig8" / "panel_02_1.png").exists()
    assert status(words) == 0
    assert "3 of 3 experiments are finished" in capsys.readouterr().out
