"""The early-bird procedure on digits, from config to files, stopped and resumed."""

import functools

import jax
import numpy as np
import pytest
from stops import stopped_at
from test_lottery import NoEvents, assert_trees_equal, make

from gen_tickets import procedures, tasks, trees
from gen_tickets.config import defaults
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.evaluation import flops
from gen_tickets.experiments import quickstart
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.procedures import channel_cut, early_bird, lottery, setup
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import figures, render
from gen_tickets.workdir import curves
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, searches, tables, tickets

pytestmark = pytest.mark.usefixtures("library_convolutions")

RUNS, STEPS, PER_EPOCH = 2, 22, 3


def configure(**changes):
    config = quickstart.get_config("smoke")
    config.update_from_flattened_dict(
        {
            "runs": RUNS,
            "task.name": "vae",
            "model.name": "convstack",
            "model.widths": (4, 6),
            "model.latent_size": 2,
            "data.limit": 48,
            "data.batch_size": 16,
            "data.image_size": 8,
            "train.steps": STEPS,
            "rewind.step": 0,
            "prune.schedule": "early_bird",
            "prune.fraction": 0.5,
            "prune.rounds": 1,
            "prune.scope": "layer",  # tickets of one shape: fewer programs
            "early_bird.epochs": 6,
            "early_bird.distance": 0.99,  # any two masks are near
            "eval.num_shown": 2,
            "eval.every_steps": 11,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )
    defaults.validate(config)
    return config


def run(folder, **changes):
    """Runs an experiment; returns its rows, tickets and searches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events_lib, "EventWriter", NoEvents)
        patch.setattr(render, "draw", lambda workdir: workdir)
        procedures.run(configure(**changes), folder)
    rows = tables.read_rows(paths.results_path(folder))
    runs = range(len(rows))
    found = [tickets.load(paths.ticket_path(folder, 1, i)) for i in runs]
    return rows, found, [searches.load(paths.search_path(folder, i)) for i in runs]


@pytest.fixture(scope="module")
def standard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early_bird")
    return folder, *run(folder)


def test_early_bird_rows_have_found_epoch_sparsity_and_flops(standard):
    folder, rows, found, drawn = standard
    config = configure()
    images = jax.ShapeDtypeStruct((16, 8, 8, 1), np.uint8)
    whole = tasks.build(config, (8, 8, 1), STEPS, lowering=LIBRARY)
    dense_step = flops.of_step(whole, images).total()
    layers = tables.read_rows(paths.layers_path(folder))
    for i, row in enumerate(rows):
        assert (row["run"], row["round"], row["arm"]) == (i, 1, "early_bird")
        assert (row["found_epoch"], row["search_epochs"]) == (6, 6)
        assert row["steps"] == STEPS and row["diverged"] is False
        assert np.isfinite(row["heldout_loss"])
        small = tasks.build(config, (8, 8, 1), STEPS, found[i].channels, LIBRARY)
        small_step = flops.of_step(small, images).total()
        searched = 6 * PER_EPOCH
        expected = searched * dense_step + (STEPS - searched) * small_step
        # Drawing masks is little beside a step.
        assert expected < row["flops_compact"] < 1.01 * expected
        assert row["flops_compact"] < row["flops_masked"] < row["flops_dense"]
        assert row["flops_dense"] == pytest.approx(STEPS * dense_step, rel=0.01)
        sizes = {
            name: np.asarray(leaf).size
            for name, leaf in trees.named_leaves(found[i].params).items()
        }
        kernels = [row for row in layers if row["run"] == i]
        assert {x["layer"]: x["kept"] for x in kernels} == {
            name: size for name, size in sizes.items() if masks_lib.is_kernel(name)
        }
        kept, total = (sum(x[key] for x in kernels) for key in ("kept", "total"))
        assert row["sparsity"] == pytest.approx(1 - kept / total)
        assert drawn[i].drawn.sum(1).tolist() == [drawn[i].drawn.shape[1] // 2] * 6


def test_early_bird_ticket_equals_compacted_dense_training(standard):
    _, _, found, drawn = standard
    config = configure()
    prepared, data = make(config)
    searched = channel_cut.searching(prepared, channel_cut.channel_pruner(prepared))
    one = setup.of_run(searched, 1, "early_bird")
    begun, population, steps = lottery.dense(one), one.dense, 6 * PER_EPOCH
    examples, order = data.batches(population, one.schedule, 0, None).take(steps)
    keys = population.train_keys()
    state, _ = setup.make_loop(one, population, data.streamed).stretch(
        begun.state, begun.totals, begun.masks, examples, order, keys, steps
    )
    kept = drawn[1].kept["encoder"]
    kernel = state.params["encoder"]["conv_1"]["kernel"][0]
    expected = np.asarray(kernel)[:, :, kept["conv_0"]][..., kept["conv_1"]]
    np.testing.assert_array_equal(
        found[1].params["encoder"]["conv_1"]["kernel"], expected
    )
    small = tasks.build(config, (8, 8, 1), STEPS, found[1].channels)
    shapes = jax.eval_shape(small.init, jax.random.key(0))
    for a, b in zip(
        jax.tree.leaves((found[1].params, found[1].stats)),
        jax.tree.leaves((shapes.params, shapes.stats)),
        strict=True,
    ):
        assert a.shape == b.shape


def test_draw_early_bird_run_shows_mask_distances(standard, monkeypatch):
    png = functools.partial(figures.draw_files, suffixes=("png",))
    monkeypatch.setattr(figures, "draw_files", png)  # in a third of the time
    folder = standard[0]
    text = render.draw(folder).read_text()
    assert "Early-bird tickets are found in 2 of 2 runs, at epoch 6." in text
    assert "Early-bird search" in text
    assert len(list(paths.figures_dir(folder).glob("mask_distance_*.png"))) == RUNS


@pytest.mark.slow
def test_early_bird_stopped_in_search_and_after_cut_ends_the_same(standard, tmp_path):
    _, rows, found, drawn = standard
    for place in ((0, 0, 8), (1, 1, STEPS - 2)):
        with stopped_at(*place), pytest.raises(Interrupted, match="SIGTERM"):
            run(tmp_path)
    again, resumed, other = run(tmp_path)
    for row, expected in zip(again, rows, strict=True):
        assert row | {"seconds": 0} == expected | {"seconds": 0}
    for a, b in zip(resumed, found, strict=True):
        assert_trees_equal(a[:3], b[:3])
    for a, b in zip(other, drawn, strict=True):
        assert_trees_equal(a, b)


def test_early_bird_quality_before_the_end_is_that_of_a_shorter_training(tmp_path):
    """It is measured for the gate "converged", with the programs of the compact shape.

    The last step of the search is 18; 19 of 22 is the last before the last tenth.
    """
    options = {"runs": 1, "eval__every_steps": 19, "eval__num_samples": 48}
    options |= {"eval__metrics": ("swd",), "eval__verdict": "swd"}
    (shorter,), *_ = run(tmp_path / "shorter", train__steps=19, **options)
    (row,), *_ = run(tmp_path / "whole", **options)
    curve = curves.read(paths.curves_path(tmp_path / "whole"))
    found = {point["step"]: point["swd"] for point in curve if "swd" in point}
    assert found[19] == pytest.approx(shorter["swd"], rel=1e-6)
    assert found[19] != row["swd"]


@pytest.mark.slow
@pytest.mark.parametrize("take_last", [False, True])
def test_early_bird_not_found_uses_last_mask_only_with_take_last(
    take_last, tmp_path, capsys
):
    changes = {"optimizer__learning_rate": 0.3, "early_bird__take_last": take_last}
    rows, found, drawn = run(tmp_path, runs=1, early_bird__distance=0.01, **changes)
    assert "no early-bird ticket in 6 epochs" in capsys.readouterr().out
    assert np.isnan(rows[0]["found_epoch"]) and rows[0]["search_epochs"] == 6
    assert drawn[0].found == 0
    assert (rows[0]["sparsity"] > 0) == take_last
    kept = np.concatenate([m for of in drawn[0].kept.values() for m in of.values()])
    assert kept.all() != take_last
    assert (rows[0]["flops_compact"] < rows[0]["flops_dense"]) == take_last


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model__name": "linear"}, "prune.schedule='early_bird'.* no batch norm"),
        ({"early_bird__epochs": 8}, "early_bird.epochs=8: must be below the 7.33"),
        ({"prune__components": ("critic",)}, "prune.components='critic'"),
    ],
)
def test_check_unsearchable_early_bird_raises_user_error(changes, message):
    config = configure(**changes)
    with pytest.raises(UserError, match=message):
        early_bird.check(*make(config))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prune__rounds": 2}, "prune.rounds=2: .* give 1"),
        ({"prune__method": "random"}, "prune.method='random': .*leave it out"),
        ({"rewind__step": 3}, "rewind.step=3: .* give 0"),
        ({"early_bird__epochs": 5}, "early_bird.epochs=5"),
        (
            {"prune__schedule": "iterative"},
            "early_bird.distance=0.99, .*: only for prune.schedule='early_bird'",
        ),
    ],
)
def test_validate_options_unfit_for_early_bird_raises_user_error(changes, message):
    with pytest.raises(UserError, match=message):
        configure(**changes)


def test_channels_kept_cut_one_component_and_round_widths_up():
    config = configure(
        prune__components=("decoder",), prune__scope="global", early_bird__multiple=4
    )
    prepared, _ = make(config)
    pruner = channel_cut.channel_pruner(prepared)
    params = jax.tree.map(lambda x: x[0], lottery.dense(prepared).state.params)
    kept = channel_cut._channels_kept(pruner, params, config.early_bird.multiple)
    assert all(mask.all() for mask in kept["encoder"].values())
    # 5 of 10 channels, all alike at the start: the earlier ones stay.
    sizes = {name: int(mask.sum()) for name, mask in kept["decoder"].items()}
    assert sum(sizes.values()) == 8 and set(sizes.values()) == {4}
