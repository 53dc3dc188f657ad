"""Workdirs: one process at a time, and a fixed configuration."""

import json
import os

import pytest

from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.workdir import lock as lock_lib
from gen_tickets.workdir import paths


def configure(**changes):
    config = defaults.get_config()
    config.train.steps = 20
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in changes.items()}
    )
    return config


def start(folder, **changes):
    lock_lib.claim(folder, configure(**changes), {"jax": "1"}).release()


def test_claim_new_folder_writes_all_options(tmp_path):
    folder = tmp_path / "deep" / "er"
    lock_lib.check(folder, configure())
    assert not folder.exists()
    start(folder, model__widths=(3, 4))
    stored = json.loads(paths.config_path(folder).read_text())
    assert stored["provenance"] == {"jax": "1"}
    assert stored["model"]["widths"] == [3, 4] and stored["train"]["steps"] == 20
    start(folder, model__widths=(3, 4))  # the same command again


def test_claim_other_config_lists_the_differences(tmp_path):
    start(tmp_path)
    with pytest.raises(UserError, match="seed: 0 -> 3.*steps: 20 -> 30.*=DIR"):
        start(tmp_path, seed=3, train__steps=30)
    with pytest.raises(UserError, match=r"model.widths: \[128, 64, 12\] -> \[9\]"):
        lock_lib.check(tmp_path, configure(model__widths=(9,)))
    stored = json.loads(paths.config_path(tmp_path).read_text())
    assert stored["seed"] == 0, "a refusal wrote"


def test_claim_more_rounds_or_run_options_is_allowed(tmp_path):
    start(tmp_path, prune__rounds=3)
    start(tmp_path, prune__rounds=3, data__dir="/elsewhere", data__download=True)
    start(tmp_path, prune__rounds=5, checkpoint__every_seconds=1.0)
    with pytest.raises(UserError, match="prune.rounds: 5 -> 4"):
        start(tmp_path, prune__rounds=4)


def test_claim_other_verdict_is_allowed_unless_rewind_depends_on_it(tmp_path):
    start(tmp_path, prune__rounds=3)
    start(tmp_path, prune__rounds=3, eval__verdict="heldout_loss", eval__num_shown=3)
    stored = lock_lib.stored_config(tmp_path)
    assert stored.eval.verdict == "heldout_loss" and stored.eval.num_shown == 3
    start(tmp_path / "auto", rewind__step="auto")
    with pytest.raises(UserError, match="eval.verdict: .* -> "):
        start(tmp_path / "auto", rewind__step="auto", eval__verdict="heldout_loss")


def test_check_option_missing_in_config_is_taken_at_default(tmp_path):
    start(tmp_path)
    path = paths.config_path(tmp_path)
    stored = json.loads(path.read_text())
    del stored["prune"]["batches"], stored["early_bird"]
    path.write_text(json.dumps(stored))
    lock_lib.check(tmp_path, configure())
    with pytest.raises(UserError, match="prune.batches: 8 -> 3"):
        lock_lib.check(tmp_path, configure(prune__batches=3))


def test_claim_config_with_removed_options_is_allowed(tmp_path):
    start(tmp_path)
    path = paths.config_path(tmp_path)
    stored = json.loads(path.read_text())
    stored |= {"suite": "table2", "paper": {"sparsity": 0.832}}
    path.write_text(json.dumps(stored))
    assert lock_lib.stored_config(tmp_path) == configure()
    start(tmp_path)
    assert "suite" not in json.loads(path.read_text())


def test_claim_locked_workdir_is_refused_until_released(tmp_path):
    lock = lock_lib.claim(tmp_path, configure(), {})
    with pytest.raises(UserError, match="another process"):
        lock_lib.claim(tmp_path, configure(), {})
    lock.release()
    start(tmp_path)


def test_claim_path_that_is_a_file_raises_user_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    for place in (path, path / "below"):
        with pytest.raises(UserError, match="--workdir="):
            lock_lib.claim(place, configure(), {})
    assert path.read_text() == "mine"


def test_claim_folder_without_config_is_refused_and_unchanged(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="no config.json"):
        start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_claim_unwritable_folder_raises_user_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        start(tmp_path / "new")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"seed": 0}', '{"provenance": {}, "data": 3}', "\xff"],
)
def test_claim_damaged_config_raises_user_error(tmp_path, content):
    paths.config_path(tmp_path).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match="is not an intact configuration|--workdir"):
        start(tmp_path)
    assert paths.config_path(tmp_path).read_bytes() == content.encode("latin-1")


@pytest.mark.parametrize("name", ["gs://bucket/run", "s3://b/x", "gs:/bucket"])
def test_check_of_an_object_store_is_refused_at_once(name):
    with pytest.raises(UserError, match="is not on a disk.*give a folder of a local"):
        lock_lib.check(name, configure())


def test_check_unencodable_name_raises_user_error_with_remedy(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xfc")  # as an ASCII process has it
    with pytest.raises(UserError, match="cannot encode.*PYTHONUTF8=1"):
        lock_lib.check(name, configure())
