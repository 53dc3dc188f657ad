"""The notebooks: their form in git, and their results when executed."""

import base64
import configparser
import io
import os
import pathlib
import re
import sys

import jax
import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image

from gen_tickets.pruning import masks
from gen_tickets.report import outcomes, statistics
from gen_tickets.workdir import paths, searches, tickets

ROOT = pathlib.Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in PATHS]

# Last cell of an executed notebook: only the experiment may hold an accelerator.
KERNEL_HOLDS_NO_DEVICE = """
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""


def read(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code(notebook):
    """(the cell that installs, all others)"""
    first, *own = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return first, own


def own_lines(notebook):
    lines = [x.strip() for cell in code(notebook)[1] for x in cell.source.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def repository():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup["metadata"]["url"]


def test_notebooks_folder_has_expected_files():
    assert [name[:3] for name in NAMES] == ["01_", "02_", "03_", "04_"]


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_short_and_without_outputs(name):
    notebook = read(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert 10 < len(own_lines(notebook)) <= 35
    assert max(len(line) for line in own_lines(notebook)) <= 92
    # Prose precedes every code cell, except the one of the parameter.
    kinds = [x.cell_type for x in notebook.cells if not x.metadata.get("tags")]
    assert kinds[0] == "markdown"
    assert ("code", "code") not in zip(kinds, kinds[1:])


@pytest.mark.parametrize("name", NAMES)
def test_notebook_names_no_device(name):
    words = re.findall(r"[a-z]+", "\n".join(own_lines(read(name))).lower())
    assert not {"cpu", "gpu", "tpu", "cuda", "device", "devices"} & set(words)


def test_notebooks_install_from_the_same_repository():
    installs = {code(read(name))[0].source for name in NAMES}
    assert len(installs) == 1
    assert f'REPOSITORY = "{repository()}"' in installs.pop()
    colab = repository().replace("https://github.com", "/github")
    for path in PATHS:
        link = (
            f"https://colab.research.google.com{colab}/blob/main/notebooks/{path.name}"
        )
        assert link in (ROOT / "README.md").read_text()
        assert link in read(path.stem).cells[0].source


def test_install_cell_keeps_installed_jax_version(monkeypatch, tmp_path):
    """Run with a pip that only records its arguments."""
    asked = []

    class Shell:
        def run_line_magic(self, *line):
            asked.append(line)

    install = TransformerManager().transform_cell(code(read(NAMES[0]))[0].source)
    scope = {"get_ipython": Shell}
    monkeypatch.chdir(tmp_path)
    exec(install, scope)
    assert asked == []  # gen_tickets is here
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(install, scope)
    ((magic, line),) = asked
    assert magic == "pip" and line.split()[0] == "install"
    assert line.endswith("--constraint runtime.txt git+{REPOSITORY}")
    kept = (tmp_path / "runtime.txt").read_text().splitlines()
    assert {f"jax=={jax.__version__}", f"jaxlib=={jax.lib.__version__}"} <= set(kept)


def execute(name, folder, parameter):
    """Runs a notebook, its one parameter "NAME = value" replaced, top to bottom.

    Returns:
      (text, pictures)
    """
    import nbclient

    notebook = read(name)
    (cell,) = [x for x in notebook.cells if "parameters" in x.metadata.get("tags", ())]
    assert cell.source.split(" = ")[0] == parameter.split(" = ")[0]
    cell.source = parameter
    notebook.cells.append(nbformat.v4.new_code_cell(KERNEL_HOLDS_NO_DEVICE))
    place = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=place).execute()
    outputs = [x for cell in code(notebook)[1] for x in cell.outputs]
    text = "".join(x.text for x in outputs if x.output_type == "stream")
    data = [x.data["image/png"] for x in outputs if "image/png" in x.get("data", {})]
    return text, [np.asarray(Image.open(io.BytesIO(base64.b64decode(x)))) for x in data]


@pytest.fixture
def optimized(monkeypatch):
    """For programs that run for longer than they compile."""
    monkeypatch.delenv("XLA_FLAGS")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where a notebook runs, with this package and this Python in its processes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", str(pathlib.Path(sys.executable).parent), os.pathsep)
    return tmp_path


def words(text):
    """Letters and digits alone: a notebook's shell is a terminal, with boxes in it."""
    return re.sub(r"\W+", "", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))


def means(run, number):
    """{arm: mean of the verdict's metric} in a round."""
    arms = statistics.summarize(run.rows, run.metric)
    return {arm: of[number].mean for arm, of in arms.items() if number in of}


@pytest.mark.notebooks
def test_notebook_find_a_ticket_output_equals_results(folder):
    size = (
        ":smoke --config.train.steps=80 --config.prune.rounds=3 --config.data.limit=512"
        ' --config.data.batch_size=32 --config.model.widths="(256, 128)"'
    )
    text, pictures = execute("01_find_a_ticket", folder, f"SIZE = {size!r}")
    run = outcomes.load(folder / "runs/find_a_ticket")
    assert words(run.judge().finding) in words(text)
    for row in run.rows:
        assert row["sparsity"] == pytest.approx(1 - 0.64 ** row["round"], abs=1e-4)
    last = means(run, 3)
    assert max(means(run, 0)["dense"], last["winning"]) < last["random"]
    ticket = tickets.load(paths.ticket_path(run.workdir, 3, run=0))
    told = re.findall(r"(\d+) of +(\d+) weights", text)
    counts = masks.layer_counts(ticket.masks).values()
    assert [(int(b), int(a)) for a, b in told] == list(counts)
    assert len(pictures) == 3 and all(picture.std() > 1 for picture in pictures)


@pytest.mark.notebooks
def test_notebook_transfer_and_early_bird_output_equals_results(folder):
    size = ':smoke --config.runs=1 --config.model.widths="(8,)"'
    text, pictures = execute("02_transfer_and_early_bird", folder, f"SIZE = {size!r}")
    vae, gan, bird = (
        outcomes.load(folder / "runs" / name)
        for name in ("vae_digits", "transfer_digits", "early_bird")
    )
    assert {row["arm"] for row in vae.rows} == {"dense", "winning"}
    pruned = [row for row in gan.rows if row["round"] > 0]
    assert {row["arm"] for row in pruned} == {"winning", "random", "transferred"}
    for row in pruned:
        assert row["sparsity_generator"] == pytest.approx(
            1 - 0.5 ** row["round"], abs=1e-3
        )
        assert row["sparsity_discriminator"] == 0
    for arm, of_rounds in statistics.summarize(gan.rows, gan.metric).items():
        for number, found in of_rounds.items():
            told = re.escape(statistics.mean_std(found))
            assert re.search(rf"{arm} +round {number} .* {told}", text)
    for row in bird.rows:
        drawn = searches.load(paths.search_path(bird.workdir, row["run"])).drawn
        near = [
            all(np.mean(drawn[i] != mask) < 0.1 for mask in drawn[i - 5 : i])
            for i in range(5, len(drawn))
        ]
        found = near.index(True) + 6 if True in near else "nan"
        share = row["flops_compact"] / row["flops_dense"]
        assert 0 < row["remaining"] < 0.7 and row["remaining"] < share < 1
        assert (
            f"run {row['run']}: found at epoch {found}, {row['remaining']:.1%}" in text
        )
        assert f"{share:.1%} of the dense FLOPs" in text
    assert len(pictures) == 3 and all(picture.std() > 1 for picture in pictures)


@pytest.mark.notebooks
def test_notebook_read_results_output_equals_results(folder, optimized):
    quick = "--config.data.limit=800 --config.train.epochs=5"
    quick += " --config.prune.rounds=4 --config.prune.fraction=0.5"
    text, pictures = execute("03_read_results_and_plot", folder, f"QUICK = {quick!r}")
    for scope in ("global", "layer"):
        run = outcomes.load(folder / f"runs/scope_{scope}")
        assert run.judge().sentence in text
        dense, last = (means(run, number) for number in (0, 4))
        assert dense["dense"] < last["winning"] < last["random"]
        of_layers = statistics.layer_sparsity(run.layers)
        halves = [of_layers[layer][3] for layer in of_layers]
        assert (np.ptp(halves) < 0.01) == (scope == "layer")
    assert re.search(r"winning +93.8 % +0\.\d+ ± ", text)
    assert "kept, others 0.0" in text and "'prune.scope': ['global', 'layer']" in text
    assert len(pictures) == 3 and all(picture.std() > 1 for picture in pictures)


@pytest.mark.slow  # a U-Net takes minutes to compile
def test_notebook_diffusion_output_equals_results(folder):
    quick = (
        "--config.train.steps=24 --config.data.limit=160 --config.model.widths='(8,)'"
    )
    quick += " --config.eval.every_steps=8 --config.eval.num_samples=32"
    quick += " --config.eval.classifier_epochs=1"
    name = "04_diffusion_and_sparse_training"
    text, pictures = execute(name, folder, f"QUICK = {quick!r}")
    tickets_, sparse = (
        outcomes.load(folder / "runs" / name)
        for name in ("ddpm_tickets", "ddpm_sparse")
    )
    assert {row["arm"] for row in tickets_.rows} == {"dense", "winning", "random"}
    assert {row["arm"] for row in sparse.rows} == {"dense", "rigl", "static"}
    for run in (tickets_, sparse):
        for row in run.rows:
            expected = (0, 0.5, 0.8)[row["round"]]
            assert row["sparsity"] == pytest.approx(expected, abs=1e-3)
        flops = statistics.summarize(run.rows, "flops_masked")
        for arm, of_rounds in statistics.summarize(run.rows, run.metric).items():
            for number, found in of_rounds.items():
                share = flops[arm][number].mean / flops["dense"][0].mean
                told = f"{share:.0%} FLOPs  {statistics.mean_std(found)}"
                assert re.search(rf"{arm} .* {re.escape(told)}", text)
    assert len(pictures) == 3 and all(picture.std() > 1 for picture in pictures)
