"""The public library on models from outside the package, against NumPy."""

import ast
import importlib
import pathlib
import re
import runpy
import subprocess
import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

import gen_tickets as gt
from gen_tickets.errors import UserError

ROOT = pathlib.Path(__file__).parent.parent
KEY = jax.random.key(0)
NAMES = ("0/w", "1/w", "2/w")
SIZES = (5, 7, 6, 3)


def draw(seed, kernel="w", bias="b"):
    """A plain pytree: a list of layers, no component, no "kernel"."""
    rng = np.random.default_rng(seed)
    return [
        {
            kernel: rng.normal(size=(a, b)).astype(np.float32),
            bias: rng.normal(size=b).astype(np.float32),
        }
        for a, b in zip(SIZES, SIZES[1:])
    ]


def loss(params, stats, batch, key):
    del stats, key
    x = batch["x"]
    for layer in params[:-1]:
        kernel, bias = (layer[name] for name in sorted(layer, reverse=True))
        x = jnp.tanh(x @ kernel + bias)
    kernel, bias = (params[-1][name] for name in sorted(params[-1], reverse=True))
    return jnp.square(x @ kernel + bias - batch["y"]).mean()


def batches(count=3, size=4):
    rng = np.random.default_rng(9)
    return {
        "x": jnp.asarray(rng.normal(size=(count, size, SIZES[0])), jnp.float32),
        "y": jnp.asarray(rng.normal(size=(count, size, SIZES[-1])), jnp.float32),
    }


TASK = types.SimpleNamespace(loss=loss)


def test_import_of_package_loads_no_heavy_library():
    program = (
        "import sys, gen_tickets as gt\n"
        "heavy = {'jax', 'flax', 'numpy', 'optax'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert sorted(gt.__all__) == dir(gt)\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "gt.distances\n"
        "assert heavy & set(sys.modules) == {'numpy'}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_public_names_equal_those_of_type_checking_block():
    tree = ast.parse(pathlib.Path(gt.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {}
    for node in block.body:
        for alias in node.names:
            module = importlib.import_module(node.module)
            home = f"{node.module}.{alias.name}"
            told[alias.name] = (
                getattr(module, alias.name)
                if callable(getattr(module, alias.name, None))
                else importlib.import_module(home)
            )
    assert set(told) | {"__version__"} == set(gt.__all__)
    for name, value in told.items():
        assert getattr(gt, name) is value
    assert gt.select is gt.masks.select and gt.rewind is gt.masks.rewind
    with pytest.raises(AttributeError, match="no attribute 'prune'"):
        gt.prune


@pytest.mark.parametrize("num_keep", [0, 3, 11, 50, 95])
def test_select_plain_pytree_keeps_largest_of_named_leaves(num_keep):
    params = draw(num_keep)
    masks = gt.masks.dense(params)
    found, floored = gt.select(gt.saliency.magnitude(params), masks, NAMES, [num_keep])
    flat = np.concatenate([np.abs(layer["w"]).ravel() for layer in params])
    floor = np.concatenate(
        [np.abs(x["w"]).ravel() == np.abs(x["w"]).max() for x in params]
    )
    # The best of each layer first, then the largest of all.
    order = np.lexsort((-flat, ~floor))
    expected = np.zeros(flat.size, bool)
    expected[order[: max(num_keep, 3)]] = True
    kept = np.concatenate([np.asarray(layer["w"]).ravel() for layer in found])
    np.testing.assert_array_equal(kept, expected)
    assert all(np.asarray(layer["b"]).all() for layer in found)
    largest = np.argsort(-flat)[:num_keep]
    ends = np.cumsum([layer["w"].size for layer in params])
    assert int(floored) == 3 - len(set(np.searchsorted(ends, largest, side="right")))

    share = max(num_keep, 3) / flat.size
    assert gt.masks.sparsity(found, NAMES) == pytest.approx(1 - share)
    counts = gt.masks.layer_counts(found, NAMES[:2])
    assert counts == {
        name: (layer["w"].size, int(np.sum(layer["w"])))
        for name, layer in zip(NAMES[:2], found)
    }
    start = gt.rewind(found, params)
    for layer, mask, x in zip(start, found, params):
        np.testing.assert_array_equal(layer["w"], np.where(mask["w"], x["w"], 0))
        np.testing.assert_array_equal(layer["b"], x["b"])


def test_library_missing_names_raise_user_error():
    params = draw(0)
    masks = gt.masks.dense(params)
    assert gt.masks.prunable_names(params) == NAMES
    vectors = [{"scale": jnp.ones(3)}]
    for call in (gt.masks.sparsity, gt.masks.layer_counts, gt.masks.prunable_names):
        with pytest.raises(UserError, match="none of 0/scale is called kernel or has"):
            call(vectors)
    names = ("0/w", "3/w")
    for call in (
        lambda: gt.masks.sparsity(masks, names),
        lambda: gt.select(params, masks, names, [3]),
        lambda: gt.saliency.grasp(params, TASK, {}, batches(), KEY, names),
    ):
        with pytest.raises(UserError, match="names='3/w': the tree has 0/b, 0/w"):
            call()


def test_prunable_names_of_tree_without_component_are_its_kernels():
    params = {"layers_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    assert gt.masks.prunable_names(params) == ("layers_0/kernel",)
    masks = {"layers_0": {"kernel": jnp.eye(2, 3) > 0, "bias": jnp.ones(3, bool)}}
    assert gt.masks.sparsity(masks) == pytest.approx(4 / 6)


def test_snip_custom_loss_equals_weight_times_mean_gradient():
    params, data = draw(1), batches()
    found = jax.jit(lambda x: gt.saliency.snip(x, TASK, {}, data, KEY))(params)

    def mean_loss(params):
        parts = [
            loss(params, {}, jax.tree.map(lambda x: x[i], data), KEY) for i in range(3)
        ]
        return sum(parts) / 3

    g = jax.jit(jax.grad(mean_loss))(params)
    for name, score in gt.trees.named_leaves(found).items():
        expected = abs(gt.trees.named_leaves(params)[name]) * abs(
            gt.trees.named_leaves(g)[name]
        )
        np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-6)


def test_grasp_named_leaves_equals_kernels_of_same_weights():
    def grasp(params, names):
        return gt.saliency.grasp(params, TASK, {}, batches(), KEY, names)

    found = jax.jit(lambda x: grasp(x, NAMES))(draw(2))
    same = jax.jit(lambda x: grasp(x, None))(draw(2, "kernel", "bias"))
    for layer, other in zip(found, same):
        np.testing.assert_allclose(layer["w"], other["kernel"], rtol=1e-5, atol=1e-7)


def test_random_saliency_requires_a_key():
    params = draw(3)
    found = gt.saliency.random(params, key=KEY)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    with pytest.raises(TypeError, match="key"):
        gt.saliency.random(params)


def test_ticket_of_plain_pytree_save_and_load_is_equal(tmp_path):
    params = draw(4)
    masks = jax.tree.map(lambda x: np.abs(x) > 0.5, params)
    ticket = gt.tickets.Ticket(masks, gt.rewind(masks, params))
    gt.tickets.save(tmp_path / "ticket.npz", ticket)
    loaded = gt.tickets.load(tmp_path / "ticket.npz")
    assert loaded.stats == {} == loaded.provenance == loaded.channels
    for found, expected in zip(loaded[:2], ticket[:2]):
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    half = ticket._replace(params=jax.tree.map(jnp.bfloat16, ticket.params))
    with pytest.raises(UserError, match="0/b: is bfloat16; .* float32"):
        gt.tickets.save(tmp_path / "half.npz", half)
    assert not (tmp_path / "half.npz").exists()


def test_compact_custom_model_keeps_its_outputs():
    model = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(6), nn.relu, nn.Dense(2)])
    layers, sizes = ("layers_0", "layers_2", "layers_4"), (8, 6)
    x = np.random.default_rng(5).normal(size=(10, 4)).astype(np.float32)
    params = model.init(KEY, x)["params"]
    masks = jax.tree.map(lambda x: np.abs(x) >= 0.0, params)
    masks["layers_2"]["kernel"][[1, 4]] = False  # the uses of two channels
    masks["layers_4"]["kernel"][3] = False
    params = gt.rewind(masks, params)
    groups = {"mlp": gt.groups.chain(layers, sizes, norms={})}
    kept = gt.channels.used(groups, {"mlp": masks}, {"mlp": {}})
    assert gt.compact.sizes(groups, kept) == {"mlp": (6, 5)}
    small = gt.compact.cut(groups, kept, {"mlp": params})["mlp"]
    out, (last, *_) = x, layers[::-1]
    for layer in layers:
        out = out @ small[layer]["kernel"] + small[layer]["bias"]
        out = out if layer == last else np.maximum(out, 0)
    shapes = [small[layer]["kernel"].shape for layer in layers]
    assert shapes == [(4, 6), (6, 5), (5, 2)]
    np.testing.assert_allclose(out, model.apply({"params": params}, x), atol=1e-6)
    kept["mlp"]["layers_0"] = np.zeros(8, bool)
    with pytest.raises(ValueError, match="mlp: channels left"):
        gt.compact.cut(groups, kept, {"mlp": params})


@pytest.mark.parametrize(
    "tree",
    [
        {"a/b": {"c": 1.0}, "a": {"b": {"c": 2.0}}},
        ([1.0, (2.0,)], {"x": FrozenDict({"y": [3.0]})}),
        {0: 1.0, 1: {"k": 2.0}},
    ],
    ids=["slashes", "containers", "numbers"],
)
def test_ticket_save_and_load_restores_structure_of_model(tree, tmp_path):
    params = jax.tree.map(lambda x: np.full(3, x, np.float32), tree)
    masks = jax.tree.map(lambda x: np.array([True, False, True]), params)
    ticket = gt.tickets.Ticket(masks, gt.rewind(masks, params))
    gt.tickets.save(tmp_path / "ticket.npz", ticket)
    loaded = gt.tickets.load(tmp_path / "ticket.npz", like=params)
    jax.tree.map(np.testing.assert_array_equal, loaded[:2], ticket[:2])
    other = jax.tree.map(lambda x: x[:2], params)
    with pytest.raises(UserError, match=r"is \(3,\) there, \(2,\) here"):
        gt.tickets.load(tmp_path / "ticket.npz", like=other)


def test_masks_of_another_structure_are_not_saved(tmp_path):
    params, path = draw(4), tmp_path / "ticket.npz"
    with pytest.raises(UserError, match="masks: are not of the structure of params"):
        gt.tickets.save(path, gt.tickets.Ticket(gt.masks.dense(params[:2]), params))
    assert not path.exists()


def test_example_script_finds_a_winning_ticket(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = ROOT / "examples" / "prune_own_model.py"
    names = runpy.run_path(str(example), run_name="__main__")
    said = capsys.readouterr().out
    ticket = gt.tickets.load("runs/own_model/ticket.npz")
    number, total = ticket.provenance["round"], 64 * 64 + 64 * 32 + 32 * 10
    kernels = [x for x in jax.tree.leaves(ticket.masks) if x.ndim == 2]
    assert sum(x.sum() for x in kernels) == round(total * 0.64**number)
    assert f"round {number} is the sparsest winning ticket" in said
    rows = re.findall(r"^ +([\d.]+) +([\d.]+) +(\S+)$", said, re.M)
    sparsity, winning, random = map(float, rows[number])
    assert number > 0 and winning < random and winning <= float(rows[0][1])
    assert sparsity == pytest.approx(gt.masks.sparsity(ticket.masks), abs=1e-4)
    own = float(re.search(r"a loop of one's own: (\S+)", said)[1])
    assert own < np.log(10) / 2 and names["LABELS"].size == 1797
