"""Whatever a file or a command line holds, the answer is a result or one clean line.

And nothing that was there is gone. Some cases of each kind: `python -m
benchmarks.fault_campaign --only=fuzz` tries thousands, with other seeds.
"""

import contextlib
import io
import json
import os
import shutil
import struct
import tracemalloc
import zipfile

import jax
import numpy as np
import pytest
from absl import flags
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from PIL import Image
from test_checkpoints import assert_is, fill, restore
from test_defaults import configure, put
from test_tickets import TICKET

from gen_tickets import main, procedures, tasks, trees
from gen_tickets.cli import command_line, experiment_file
from gen_tickets.config import defaults
from gen_tickets.config.options import OPTIONS
from gen_tickets.data import dataset
from gen_tickets.errors import UserError
from gen_tickets.report import outcomes
from gen_tickets.workdir import lock, paths, tickets

CASES = int(os.environ.get("GEN_TICKETS_FUZZ", 25))
fuzz = settings(
    max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck)
)

NUMBERS = st.one_of(
    st.integers(-3, 9),
    st.integers(),
    st.sampled_from([2**31, 2**63, 10**40, -1]),
    st.floats(),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=6),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x),
    max_leaves=6,
)


def one_line(error, *parts):
    message = str(error)
    assert message and len(message.splitlines()) == 1, message
    assert all(part in message for part in parts), message


def altered(data, content):
    """Bytes overwritten, put in or cut out."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.sampled_from([0, 1, 4, 100, 10_000]))
        content[start : start + cut] = data.draw(st.binary(max_size=12))
    return bytes(content)


# --- tickets ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def ticket(tmp_path_factory):
    """The path of an intact one."""
    path = tmp_path_factory.mktemp("ticket") / "ticket.npz"
    tickets.save(path, TICKET)
    return path


def read_ticket(path, content):
    """Loads a file; it must be refused, or be a ticket in every respect."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        found = tickets.load(path)
    except UserError as error:
        one_line(error, str(path), "not an intact ticket")
    else:
        weights = trees.named_leaves(found.params)
        for name, mask in trees.named_leaves(found.masks).items():
            assert mask.dtype == bool and weights[name].dtype == np.float32
            assert mask.shape == weights[name].shape
            assert not weights[name][~mask].any()
        for x in jax.tree.leaves(found.stats):
            assert x.dtype == np.float32
        assert isinstance(found.provenance, dict)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # One bit of the file may stand for a weight of 4 bytes; the rest is overhead.
    assert peak < 64 * len(content) + 2**20


@fuzz
@given(data=st.data())
def test_load_ticket_with_changed_bytes_is_refused_or_valid(ticket, data):
    """Bytes of a ticket overwritten, put in or cut out."""
    content = altered(data, ticket.read_bytes())
    read_ticket(ticket.with_name("damaged.npz"), content)


TICKET_LEAVES = trees.named_leaves(TICKET.params)
NAMES = st.text("ad/.~é", min_size=1, max_size=9)
DTYPES = ("<f4", "<f8", "<f2", "<i8", "|u1", "|b1", "<U3", "<c8", "|S0", "<M8[s]")
# Shapes that a header may claim, whatever the data are.
CLAIMS = st.lists(st.sampled_from([0, 1, 3, 15, 2**31, 2**40, 2**63]), max_size=3)


def npy(array, claim=None):
    """An array as .npy; its header may claim another shape."""
    out = io.BytesIO()
    fields = np.lib.format.header_data_from_array_1_0(array)
    if claim is not None:
        fields["shape"] = tuple(claim)
    np.lib.format.write_array_header_1_0(out, fields)
    return out.getvalue() + array.tobytes()


@fuzz
@given(data=st.data())
def test_load_intact_foreign_archive_is_refused_or_valid(ticket, data):
    """Arrays of other names, dtypes and shapes; headers that say what is not so."""
    with np.load(ticket) as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes())
    entries = {f"{name}.npy": npy(x) for name, x in arrays.items()}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(entries)) | NAMES)
        kind = data.draw(st.sampled_from(["array", "claim", "gone", "header"]))
        if kind == "array":
            shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
            dtype = data.draw(st.sampled_from(DTYPES))
            claim = data.draw(st.none() | CLAIMS)
            entries[name] = npy(np.zeros(shape, dtype), claim)
        if kind == "claim" and name[:-4] in arrays:
            entries[name] = npy(arrays[name[:-4]], data.draw(CLAIMS))
        if kind == "gone":
            entries.pop(name, None)
        if kind == "header":
            place = header
            key = data.draw(st.sampled_from(sorted(header)) | st.text(max_size=4))
            if key == "shapes" and isinstance(header["shapes"], dict):
                place = header["shapes"]
                key = data.draw(st.sampled_from([*TICKET_LEAVES]) | NAMES)
            place[key] = data.draw(JSON | CLAIMS)
            text = np.frombuffer(json.dumps(header).encode(), np.uint8)
            entries["header.npy"] = npy(text)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", data.draw(st.sampled_from([0, 8]))) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    read_ticket(ticket.with_name("foreign.npz"), out.getvalue())


# --- options ---------------------------------------------------------------------


@fuzz
@given(data=st.data())
def test_validate_any_option_values_is_refused_or_builds(data):
    """Any value in any option: refused by name, or a model that can be described."""
    config = configure()
    names = st.sampled_from(sorted(OPTIONS))
    changed = data.draw(st.lists(names, min_size=1, max_size=4, unique=True))
    for name in changed:
        default = st.just(OPTIONS[name].default)
        like = {
            int: st.integers(0, 40) | st.sampled_from([2**31, 2**63]),
            float: st.floats(0, 2),
            tuple: st.lists(st.integers(1, 9) | st.text(max_size=9), max_size=6),
            str: st.sampled_from(WORDS),
        }
        close = like.get(type(OPTIONS[name].default), st.booleans())
        value = data.draw(close | JSON | default)
        try:
            put(config, name, value)
        except ValueError:  # ConfigDict takes no such value, from a file either.
            reject()
    try:
        defaults.validate(config)
        task = tasks.build(config, (8, 8, 1), 20)
        jax.eval_shape(task.init, jax.random.key(0))
    except UserError as error:
        one_line(error, ":")


WORDS = (
    *("ae", "vae", "gan", "linear", "conv", "convstack", "sngan", "resnet", "hinge"),
    *("wasserstein", "adamw", "sgd", "cosine", "one_shot", "layer", "bfloat16", ""),
)
VALUES = st.one_of(
    *(NUMBERS.map(repr), st.text(max_size=9), JSON.map(repr), st.sampled_from(WORDS)),
    st.sampled_from(["('a',)", "(1, 2", "digits", "../..", "~", "\0", "arrays", "*"]),
)
FLAGS = st.sampled_from(
    [*(f"config.{name}" for name in OPTIONS), "config", "workdir", "config."]
)


@contextlib.contextmanager
def fresh_flags():
    """Flags as a process has them at its start."""
    values = flags.FlagValues()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flags, "FLAGS", values)
        folder = flags.DEFINE_string("workdir", None, "", flag_values=values)
        patch.setattr(main, "_WORKDIR", folder)
        patch.setattr(main.command_line, "use_compilation_cache", lambda: None)
        patch.setattr(procedures, "run", lambda config, workdir: None)
        yield


def launch(words):
    """-> (exit status, stderr)."""
    said = io.StringIO()
    with fresh_flags(), contextlib.redirect_stderr(said):
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                command_line.run(main.main, ["main", *words])
            except SystemExit as ended:
                return ended.code or 0, said.getvalue()
    return 0, said.getvalue()


@fuzz
@given(
    st.lists(
        st.tuples(FLAGS | st.text(max_size=9), VALUES).map("--{0[0]}={0[1]}".format)
        | FLAGS.map("--{}".format)
        | st.text(max_size=9),
        max_size=4,
    )
)
def test_command_line_any_words_exit_with_0_or_2(words):
    assert launch([]) == (0, "")
    status, said = launch(words)
    assert status in (0, 2), (words, said)
    assert (status == 0) == (said == "") or "--config.parallel" in str(words), said
    if status:
        assert said.startswith("gen_tickets: ") and said.endswith("\n")
        one_line(said[:-1])


# --- a workdir -------------------------------------------------------------------

CELLS = st.one_of(
    *(NUMBERS.map(repr), st.text(max_size=5), st.just(""), st.just("True")),
    st.sampled_from(["winning", "dense", "nan", "0", '"', "<b>", "1e999"]),
)
COLUMNS = ("round", "run", "arm", "sparsity", "remaining", "diverged", "heldout_loss")


@fuzz
@given(
    config=st.binary(max_size=30)
    | JSON.map(lambda x: json.dumps(x).encode())
    | st.dictionaries(
        st.sampled_from(["seed", "data", "eval", "provenance", "runs"]), JSON
    ).map(lambda x: json.dumps({"eval": {"verdict": "loss"}, **x}).encode()),
    table=st.binary(max_size=40)
    | st.lists(st.lists(CELLS, min_size=7, max_size=7), max_size=4).map(
        lambda lines: "\n".join(map(",".join, [COLUMNS, *lines, [""]])).encode(
            errors="surrogatepass"
        )
    ),
)
def test_read_any_workdir_files_raises_only_user_errors(
    tmp_path_factory, config, table
):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    paths.config_path(folder).write_bytes(config)
    paths.results_path(folder).write_bytes(table)
    for read in (outcomes.load, lambda x: lock.check(x, configure())):
        try:
            read(folder)
        except UserError as error:
            one_line(error, str(folder))


# --- images ----------------------------------------------------------------------

EXIF_ENTRY = st.tuples(
    st.sampled_from([0x0112, 0x8769, 0x8825, 0x0110]) | st.integers(0, 2**16 - 1),
    st.integers(0, 14),
    st.sampled_from([0, 1, 2, 2**31]),
    st.binary(min_size=4, max_size=4),
).map(lambda x: struct.pack("<HHI4s", *x))
EXIF = st.lists(EXIF_ENTRY, max_size=3).map(
    lambda entries: b"Exif\0\0II*\0\x08\0\0\0"
    + struct.pack("<H", len(entries))
    + b"".join(entries)
)


def encoded(file_format, exif):
    file = io.BytesIO()
    pixels = np.arange(6 * 6 * 3, dtype=np.uint8).reshape(6, 6, 3)
    Image.fromarray(pixels).save(file, file_format, exif=exif)
    return file.getvalue()


def load_images(name, path):
    """Reads a set; it must be images, or be refused in one line."""
    config = configure(data__name=name, data__batch_size=1)
    config.data.dir, config.data.image_size = str(path), 4
    try:
        found = dataset.load(config)
    except UserError as error:
        one_line(error, "data.")
    else:
        assert found.train.images.dtype == np.uint8
        assert found.train.images.shape[1:3] == (4, 4)


@fuzz
@given(data=st.data())
def test_load_any_image_files_raises_only_user_errors(tmp_path_factory, data):
    """Noise, and images with odd EXIF data and altered bytes."""
    folder = tmp_path_factory.getbasetemp() / "images"
    folder.mkdir(exist_ok=True)
    contents = {}
    for name in ("a", "b"):
        kind = data.draw(st.sampled_from(["noise", "PNG", "JPEG", "WEBP"]))
        if kind == "noise":
            content = data.draw(st.binary(max_size=60))
        else:
            content = altered(data, encoded(kind, data.draw(EXIF)))
        contents[folder / f"{name}.png"] = content
    for path, content in contents.items():
        path.write_bytes(content)
    load_images("folder", folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == contents


@fuzz
@given(data=st.data())
def test_files_of_arrays(tmp_path_factory, data):
    """Arrays of other dtypes and shapes, headers that say what is not so."""
    images = npy(np.zeros((4, 4, 4, 3), np.uint8))
    entries = {"images.npy": images, "heldout_images.npy": images}
    entries["labels.npy"] = npy(np.arange(4))
    for _ in range(data.draw(st.integers(0, 3))):
        name = data.draw(st.sampled_from(sorted(entries)) | NAMES)
        shape = data.draw(st.sampled_from([(4,), (4, 4, 4, 1), (4, 4, 4, 3), (0,)]))
        values = np.full(shape, data.draw(st.sampled_from([0, 1, 200])))
        dtype = data.draw(st.sampled_from(DTYPES))
        claim = data.draw(st.none() | CLAIMS)
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            entries[name] = npy(values.astype(dtype), claim)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", data.draw(st.sampled_from([0, 8]))) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    path = tmp_path_factory.getbasetemp() / "arrays.npz"
    content = altered(data, out.getvalue())
    path.write_bytes(content)
    load_images("arrays", path)
    assert path.read_bytes() == content


# --- checkpoints -----------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with two checkpoints."""
    folder = tmp_path_factory.mktemp("saved")
    fill(folder, [2, 3])
    return folder


@settings(parent=fuzz, max_examples=max(1, CASES // 4))
@given(data=st.data())
def test_files_of_a_checkpoint(saved, data):
    """The newest, the one before or a refusal; every byte is still somewhere."""
    folder = saved.with_name("altered")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder)
    files = sorted(x for x in folder.rglob("*") if x.is_file())
    path = data.draw(st.sampled_from(files))
    path.write_bytes(altered(data, path.read_bytes()))
    before = sorted(x.read_bytes() for x in files)
    try:
        tree, position = restore(folder)
    except UserError as error:
        one_line(error, "checkpoint")
    else:
        assert_is((tree, position), position[1])
    after = [x.read_bytes() for x in folder.rglob("*") if x.is_file()]
    assert sorted(after) == before


# --- experiment files ------------------------------------------------------------

STATEMENTS = st.one_of(
    st.tuples(st.sampled_from(sorted(OPTIONS)), VALUES).map(
        "config.{0[0]} = {0[1]}".format
    ),
    st.tuples(st.sampled_from(sorted(OPTIONS)), VALUES).map(
        "config.update_from_flattened_dict({{{0[0]!r}: {0[1]}}})".format
    ),
    st.sampled_from(["1 / 0", "assert size == 3", "config.a.b = 1", "del config.seed"]),
    st.sampled_from(["raise ValueError('a\\nb')", "return 3", "import x_y", "def"]),
    st.text(max_size=9),
)


@fuzz
@given(statement=STATEMENTS)
def test_statements_of_an_experiment_file(tmp_path_factory, statement):
    path = tmp_path_factory.getbasetemp() / "mine.py"
    path.write_text(
        "from gen_tickets.config import defaults\ndef get_config(size=''):\n"
        f"    config = defaults.get_config()\n    {statement}\n    return config\n",
        encoding="utf-8",
        errors="replace",
    )
    try:
        experiment_file.load(str(path), "")
    except UserError as error:
        one_line(error)
