"""Trained networks on the Hugging Face Hub, if `huggingface_hub` is installed.

A repository holds network.npz, which `gen_tickets.load` reads, and a model card.
"""

import importlib
import pathlib
import tempfile
from typing import Any

from gen_tickets import export, trained
from gen_tickets.errors import UserError
from gen_tickets.trained import Trained

_FILE = "network.npz"
_CARD = """---
library_name: gen_tickets
tags: [lottery-ticket, pruning, {task}, {data}]
---

# {task} on {data}, {sparsity:.1%} of its weights pruned

{title}. {sentence}

```python
import gen_tickets

trained = gen_tickets.pull("{repo}")
outputs = trained.apply("{component}", inputs)  # float32 {shape}
```
"""


def push(
    path: str | pathlib.Path,
    repo: str,
    round: int | None = None,
    arm: str = "",
    run: int = 0,
    *,
    private: bool = True,
    token: str | None = None,
) -> str:
    """Uploads a trained network; an existing repository gets a new commit.

    Args:
      path, round, arm, run: the network, as in `gen_tickets.load`.
      repo: "user/name" on the Hub.
      private: whether a new repository is private.
      token: of the Hub; None: that of `hf auth login`.

    Returns:
      The URL of the commit.

    Raises:
      UserError: no such network, no huggingface_hub, or the Hub refuses.
    """
    member, hub = trained.load(path, round, arm, run), _library()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        export.write_weights(folder / _FILE, member, "npz")
        (folder / "README.md").write_text(_card(member, repo), encoding="utf-8")
        api = hub.HfApi(token=token)
        try:
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo, folder_path=folder, commit_message=member.title
            )
        except Exception as error:  # also those of its HTTP client, of any kind
            raise _refused(repo, error) from error
    return str(commit.commit_url)


def pull(repo: str, revision: str | None = None, token: str | None = None) -> Trained:
    """Downloads a trained network from the Hub; returns it as `gen_tickets.load` does.

    Args:
      repo: "user/name" on the Hub.
      revision: branch, tag or commit; None: the newest.
      token: of the Hub, for a private repository; None: that of `hf auth login`.

    Raises:
      UserError: no huggingface_hub, the Hub refuses, or it is no trained network.
    """
    hub = _library()
    try:
        path = hub.HfApi(token=token).hf_hub_download(repo, _FILE, revision=revision)
    except Exception as error:
        raise _refused(repo, error) from error
    return trained.load(path)


def _card(member: Trained, repo: str) -> str:
    component, network = list(member.task.networks.items())[-1]
    sentence = "" if member.verdict is None else member.verdict.sentence
    return _CARD.format(
        task=member.config.task.name,
        data=member.config.data.name,
        sparsity=member.provenance["sparsity"],
        title=member.title.capitalize(),
        sentence=sentence,
        repo=repo,
        component=component,
        shape=["N", *network.input_shape],
    )


def _library() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise UserError(
            "huggingface_hub", "is not installed", "pip install huggingface_hub"
        ) from None


def _refused(repo: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [repr(error)])[0][:200]
    return UserError(
        repo, f"the Hub says: {reason}", "see `hf auth login`, or the name"
    )
