"""Instability analysis: end to end on a tiny autoencoder; toys with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stops import stopped_at
from test_lottery import configure

from gen_tickets import procedures
from gen_tickets.data import dataset
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.evaluation import instability
from gen_tickets.procedures import line, stability
from gen_tickets.report import render
from gen_tickets.training import driver
from gen_tickets.training.round_state import Position
from gen_tickets.training.state import TrainState
from gen_tickets.workdir import paths, tables

STEPS = (0, 3, 6)


def options(**changes):
    return configure(
        procedure="stability",
        stability__steps=STEPS,
        stability__points=5,
        rewind__step=0,
        **changes,
    )


def run(folder, **changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "draw", lambda workdir: workdir)
        procedures.run(options(**changes), folder)
    return tables.read_rows(paths.stability_path(folder))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return run(tmp_path_factory.mktemp("stability") / "run")


def test_stability_rows_have_one_line_per_run_and_step(rows):
    assert len(rows) == len(STEPS) * 2 * 5
    for step in STEPS:
        for number in range(2):
            on_line = [r for r in rows if (r["step"], r["run"]) == (step, number)]
            assert [r["point"] for r in on_line] == [0, 0.25, 0.5, 0.75, 1]
            ends = on_line[0]["heldout_loss"], on_line[-1]["heldout_loss"]
            assert ends[0] != ends[1]
    # One instability per step.
    found = instability.by_step(rows, "heldout_loss")
    assert [one.step for one in found] == list(STEPS)


def test_stability_stopped_and_restarted_gives_same_rows(rows, tmp_path):
    with stopped_at(0, "stability", 5), pytest.raises(Interrupted):
        run(tmp_path / "run")
    assert run(tmp_path / "run") == rows


def test_stability_reset_optimizer_changes_only_later_steps(rows, tmp_path):
    reset = run(tmp_path / "run", stability__reset_optimizer=True)
    by_step = {
        step: [r for r in rows if r["step"] == step]
        == [r for r in reset if r["step"] == step]
        for step in STEPS
    }
    # At step 0 there are no moments to keep.
    assert by_step == {0: True, 3: False, 6: False}


def test_stability_seconds_left_are_those_of_the_steps_left():
    config = options()
    prepared, _ = procedures.prepare(config, dataset.load(config))
    trainings = stability._trainings(prepared, loop=None)
    assert len(trainings) == len(STEPS)
    for training in trainings:
        meter = driver._meter(training)
        for _ in range(2):
            meter.note(1, seconds=2.0)
        left = prepared.schedule.num_steps - training.first_step
        assert meter._seconds_left(training.first_step) == 2.0 * left


def prepared_copies(noise):
    """States after training two arms with the given noise, from the same weights."""
    config = options()
    prepared, data = procedures.prepare(config, dataset.load(config))
    prepared = stability.check(prepared, data)
    everyone = stability.population_at(prepared, 0)
    population = everyone.__class__(
        everyone.seed, everyone.runs, ("a", "b"), everyone.layout, noise
    )
    training = driver.Training(
        "copies",
        "copies",
        population,
        prepared.schedule,
        procedures.setup.make_loop(prepared, population, False),
        first_step=0,
        last_step=4,
    )
    hooks = driver.Hooks(lambda *_: None, np.inf, lambda *_: None, [])
    begun = stability._begin(prepared, population)
    trained, _ = driver.train(training, begun, Position(), data, hooks)
    return prepared, data, population, trained.state


@pytest.mark.parametrize("noise, is_same", [((1, 1), True), ((1, 2), False)])
def test_copies_with_the_same_noise_have_instability_zero(noise, is_same):
    prepared, data, population, state = prepared_copies(noise)
    ends = [jax.tree.map(lambda x, i=i: x[i], state) for i in (0, population.num_runs)]
    measure = line.make(prepared, data, np.linspace(0, 1, 3))
    losses = [point["heldout_loss"] for point in measure(0, *ends)]
    height, _ = instability.barrier(losses)
    assert (height == 0.0) == is_same


def toy(params):
    return TrainState(jnp.zeros((), jnp.int32), params, {}, {})


def losses_between(one, other, loss):
    points = np.linspace(0, 1, 11)
    return [
        float(loss(line.interpolate(toy(one), toy(other), jnp.float32(p)).params))
        for p in points
    ]


def test_permuted_copy_of_a_network_has_a_barrier():
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (64, 4))
    one = {
        "a": jax.random.normal(keys[1], (4, 8)),
        "b": jax.random.normal(keys[2], (8, 2)),
    }
    order = jnp.arange(8)[::-1]
    other = {"a": one["a"][:, order], "b": one["b"][order]}

    def outputs(params):
        return jax.nn.relu(x @ params["a"]) @ params["b"]

    losses = losses_between(
        one, other, lambda params: ((outputs(params) - outputs(one)) ** 2).mean()
    )
    assert losses[0] == 0 and losses[-1] < 1e-10
    assert instability.barrier(losses)[0] > 0.1


def test_convex_model_is_stable_from_the_start():
    """Linear regression by SGD: two noises, one basin."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 5)).astype(np.float32)
    y = x @ np.arange(5, dtype=np.float32) + rng.normal(size=256).astype(np.float32)

    def loss(params):
        return jnp.mean((x @ params["w"] - y) ** 2)

    def train(seed):
        w = np.zeros(5, np.float32)
        for i in np.random.default_rng(seed).integers(0, 256, (400, 16)):
            w = w - 0.02 * x[i].T @ (x[i] @ w - y[i]) / 16
        return {"w": jnp.asarray(w)}

    height, ends = instability.barrier(losses_between(train(1), train(2), loss))
    assert height / ends < 0.01


def test_steps_to_analyse_defaults_are_shares_of_the_training():
    assert stability.steps_to_analyse((), 2000) == (0, 10, 20, 40, 100, 200, 400)
    assert stability.steps_to_analyse((5, 0), 2000) == (0, 5)


def test_stability_step_beyond_training_raises_user_error(tmp_path):
    config = options()
    config.stability.steps = (0, 8)
    with pytest.raises(UserError, match="stability.steps=8.*below the 8"):
        procedures.run(config, tmp_path / "run")
