"""python -m gen_tickets.export: samples, reconstructions and weights of members."""

import jax
import numpy as np
import pages
import pytest
import untrained
from PIL import Image
from test_early_bird import configure as configure_early_bird

import gen_tickets as gt
from gen_tickets import export, procedures, tasks
from gen_tickets.data import dataset
from gen_tickets.errors import UserError
from gen_tickets.evaluation import metrics
from gen_tickets.experiments import quickstart
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import render
from gen_tickets.training import loop
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import lock, paths, tables, tickets

pytestmark = pytest.mark.usefixtures("library_convolutions")

COUNT = 40


def quiet(patch):
    patch.setattr(render, "draw", lambda workdir: workdir)
    patch.setattr(events_lib, "_event_file", lambda folder: None)


def configure():
    config = quickstart.get_config("smoke")
    config.update_from_flattened_dict(
        {
            "runs": 2,
            "prune.rounds": 1,
            "train.steps": 4,
            "rewind.step": 1,
            "eval.every_steps": 4,
            "eval.num_shown": 2,
            "eval.metrics": ("fd_classifier",),
            "eval.num_samples": COUNT,
            "data.limit": 48,
            "data.batch_size": 16,
            "data.image_size": 8,
            "task.name": "vae",
            "model.name": "convstack",
            "model.widths": (4, 4),
            "model.latent_size": 2,
        }
    )
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir, and the samples of every member that its metrics saw, in order."""
    folder, seen = tmp_path_factory.mktemp("export") / "run", []
    pixels = untrained.Pixels()

    def extract(images):
        seen.append(np.asarray(images))
        return pixels.extract(images)

    with pytest.MonkeyPatch.context() as patch:
        quiet(patch)
        patch.setenv("GEN_TICKETS_CACHE", str(folder.parent / "cache"))
        extractor = pixels.extractor._replace(extract=extract)
        patch.setattr(metrics, "_extractor", lambda *_: extractor)
        procedures.run(configure(), folder)
    return folder, seen[-4:]  # round 1: two arms of two runs


def run(capsys, *words):
    """-> (exit status, stdout, stderr)."""
    status = export.main(list(map(str, words)))
    return status, *capsys.readouterr()


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setattr(export.command_line, "use_compilation_cache", lambda: None)


def test_readme_block_of_a_run_loads_its_network(finished, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/quickstart").symlink_to(finished[0])
    monkeypatch.chdir(tmp_path)
    names = {"images": np.zeros((2, 8, 8, 1), np.float32)}
    exec(pages.blocks(pages.ROOT / "README.md", "python")[0], names)
    assert len(names["codes"]) == 2 and names["won"].verdict.gates


@pytest.mark.parametrize("i, arm, index", [(0, "winning", 1), (1, "random", 0)])
def test_export_samples_equal_those_the_metrics_saw(
    finished, tmp_path, capsys, i, arm, index
):
    folder, seen = finished
    output = tmp_path / "samples.npz"
    words = (folder, output, f"--num={COUNT}", f"--arm={arm}", f"--run={index}")
    status, said, _ = run(capsys, *words)
    assert status == 0
    assert f"40 samples, 8x8x1, of round 1, arm {arm}, run {index}" in said
    with np.load(output) as arrays:
        images = arrays["images"]
    assert images.dtype == np.uint8 and images.shape == (COUNT, 8, 8, 1)
    np.testing.assert_array_equal(images, seen[2 * i + index])
    assert len({member.tobytes() for member in seen}) == 4


def test_export_to_folder_has_same_images_and_other_seed_differs(
    finished, tmp_path, capsys
):
    folder, seen = finished
    status, *_ = run(capsys, folder, tmp_path / "png", f"--num={COUNT}")
    assert status == 0
    files = sorted((tmp_path / "png").iterdir())
    assert [file.name for file in files][:2] == ["00.png", "01.png"]
    images = [np.asarray(Image.open(file))[..., None] for file in files]
    np.testing.assert_array_equal(images, seen[0])
    status, *_ = run(capsys, folder, tmp_path / "b.npz", f"--num={COUNT}", "--seed=7")
    assert status == 0
    assert (np.load(tmp_path / "b.npz")["images"] != seen[0]).any()


def test_loaded_networks_have_the_losses_of_their_rows(finished):
    folder, _ = finished
    config, members = configure(), [(0, "dense"), (1, "random")]
    prepared, data = procedures.prepare(config, dataset.load(config))
    found = [gt.load(folder, *member, run) for member in members for run in (0, 1)]
    state = jax.tree.map(lambda *x: np.stack(x), *[one.state for one in found])
    keys = jax.numpy.tile(prepared.dense.evaluation_keys(), 2)
    evaluate = loop.make_loop(found[0].task).evaluate
    losses = evaluate(state, *data.heldout, keys)
    rows = tables.read_rows(paths.results_path(folder))
    for i, one in enumerate(found):
        about = one.provenance
        (row,) = (
            row
            for row in rows
            if all(row[x] == about[x] for x in ("round", "arm", "run"))
        )
        assert about["sparsity"] == row["sparsity"]
        for name, values in losses.items():
            expected = pytest.approx(row[f"heldout_{name}"], rel=1e-6, abs=1e-6)
            assert float(values[i]) == expected


def test_load_while_another_process_trains_needs_no_lock(finished, tmp_path):
    folder, _ = finished
    held, before = lock.lock(folder), sorted(folder.rglob("*"))
    found = gt.load(folder)
    held.release()
    assert sorted(folder.rglob("*")) == before
    assert found.title == "round 1, arm winning, run 0"
    assert found.config == configure() and found.verdict.sparsity is None
    x = np.zeros((3, 2), np.float32)
    module, variables = found.modules["decoder"], found.variables["decoder"]
    expected = module.apply(variables, x, False)
    np.testing.assert_array_equal(found.apply("decoder", x), expected)
    for mask, w in zip(*map(jax.tree.leaves, (found.masks, found.params))):
        assert not np.any(np.where(mask, 0, w))


def test_load_exported_file_equals_load_of_workdir(finished, tmp_path, capsys):
    folder, _ = finished
    output = tmp_path / "dense.npz"
    assert run(capsys, folder, output, "--format=npz", "--round=0", "--run=1")[0] == 0
    found, expected = gt.load(output), gt.load(folder, round=0, run=1)
    assert found.title == "round 0, arm dense, run 1" and found.verdict is None
    assert found.config == expected.config
    for a, b in zip(found[1:4], expected[1:4]):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    ticket = paths.ticket_path(folder, 1, 0)
    with pytest.raises(UserError, match="is no trained network"):
        gt.load(ticket)


def test_safetensors_have_the_weights_by_name(finished, tmp_path, capsys):
    numpy = pytest.importorskip("safetensors.numpy")
    folder, _ = finished
    output = tmp_path / "w.safetensors"
    assert run(capsys, folder, output, "--format=safetensors")[0] == 0
    found, expected = numpy.load_file(output), gt.load(folder)
    for part in ("params", "masks", "stats"):
        for name, x in gt.trees.named_leaves(getattr(expected, part)).items():
            np.testing.assert_array_equal(found[f"{part}/{name}"], x)


def test_export_weights_reconstruct_as_exported_reconstructions(
    finished, tmp_path, capsys
):
    folder, _ = finished
    words = ("--what=weights", "--arm=winning", "--run=1")
    assert run(capsys, folder, tmp_path / "trained.npz", *words)[0] == 0
    trained = tickets.load(tmp_path / "trained.npz")
    start = tickets.load(paths.ticket_path(folder, 1, 1))
    jax.tree.map(np.testing.assert_array_equal, trained.masks, start.masks)
    weights = [jax.tree.leaves(ticket.params) for ticket in (trained, start)]
    assert any((a != b).any() for a, b in zip(*weights))  # trained on
    assert trained.provenance["sparsity"] == masks_lib.sparsity(start.masks)
    assert (trained.provenance["step"], trained.provenance["round"]) == (4, 1)
    output = tmp_path / "reconstructions.npz"
    words = ("--what=reconstructions", "--num=10", "--run=1")
    assert run(capsys, folder, output, *words)[0] == 0
    config = configure()
    held_out = dataset.load(config).heldout.images[:10]
    task = tasks.build(config, (8, 8, 1), 4)
    state = jax.jit(task.init)(jax.random.key(0))
    state = state._replace(params=trained.params, stats=trained.stats)
    expected = np.asarray(jax.jit(task.reconstruct)(state, held_out)).astype(int)
    found = np.load(output)["images"]
    assert found.shape == (10, 8, 8, 1)
    assert np.abs(found - expected).max() <= 1  # the two programs are fused differently


@pytest.mark.slow
def test_export_early_bird_run_has_small_network(tmp_path, capsys, monkeypatch):
    quiet(monkeypatch)
    config, folder = configure_early_bird(runs=1), tmp_path / "run"
    procedures.run(config, folder)
    assert run(capsys, folder, tmp_path / "s.npz", "--num=20")[0] == 0
    assert run(capsys, folder, tmp_path / "w.npz", "--what=weights")[0] == 0
    trained = tickets.load(tmp_path / "w.npz")
    start = tickets.load(paths.ticket_path(folder, 1, 0))
    assert trained.channels == start.channels != {}
    assert trained.provenance["sparsity"] == start.provenance["sparsity"] > 0
    task = tasks.build(config, (8, 8, 1), 22, trained.channels)
    state = jax.jit(task.init)(jax.random.key(0))
    state = state._replace(params=trained.params, stats=trained.stats)
    images = metrics.draw_samples(
        lambda latents: task.sample(state, latents), 20, 16, 2, config.seed
    )
    found = np.load(tmp_path / "s.npz")["images"]
    assert np.abs(found.astype(int) - images).max() <= 1


def test_export_mistakes_print_one_line_and_write_nothing(finished, tmp_path, capsys):
    folder, _ = finished
    there = tmp_path / "there.npz"
    there.write_bytes(b"mine")
    for words, expected in (
        ((folder, there), "is there already"),
        ((folder, tmp_path / "x", "--what=weights"), "a name that ends in .npz"),
        ((folder, tmp_path / "x.npy"), "is no name for --what=samples; give the name"),
        (
            (folder, tmp_path / "x.pt", "--format=torch"),
            "name of a new folder, without",
        ),
        (
            (folder, tmp_path / "x.npz", "--format=npz", "--what=samples"),
            "--format=npz: is of weights, not of samples",
        ),
        ((folder, tmp_path / "x.npz", "--num=0"), "--num=0: 1 or more"),
        ((folder, tmp_path / "x.npz", "--arm=dense"), "arms random, winning and runs"),
        ((folder, tmp_path / "x.npz", "--run=2"), "runs 0, 1 in that round; give one"),
        ((folder, tmp_path / "x.npz", "--round=2"), "keeps rounds 0, 1; give one"),
        ((folder, tmp_path / "x.npz", "--round=2"), "gen_tickets: round=2, run=0: "),
        (
            (folder, tmp_path / "x.npz", "--what=reconstructions", "--num=17"),
            "there are 16 held-out",
        ),
        ((tmp_path / "no", tmp_path / "x.npz"), "holds no trained networks"),
        ((folder,), "--help lists all"),
    ):
        status, _, said = run(capsys, *words)
        assert status == 2 and expected in said and said.count("\n") == 1, said
    assert there.read_bytes() == b"mine" and not (tmp_path / "x.npz").exists()
    assert not (tmp_path / "no").exists()


def test_export_extensions_file_is_run_first(finished, tmp_path, capsys):
    """The model of a workdir may be registered by such a file only."""
    words = (finished[0], tmp_path / "x.npz", "--num=1")
    loaded, broken = tmp_path / "own.py", tmp_path / "broken.py"
    loaded.write_text("import pathlib\npathlib.Path(__file__ + '.ran').touch()\n")
    assert run(capsys, *words, f"--extensions={loaded}")[0] == 0
    assert (tmp_path / "own.py.ran").exists()
    broken.write_text("def\n")
    for path in (broken, tmp_path / "none.py"):
        status, _, said = run(capsys, *words, f"--extensions={path}")
        assert status == 2 and said.startswith("gen_tickets: ")
        assert str(path) in said and said.count("\n") == 1
