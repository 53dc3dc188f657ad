"""Weight files: both containers of torch.save, .npz, and files that are neither."""

import collections
import hashlib
import io
import pathlib
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inception_reference import seeded_array, seeded_state

from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import containers, weights

TABLE = {"a.conv.weight": (4, 3, 1, 2), "a.bn.running_var": (4,), "fc.bias": (5,)}
STATE = seeded_state(TABLE)
_GLOBAL = {"float": b"ctorch\nFloatStorage\n", "int": b"ctorch\nLongStorage\n"}


def _emit(value):
    """Pickle opcodes (protocol 2) of plain values and of ("global", name)."""
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_emit, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_emit, value)) + b"e"
    items = b"".join(_emit(key) + _emit(item) for key, item in value.items())
    return b"ccollections\nOrderedDict\n)R(" + items + b"u"


def _tensor(key, array, shape=None):
    storage = (
        "storage",
        _GLOBAL["float" if array.dtype == np.float32 else "int"],
        key,
        "cpu",
        array.size,
        *([None] if key == "0" else []),
    )
    strides = tuple(stride // array.itemsize for stride in array.strides)
    arguments = (
        _emit(storage) + b"Q",
        0,
        array.shape if shape is None else shape,
        strides,
        False,
        {},
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + _emit(arguments) + b"R"


def _pickle(value):
    return b"\x80\x02" + _emit(value) + b"."


def _described(state):
    """The state dict with tensors as torch.save describes them."""
    return {
        name: _tensor(str(i), array) for i, (name, array) in enumerate(state.items())
    }


def _legacy(state, described=None):
    """A file of torch.save before PyTorch 1.6."""
    head = (
        0x1950A86A20F9469CFC6C,
        1001,
        {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}},
        described or _described(state),
        [str(i) for i in range(len(state))],
    )
    tail = (struct.pack("<q", array.size) + array.tobytes() for array in state.values())
    return b"".join(map(_pickle, head)) + b"".join(tail)


def _zipped(state):
    """A file of torch.save since PyTorch 1.6."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(_described(state)))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())
    return stream.getvalue()


def _npz(state):
    stream = io.BytesIO()
    np.savez(stream, **state)
    return stream.getvalue()


FORMATS = {"legacy": _legacy, "zip": _zipped, "npz": _npz}


@pytest.fixture
def small(monkeypatch):
    """A network that has only the arrays of TABLE."""
    monkeypatch.setattr(weights, "state_shapes", lambda: TABLE)


def _assert_is_state(arrays):
    assert arrays.keys() == STATE.keys()
    for name, array in STATE.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


@pytest.mark.parametrize("counters", [False, True])
@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_read_state_every_container_returns_arrays(write, counters, tmp_path, small):
    state = dict(STATE)
    if counters:
        state["a.bn.num_batches_tracked"] = np.int64(7).reshape(())
    path = tmp_path / "weights"
    path.write_bytes(write(state))
    _assert_is_state(weights.read_state(path))


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("parameters", [True, False], ids=["parameters", "tensors"])
def test_read_state_file_of_torch_returns_arrays(legacy, parameters, tmp_path, small):
    torch = pytest.importorskip("torch")
    state = collections.OrderedDict(
        (name, torch.from_numpy(array)) for name, array in STATE.items()
    )
    if parameters:
        state = collections.OrderedDict(
            (name, torch.nn.Parameter(value)) for name, value in state.items()
        )
    state["a.bn.num_batches_tracked"] = torch.tensor(3)
    state._metadata = {"": {"version": 1}}
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    _assert_is_state(weights.read_state(path))


def test_read_state_full_torch_network_returns_472_arrays(tmp_path):
    torch = pytest.importorskip("torch")
    state = seeded_state(weights.state_shapes())
    path = tmp_path / "weights.pth"
    torch.save(
        {name: torch.from_numpy(array) for name, array in state.items()},
        path,
        _use_new_zipfile_serialization=False,
    )
    found = weights.read_state(path)
    assert len(found) == 472
    assert all((found[name] == array).all() for name, array in state.items())


@settings(deadline=None, max_examples=30)
@given(kind=st.sampled_from(sorted(FORMATS)), data=st.data())
def test_read_arrays_damaged_file_is_refused_or_read(kind, data, tmp_path_factory):
    content = bytearray(FORMATS[kind](STATE))
    end = data.draw(st.integers(0, len(content)), label="length")
    for _ in range(data.draw(st.integers(0, 4), label="flips")):
        bit = data.draw(st.integers(0, 8 * len(content) - 1), label="bit")
        content[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.mktemp("damaged") / "weights"
    path.write_bytes(content[:end] if data.draw(st.booleans()) else content)
    try:
        arrays = containers.read_arrays(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


@settings(deadline=None, max_examples=30)
@given(end=st.integers(0, len(_legacy(STATE)) - 1))
def test_read_arrays_truncated_file_raises_user_error(end, tmp_path_factory):
    path = tmp_path_factory.mktemp("short") / "weights"
    path.write_bytes(_legacy(STATE)[:end])
    with pytest.raises(UserError, match="is not an intact"):
        containers.read_arrays(path)


def _tower():
    """A tuple nested so that hashing it would visit 2^64 elements."""
    return b"}" + b")" + b"q\x00h\x00\x86" * 64 + b"K\x01s"


@pytest.mark.parametrize(
    "described",
    [
        b"cposix\nsystem\n(X\x04\x00\x00\x00exittR",
        b"cbuiltins\nprint\n(X\x02\x00\x00\x00hitR",
        b"\x8c\x08builtins\x8c\x05print\x93)R",
        _tower(),
        b"}" + b")(e" + b"q\x00h\x00\x86(e" * 64 + b"K\x01s",
        b"K\x01r\xff\xff\xff\x7f",
        b"K\x01",
        {"a": 3},
        {"a": b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR"},
        {
            name: _tensor(str(i), array, (2**40, 2**40))
            for i, (name, array) in enumerate(STATE.items())
        },
        {"a": _emit(("storage", b"ctorch\nHalfStorage\n", "0", "cpu", 4)) + b"Q"},
        {"a": _emit(("storage", _GLOBAL["float"], "0", "cpu", 2**60)) + b"Q"},
    ],
    ids=[
        "system",
        "print",
        "stack_global",
        "tower",
        "hidden_tower",
        "memo",
        "number",
        "no_tensor",
        "no_storage",
        "outside",
        "half",
        "huge",
    ],
)
def test_read_arrays_malicious_pickle_is_refused_without_execution(
    described, tmp_path, capsys
):
    path = tmp_path / "weights.pth"
    path.write_bytes(_legacy(STATE, described))
    with pytest.raises(UserError, match="is not an intact"):
        containers.read_arrays(path)
    assert not capsys.readouterr().out


def test_read_arrays_npz_with_objects_raises_user_error(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match="is not an intact"):
        containers.read_arrays(path)


def test_read_arrays_oversized_zip_raises_user_error(tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, a=np.zeros(10**6, np.float32))
    monkeypatch.setattr(containers, "MAX_BYTES", 10**6)
    with pytest.raises(UserError, match="unpacks to more"):
        containers.read_arrays(path)


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"fc.bias": None}, "'fc.bias' is missing"),
        ({"fc.bias2": np.zeros(2, np.float32)}, "'fc.bias2' is unknown"),
        ({"fc.bias": np.zeros(6, np.float32)}, r"float32\[6\], not float32\[5\]"),
        ({"fc.bias": np.zeros(5)}, "float64"),
        ({"fc.bias": np.full(5, np.nan, np.float32)}, "not finite"),
        ({"a.bn.running_var": -np.ones(4, np.float32)}, "negative"),
    ],
)
def test_read_state_wrong_arrays_raises_user_error(change, problem, tmp_path, small):
    state = {
        name: array for name, array in (STATE | change).items() if array is not None
    }
    path = tmp_path / "weights.npz"
    np.savez(path, **state)
    with pytest.raises(UserError, match=problem):
        weights.read_state(path)


def test_fold_equals_batch_norm_after_convolution():
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    shapes = ((6, 5, 1, 1), *[(6,)] * 4)
    state = {
        f"b.u.{part}": seeded_array(f"b.u.{part}", shape)
        for part, shape in zip(parts, shapes)
    }
    folded = weights.fold(state | {"fc.weight": np.zeros((2, 3), np.float32)})
    unit = folded["params"]["b"]["u"]
    x = np.random.default_rng(0).normal(size=(7, 5))
    kernel, scale, bias, mean, variance = state.values()
    expected = (x @ kernel[:, :, 0, 0].T - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(
        x @ unit["kernel"][0, 0] + unit["bias"], expected * scale + bias, atol=1e-5
    )
    assert folded["params"]["fc"]["kernel"].shape == (3, 2)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty cache folder, no path in the environment, and a release to fetch."""
    release = tmp_path / "release.pth"
    release.write_bytes(_legacy(STATE))
    monkeypatch.delenv(weights.PATH_VARIABLE, raising=False)
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "URL", release.as_uri())
    monkeypatch.setattr(
        weights, "SHA256", hashlib.sha256(release.read_bytes()).hexdigest()
    )
    return release


def _cached(tmp_path):
    folder = tmp_path / "cache"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_find_weights_searches_argument_variable_cache_in_order(
    places, tmp_path, monkeypatch
):
    with pytest.raises(UserError, match="none at"):
        weights.find_weights()
    target = tmp_path / "cache" / weights.FILE_NAME
    assert weights.find_weights(download=True) == target
    assert _cached(tmp_path) == [weights.FILE_NAME]
    places.unlink()
    assert weights.find_weights() == target
    own = tmp_path / "own.npz"
    own.write_bytes(b"own")
    monkeypatch.setenv(weights.PATH_VARIABLE, str(own))
    assert weights.find_weights() == own
    given_path = tmp_path / "given.npz"
    with pytest.raises(UserError, match="no such file"):
        weights.find_weights(given_path)
    given_path.write_bytes(b"given")
    assert weights.find_weights(str(given_path)) == given_path
    assert weights.fingerprint(given_path) == hashlib.sha256(b"given").hexdigest()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda release: release.write_bytes(release.read_bytes()[:-1]),
        lambda release: release.write_bytes(b"<html>quota exceeded</html>"),
        pathlib.Path.unlink,
    ],
    ids=["cut_off", "page", "gone"],
)
def test_find_weights_failed_download_leaves_no_file(spoil, places, tmp_path):
    spoil(places)
    with pytest.raises(UserError) as caught:
        weights.find_weights(download=True)
    assert "\n" not in str(caught.value) and "by other means" in str(caught.value)
    assert not _cached(tmp_path)


def test_find_weights_cached_file_of_wrong_hash_is_refused(places, tmp_path):
    target = weights.find_weights(download=True)
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(UserError, match="delete the file"):
        weights.find_weights(download=True)


def test_load_weights_folds_found_arrays(places, monkeypatch, small):
    monkeypatch.setattr(weights, "fold", lambda arrays: {"params": arrays})
    found = weights.load_weights(download=True)
    _assert_is_state(found.variables["params"])
    assert found.fingerprint == weights.SHA256 == weights.fingerprint(found.path)
