"""find_ticket on models of every kind, and the optimizer that obeys a mask."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pages
import pytest
from flax import nnx
from flax.core import FrozenDict

import gen_tickets as gt
from gen_tickets import imp
from gen_tickets.errors import UserError

RNG = np.random.default_rng(0)
BATCHES = {"x": RNG.normal(size=(6, 8, 4)).astype(np.float32)}
BATCHES["y"] = np.sin(BATCHES["x"][..., :1])
KERNEL_WEIGHTS = 4 * 5 + 5 * 1  # of every MLP here


def search(loss, params, **options):
    """Two rounds of half the weights; checks what holds of every tree."""
    given = {"rounds": 2, "fraction": 0.5, "rewind": 1, "epochs": 3, **options}
    ticket, rounds = gt.find_ticket(loss, params, BATCHES, optax.adam(0.02), **given)
    for tree in (ticket.masks, ticket.params):
        assert jax.tree.structure(tree) == jax.tree.structure(params)
    kept = round(KERNEL_WEIGHTS * 0.5 ** ticket.provenance["round"])
    counts = gt.masks.layer_counts(ticket.masks).values()
    assert (sum(n for n, _ in counts), sum(n for _, n in counts)) == (25, kept)
    for mask, x in zip(*map(jax.tree.leaves, (ticket.masks, ticket.params))):
        assert mask.shape == x.shape and not np.any(np.where(mask, 0, x))
    assert [one.sparsity for one in rounds] == pytest.approx([0, 13 / 25, 19 / 25])
    return ticket, rounds


def test_find_ticket_of_linen():
    model = nn.Sequential([nn.Dense(5), nn.tanh, nn.Dense(1)])
    params = model.init(jax.random.key(0), BATCHES["x"][0])["params"]

    def loss(params, batch):
        error = model.apply({"params": params}, batch["x"]) - batch["y"]
        return jnp.square(error).mean()

    ticket, _ = search(loss, FrozenDict(params))
    assert isinstance(ticket.params, FrozenDict)


def test_find_ticket_of_nnx():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(4, 5, rngs=rngs)])
            self.last = nnx.Linear(5, 1, rngs=rngs)

        def __call__(self, x):
            return self.last(jnp.tanh(self.layers[0](x)))

    graph, params = nnx.split(Model(nnx.Rngs(0)))

    def loss(params, batch):
        error = nnx.merge(graph, params)(batch["x"]) - batch["y"]
        return jnp.square(error).mean()

    ticket, _ = search(loss, params)
    assert nnx.merge(graph, ticket.params)(BATCHES["x"][0]).shape == (8, 1)


def test_find_ticket_of_equinox():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(4, 1, 5, 1, activation=jnp.tanh, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)

    def loss(params, batch):
        outputs = jax.vmap(eqx.combine(params, static))(batch["x"])
        return jnp.square(outputs - batch["y"]).mean()

    ticket, _ = search(loss, params)
    assert eqx.combine(ticket.params, static)(BATCHES["x"][0, 0]).shape == (1,)


def test_find_ticket_of_haiku(tmp_path):
    hk = pytest.importorskip("haiku")
    model = hk.without_apply_rng(
        hk.transform(lambda x: hk.nets.MLP([5, 1], activation=jnp.tanh)(x))
    )
    params = model.init(jax.random.key(0), BATCHES["x"][0])

    def loss(params, batch):
        return jnp.square(model.apply(params, batch["x"]) - batch["y"]).mean()

    ticket, _ = search(loss, params)
    gt.tickets.save(tmp_path / "ticket.npz", ticket)
    loaded = gt.tickets.load(tmp_path / "ticket.npz")
    assert "mlp/~/linear_0" in loaded.params
    jax.tree.map(np.testing.assert_array_equal, loaded.params, ticket.params)


def list_loss(params, batch):
    (a, b), (c, d) = params
    outputs = jnp.tanh(batch["x"] @ a + b) @ c + d
    return jnp.square(outputs - batch["y"]).mean()


def draw_list():
    shapes = [((4, 5), (5,)), ((5, 1), (1,))]
    return [
        tuple(jnp.asarray(RNG.normal(size=shape), jnp.float32) for shape in pair)
        for pair in shapes
    ]


def test_find_ticket_of_a_plain_list():
    ticket, rounds = search(list_loss, draw_list(), rewind="auto")
    assert 0 <= ticket.provenance["step"] <= 4
    winners = [
        one.number
        for one in rounds[1:]
        if one.winning <= rounds[0].winning and one.winning < one.random
    ]
    assert ticket.provenance["round"] == max(winners, default=0)


def test_readme_block_of_an_own_model_finds_a_ticket():
    given = {"loss": list_loss, "params": draw_list(), "batches": BATCHES}
    names = {"gt": gt, "optax": optax, **given}
    exec(pages.blocks(pages.ROOT / "README.md", "python")[1], names)
    assert gt.masks.sparsity(names["ticket"].masks) in [
        x.sparsity for x in names["rounds"]
    ]


def test_find_ticket_trains_prunes_and_rewinds_as_numpy_does():
    """Linear regression by gradient descent, redone in float64."""
    x, y = BATCHES["x"].astype(float), BATCHES["y"].astype(float)
    start = RNG.normal(size=(4, 1))

    def loss(params, batch):
        return jnp.square(batch["x"] @ params["w"] - batch["y"]).mean()

    _, rounds = gt.find_ticket(
        loss,
        {"w": jnp.asarray(start, jnp.float32)},
        BATCHES,
        optax.sgd(0.1),
        rounds=2,
        fraction=0.4,
        rewind=2,
    )
    keys = jax.random.split(jax.random.key(0), 3)
    order = np.asarray(imp._order(6, 1, keys[0]))

    def train(w, mask, first=0, last=6):
        for i in order[first:last]:
            gradient = 2 * x[i].T @ (x[i] @ w - y[i]) / 8
            w = mask * (w - 0.1 * gradient)
        return w

    mask = np.ones((4, 1))
    late, w = train(start, mask, 0, 2), train(start, mask)
    for one, kept in zip(rounds, (4, 2, 1)):
        if one.number:
            mask = mask * 0
            mask[np.argsort(-abs(w[:, 0]))[:kept]] = 1
            w = train(mask * late, mask, 2)
        assert one.winning == pytest.approx(np.square(x @ w - y).mean(), rel=1e-4)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"fraction": 20}, "fraction=20: is the share of weights"),
        ({"rewind": 18}, "rewind=18: 0 to 17 steps allowed"),
        ({"rewind": "Auto"}, "rewind='Auto': a step or 'auto' allowed"),
        ({"rounds": 0}, "rounds=0, epochs=3: 1 or more"),
        ({"names": ["0/2"]}, "names='0/2': the tree has 0/0, 0/1, 1/0, 1/1"),
    ],
)
def test_find_ticket_of_wrong_arguments_says_what_is_allowed(options, expected):
    with pytest.raises(UserError, match=expected):
        search(list_loss, draw_list(), **options)


def test_find_ticket_of_arrays_of_different_lengths_is_refused():
    short = {**BATCHES, "y": BATCHES["y"][:5]}
    with pytest.raises(UserError, match=r"its arrays have \[5, 6\] batches"):
        gt.find_ticket(list_loss, draw_list(), short, optax.sgd(0.1))


@pytest.mark.parametrize(
    "name, shapes, expected",
    [
        ("heldout", {"x": (2, 8, 4), "y": (3, 8, 1)}, r"heldout: .* have \[2, 3\]"),
        ("batches", {"x": (0, 8, 4), "y": (0, 8, 1)}, r"batches: .* have \[0\]"),
        ("batches", {"x": (6, 8, 4), "y": ()}, r"batches: .* have \[0, 6\]"),
    ],
)
def test_find_ticket_of_batches_that_are_none_is_refused(name, shapes, expected):
    given = {"batches": BATCHES, name: {x: np.zeros(y) for x, y in shapes.items()}}
    with pytest.raises(UserError, match=expected):
        gt.find_ticket(list_loss, draw_list(), optimizer=optax.sgd(0.1), **given)


def test_find_ticket_of_a_loss_that_ends_at_zero_is_stable_from_the_start():
    """Without targets, zero weights are the optimum: every loss is 0."""

    def loss(params, batch):
        return jnp.square(batch["x"] @ params["kernel"]).mean()

    start = {"kernel": jnp.zeros((4, 1))}
    ticket, rounds = gt.find_ticket(loss, start, BATCHES, optax.sgd(0.1), rounds=1)
    assert ticket.provenance["step"] == 0
    assert [one.winning for one in rounds] == [0, 0]


def test_find_ticket_of_a_diverged_training_is_refused():
    bad = jax.tree.map(lambda x: x * jnp.nan, draw_list())
    with pytest.raises(UserError, match="the training of round 0 diverged"):
        search(list_loss, bad)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_wrap_optax_updates_kept_weights_only(name):
    """Its survivors are those of the optimizer on the masked gradients."""
    params = draw_list()
    masks = jax.tree.map(lambda x: jnp.asarray(RNG.random(x.shape) > 0.5), params)
    plain = getattr(optax, name)(0.1)
    wrapped = gt.wrap_optax(plain, masks)
    expected = gt.rewind(masks, params)
    states, batch = [plain.init(params)] * 2, jax.tree.map(lambda x: x[0], BATCHES)
    for _ in range(3):
        grads = jax.grad(list_loss)(params, batch)
        updates, states[0] = wrapped.update(grads, states[0], params)
        masked = gt.masks.apply(masks, grads)
        other, states[1] = plain.update(masked, states[1], expected)
        params = optax.apply_updates(params, updates)
        expected = gt.masks.apply(masks, optax.apply_updates(expected, other))
        for a, b in zip(*map(jax.tree.leaves, (params, expected))):
            np.testing.assert_allclose(a, b, rtol=1e-6)
            np.testing.assert_array_equal(a == 0, b == 0)
    with pytest.raises(UserError, match=r"call update\(grads, state, params\)"):
        wrapped.update(grads, states[0])
