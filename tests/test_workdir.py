"""One process at a time, one configuration for ever."""

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


def test_a_claim_makes_the_folder_and_writes_all_options(tmp_path):
    folder = tmp_path / "deep" / "er"
    lock_lib.check(folder, configure())
    assert not folder.exists()
    start(folder, model__widths=(3, 4))
    stored = json.loads(paths.config_path(folder).read_text())
    assert stored["provenance"] == {"jax": "1"}
    assert stored["model"]["widths"] == [3, 4] and stored["train"]["steps"] == 20
    start(folder, model__widths=(3, 4))  # the same command again


def test_another_configuration_is_refused_with_the_differences(tmp_path):
    start(tmp_path)
    with pytest.raises(UserError, match="seed: 0 -> 3.*train.steps: 20 -> 30"):
        start(tmp_path, seed=3, train__steps=30)
    with pytest.raises(UserError, match=r"model.widths: \[128, 64, 12\] -> \[9\]"):
        lock_lib.check(tmp_path, configure(model__widths=(9,)))
    stored = json.loads(paths.config_path(tmp_path).read_text())
    assert stored["seed"] == 0, "a refusal wrote"


def test_more_rounds_and_how_to_run_are_no_difference(tmp_path):
    start(tmp_path, prune__rounds=3)
    start(tmp_path, prune__rounds=3, data__dir="/elsewhere", data__download=True)
    start(tmp_path, prune__rounds=5, checkpoint__every_seconds=1.0)
    with pytest.raises(UserError, match="prune.rounds: 5 -> 4"):
        start(tmp_path, prune__rounds=4)


def test_claim_with_another_verdict_goes_on_unless_it_chooses_the_rewind_step(tmp_path):
    start(tmp_path, prune__rounds=3)
    start(tmp_path, prune__rounds=3, eval__verdict="heldout_loss", eval__num_shown=3)
    stored = lock_lib.stored_config(tmp_path)
    assert stored.eval.verdict == "heldout_loss" and stored.eval.num_shown == 3
    start(tmp_path / "auto", rewind__step="auto")
    with pytest.raises(UserError, match="eval.verdict: .* -> "):
        start(tmp_path / "auto", rewind__step="auto", eval__verdict="heldout_loss")


def test_an_option_that_is_younger_than_the_folder_was_at_its_default(tmp_path):
    start(tmp_path)
    path = paths.config_path(tmp_path)
    stored = json.loads(path.read_text())
    del stored["prune"]["batches"], stored["early_bird"]
    path.write_text(json.dumps(stored))
    lock_lib.check(tmp_path, configure())
    with pytest.raises(UserError, match="prune.batches: 8 -> 3"):
        lock_lib.check(tmp_path, configure(prune__batches=3))


def test_claim_of_a_workdir_with_removed_options_goes_on(tmp_path):
    start(tmp_path)
    path = paths.config_path(tmp_path)
    stored = json.loads(path.read_text())
    stored |= {"suite": "table2", "paper": {"sparsity": 0.832}}
    path.write_text(json.dumps(stored))
    assert lock_lib.stored_config(tmp_path) == configure()
    start(tmp_path)
    assert "suite" not in json.loads(path.read_text())


def test_claim_of_a_locked_workdir_is_refused_until_released(tmp_path):
    lock = lock_lib.claim(tmp_path, configure(), {})
    with pytest.raises(UserError, match="another process"):
        lock_lib.claim(tmp_path, configure(), {})
    lock.release()
    start(tmp_path)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    for place in (path, path / "below"):
        with pytest.raises(UserError, match="--workdir="):
            lock_lib.claim(place, configure(), {})
    assert path.read_text() == "mine"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="no config.json"):
        start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        start(tmp_path / "new")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"seed": 0}', '{"provenance": {}, "data": 3}', "\xff"],
)
def test_a_damaged_config_is_a_user_error(tmp_path, content):
    paths.config_path(tmp_path).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match="is not an intact configuration|--workdir"):
        start(tmp_path)
    assert paths.config_path(tmp_path).read_bytes() == content.encode("latin-1")


@pytest.mark.parametrize("name", ["gs://bucket/run", "s3://b/x", "gs:/bucket"])
def test_check_of_an_object_store_is_refused_at_once(name):
    with pytest.raises(UserError, match="is not on a disk.*give a folder of a local"):
        lock_lib.check(name, configure())


def test_check_of_a_name_that_cannot_be_encoded_is_refused_with_the_remedy(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xfc")  # as an ASCII process has it
    with pytest.raises(UserError, match="cannot encode.*PYTHONUTF8=1"):
        lock_lib.check(name, configure())
