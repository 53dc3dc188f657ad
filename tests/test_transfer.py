"""Transfer (paper, Fig. 8): VAE decoder to GAN generator and back, on digits."""

import jax
import numpy as np
import pytest
from test_lottery import NoEvents

from gen_tickets import procedures, tasks, trees
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.errors import UserError
from gen_tickets.experiments import quickstart
from gen_tickets.procedures import lottery
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import render
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, tables, tickets

pytestmark = pytest.mark.usefixtures("library_convolutions")


@pytest.fixture(autouse=True)
def no_pages_and_events(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "draw", lambda workdir: tmp_path / "none.html")
    monkeypatch.setattr(events_lib, "EventWriter", NoEvents)


def configure(task, source=None, **ticket):
    config = quickstart.get_config("smoke")
    config.runs = 2
    config.data.limit = 64
    config.data.image_size = 8
    config.data.batch_size = 16
    config.model.name = "convstack"
    config.model.widths = (6,)
    config.model.latent_size = 5
    config.task.name = task
    config.train.steps = 6
    config.rewind.step = 2
    config.prune.components = ("decoder" if task == "vae" else "generator",)
    if source is not None:
        config.ticket.path = str(source)
        there, here = (
            ("generator", "decoder") if task == "vae" else ("decoder", "generator")
        )
        config.ticket.map = (f"{there}:{here}",)
    return config


def first_round(config):
    """-> (session at the start of round 1, its experiment)."""
    prepared, data = procedures.prepare(config, dataset_lib.load(config))
    prepared = lottery.check(prepared, data)
    begun = lottery.next_round(prepared, data, lottery.dense(prepared), 1)
    return begun, prepared


def own(prepared, begun, arm, run):
    """State and masks of one member."""
    member = prepared.tickets.index(arm, run)
    return jax.tree.map(lambda x: np.asarray(x[member]), (begun.state, begun.masks))


def write_source(folder, task, model="convstack"):
    """Tickets of an experiment that need not have been trained to be transferred."""
    config = configure(task)
    config.model.name = model
    dataset = dataset_lib.load(config)
    init = jax.jit(tasks.build(config, dataset.train.images.shape[1:], 10).init)
    for run in range(2):
        state = init(jax.random.key(100 + run))
        stats = jax.tree.map(lambda x: x + run, state.stats)
        for number in (1, 2):
            draw = np.random.default_rng([run, number])
            masks = jax.tree.map(lambda x: draw.random(x.shape) < 0.7, state.params)
            params = masks_lib.rewind(masks, state.params)
            ticket = tickets.Ticket(masks, params, stats, {})
            tickets.save(paths.ticket_path(folder, number, run), ticket)


@pytest.fixture(scope="module", params=["vae", "gan"])
def source(request, tmp_path_factory):
    """(task, workdir) of a source experiment."""
    folder = tmp_path_factory.mktemp(request.param)
    write_source(folder, request.param)
    return request.param, folder


def test_next_round_transferred_component_equals_source_ticket(source):
    task, folder = source
    there, here = (
        ("decoder", "generator") if task == "vae" else ("generator", "decoder")
    )
    session, experiment = first_round(
        configure("gan" if task == "vae" else "vae", folder)
    )
    for run in range(2):
        ticket = tickets.load(paths.ticket_path(folder, 1, run))
        state, masks = own(experiment, session, "transferred", run)
        for name, theirs in trees.named_leaves(ticket.params[there]).items():
            np.testing.assert_array_equal(
                trees.named_leaves(state.params[here])[name], theirs
            )
            np.testing.assert_array_equal(
                trees.named_leaves(masks[here])[name],
                trees.named_leaves(ticket.masks[there])[name],
            )
        for name, theirs in trees.named_leaves(ticket.stats[there]).items():
            np.testing.assert_array_equal(
                trees.named_leaves(state.stats[here])[name], theirs
            )
        (other,) = set(state.params) - {here}
        assert all(mask.all() for mask in jax.tree.leaves(masks[other]))
        mine, _ = own(experiment, session, "winning", run)
        for a, b in zip(
            jax.tree.leaves(state.params[other]), jax.tree.leaves(mine.params[other])
        ):
            np.testing.assert_array_equal(a, b)
        assert not any(np.any(x) for x in jax.tree.leaves(state.opt_state))


def test_run_transfer_has_three_arms_and_source_sparsity(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    write_source(source, "vae", "linear")
    config = configure("gan", source)
    config.model.name = "linear"
    procedures.run(config, target)
    rows = tables.read_rows(paths.results_path(target))
    arms = {(row["round"], row["arm"]) for row in rows}
    assert arms == {(0, "dense")} | {
        (r, arm) for r in (1, 2) for arm in ("winning", "random", "transferred")
    }
    ticket = tickets.load(paths.ticket_path(source, 2, 1))
    row = next(
        r for r in rows if (r["round"], r["run"], r["arm"]) == (2, 1, "transferred")
    )
    expected = masks_lib.sparsity({"decoder": ticket.masks["decoder"]})
    assert row["sparsity_generator"] == pytest.approx(expected)
    assert row["sparsity_discriminator"] == 0.0
    # The loss of a GAN does not say at which step its samples were best.
    assert not any("early_stop_step" in row for row in rows)


def test_transfer_of_other_shapes_names_both_shapes(source):
    task, folder = source
    config = configure("gan" if task == "vae" else "vae", folder)
    config.model.latent_size = 7
    with pytest.raises(UserError, match=r"\(\d, \d, 5, 6\).*\(\d, \d, 7, 6\)"):
        first_round(config)


@pytest.mark.parametrize(
    "path, entries, message",
    [
        ("runs/x", (), "give both"),
        ("", ("decoder:generator",), "give both"),
        ("runs/x", ("decoder=generator",), "there:"),
        ("runs/x", ("decoder:generator",), "no such ticket"),
    ],
)
def test_transfer_with_wrong_ticket_options_raises_user_error(path, entries, message):
    config = configure("gan")
    config.ticket.path, config.ticket.map = path, entries
    with pytest.raises(UserError, match=message):
        first_round(config)


@pytest.mark.parametrize("entry", ["nothing:generator", "decoder:nothing"])
def test_transfer_of_unknown_component_raises_user_error(tmp_path, entry):
    write_source(tmp_path, "vae")
    config = configure("gan", tmp_path)
    config.ticket.map = (entry,)
    with pytest.raises(UserError, match="nothing.*there is no such component"):
        first_round(config)
