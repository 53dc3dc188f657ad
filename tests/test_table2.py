"""Table 2: the experiments behind its rows, and its lines from planted files."""

import csv

import pytest

from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.experiments import table2 as experiment
from gen_tickets.paper import table2
from gen_tickets.workdir import paths, tables


def test_the_experiments_are_valid_and_prune_as_far():
    config = experiment.get_config("full")
    found = table2.experiments(config)
    assert list(found) == ["imp", "early_bird", "early_bird_bfloat16", "snip", "grasp"]
    assert {row.experiment for row in table2.ROWS} == set(found)
    for name in ("snip", "grasp"):
        assert found[name].prune.method == name
        assert found[name].prune.fraction == pytest.approx(1 - 0.8**8)
        assert tuple(found[name].arms) == ("winning",)
    assert found["imp"].prune.rounds == 8 and found["imp"].rewind.step == 10
    assert found["early_bird_bfloat16"].precision == "bfloat16"
    for one in found.values():
        assert one.suite == "" and one.model == config.model
        assert one.prune.rounds == 1 or one.prune.schedule == "iterative"


def test_an_option_that_a_row_does_not_allow_is_told_before_any_work(tmp_path):
    config = experiment.get_config("smoke")
    config.prune.exclude = ("generator/*",)
    with pytest.raises(UserError, match="prune.exclude=.*early_bird"):
        table2.run(config, tmp_path / "table", pytest.fail)
    assert not (tmp_path / "table").exists()


def row(number, run, arm, **changes):
    return {
        "round": number,
        "run": run,
        "arm": arm,
        "sparsity": 0.0,
        "remaining": 1.0,
        "seconds": 12.0,
        "diverged": False,
        "flops_dense": 100.0,
        "flops_masked": 40.0,
        "flops_compact": 30.0,
        "fid": 20.0 + run,
        **changes,
    }


def plant(folder, config):
    """In the place of a training: the files that one would leave."""
    if config.prune.schedule == "early_bird":
        rows = [row(1, run, "early_bird", sparsity=0.8) for run in range(2)]
    else:
        rows = [row(0, run, "dense") for run in range(2)]
        rounds = config.prune.rounds
        for number in range(1, rounds + 1):
            for arm in config.arms:
                sparsity = 0.5 if number == rounds else 0.1
                rows += [row(number, i, arm, sparsity=sparsity) for i in range(2)]
    rows[-1]["diverged"] = folder.name == "grasp"
    tables.write_rows(paths.results_path(folder), rows)
    layers = [
        {"round": r, "run": run, "layer": "g/d/kernel", "total": 10, "kept": 10 - r}
        for r in sorted({x["round"] for x in rows})
        for run in range(2)
    ]
    tables.write_rows(paths.layers_path(folder), layers)


def test_the_table_is_read_from_the_experiments_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table2, "distance", lambda config: "fid")
    config = experiment.get_config("full")
    defaults.validate(config)
    table2.run(config, tmp_path, lambda one, folder: plant(folder, one))
    printed = capsys.readouterr().out
    text = paths.table2_path(tmp_path, "csv").read_text()
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["row"] for line in lines] == [row.label for row in table2.ROWS]
    by_label = {line["row"]: line for line in lines}
    assert by_label["unpruned"]["seconds"] == "6.00"  # two members took 12
    assert by_label["unpruned"]["weights"] == "10"
    winning = by_label["IMP, winning"]
    assert (winning["seconds"], winning["weights"]) == ("3.00", "2")  # 4 members
    assert winning["sparsity"] == "50.0 %" and winning["FLOPs"] == "100"
    assert winning["FLOPs, masked"] == "40" and winning["fid"] == "20.50 ± 0.71"
    bird = by_label["early-bird"]
    assert (bird["seconds"], bird["FLOPs"]) == ("12.00", "30")
    assert by_label["GraSP"]["diverged"] == "1" and "GraSP" in printed
    assert "table2.html" in printed and paths.table2_path(tmp_path, "html").exists()


def test_the_distance_is_the_fid_where_it_can_be_measured(monkeypatch):
    full, smoke = experiment.get_config("full"), experiment.get_config("smoke")

    def missing(path, download):
        raise UserError("no weights")

    monkeypatch.setattr(table2.metrics, "find_inception", missing)
    assert table2.distance(full) == "fd_classifier"
    monkeypatch.setattr(table2.metrics, "find_inception", lambda path, download: None)
    assert table2.distance(full) == "fid"
    assert table2.distance(smoke) == "fd_classifier"  # of 64 samples there is no FID
