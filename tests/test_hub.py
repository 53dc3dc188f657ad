"""push and pull against a Hub that is a folder."""

import pathlib
import shutil
import sys
import types

import jax
import numpy as np
import pytest
from test_pytorch import draw

import gen_tickets as gt
from gen_tickets import export
from gen_tickets.errors import UserError


class ConnectError(Exception):
    """As that of httpx, which newer versions raise: no OSError."""


class Folder:
    """The calls of huggingface_hub.HfApi that are made, on a folder."""

    root: pathlib.Path

    def __init__(self, token=None):
        self.token = token

    def create_repo(self, repo_id, private, exist_ok):
        if self.token == "offline":
            raise ConnectError("Connection refused")
        if self.token == "expired":
            raise OSError("401 Client Error\nUnauthorized")
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)
        (self.root / repo_id / "private").write_text(str(private))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return types.SimpleNamespace(commit_url=f"{repo_id}: {commit_message}")

    def hf_hub_download(self, repo_id, filename, revision=None):
        path = self.root / repo_id / filename
        if not path.exists():
            raise ValueError(f"no {repo_id} at {revision}")
        return str(path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "root", tmp_path / "hub", raising=False)
    library = types.SimpleNamespace(HfApi=Folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    return tmp_path / "hub"


@pytest.fixture
def network(tmp_path):
    """A file as `export` writes it."""
    member = draw("linear")
    data = {"image_size": 8, "channels": 2, "num_train": 1000}
    about = {"sparsity": 0.3, "data": data, "config": member.provenance["config"]}
    member = member._replace(provenance={**member.provenance, **about})
    export.write_weights(tmp_path / "x.npz", member, "npz")
    return tmp_path / "x.npz"


def test_pull_returns_what_was_pushed(hub, network):
    said = gt.push(network, "me/digits")
    assert said == "me/digits: round 3, arm winning, run 0"
    found, expected = gt.pull("me/digits"), gt.load(network)
    assert found.provenance == expected.provenance
    for a, b in zip(found[1:4], expected[1:4]):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    card = (hub / "me/digits/README.md").read_text()
    assert "# vae on digits, 30.0% of its weights pruned" in card
    assert 'gen_tickets.pull("me/digits")' in card
    assert (hub / "me/digits/private").read_text() == "True"


def test_hub_errors_become_one_line_user_errors(hub, network):
    with pytest.raises(UserError, match="me/x: the Hub says: 401 Client Error; see"):
        gt.push(network, "me/x", token="expired")
    with pytest.raises(UserError, match="me/x: the Hub says: Connection refused; see"):
        gt.push(network, "me/x", token="offline")
    with pytest.raises(UserError, match="me/none: the Hub says: no me/none at v2"):
        gt.pull("me/none", revision="v2")


def test_push_without_the_package_says_what_to_install(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install huggingface_hub"):
        gt.push(network, "me/x")
