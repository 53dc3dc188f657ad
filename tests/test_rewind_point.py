"""The rewind point in steps, in epochs, or from an instability analysis."""

import json
import shutil

import pytest
from test_lottery import configure, run

from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.procedures import rewind_point
from gen_tickets.training import schedule
from gen_tickets.workdir import paths


@pytest.mark.parametrize(
    "text, steps",
    [("0", 0), ("10", 10), ("2ep", 14), ("0.5ep", 4), ("1.5ep", 10), ("auto", 0)],
)
def test_parse_steps_takes_steps_and_epochs(text, steps):
    assert schedule.parse_steps(text, 7) == steps


@pytest.mark.parametrize("value", ["-1", "ep", "2 ep", "1e3", "", -1, 2.0, True])
def test_rewind_step_of_another_form_is_refused(value):
    config = defaults.get_config()
    with pytest.raises(UserError, match="rewind.step=.*whole number of steps"):
        config.rewind.step = value


def test_rewind_step_given_as_a_number_is_kept_as_text():
    config = defaults.get_config()
    config.rewind.step = 7
    assert config.rewind.step == "7"
    config.update_from_flattened_dict({"rewind.step": 8})
    assert config.rewind.step == "8"


def test_run_rewind_to_epoch_equals_rewind_to_its_last_step(tmp_path):
    # 48 images in batches of 16: 3 steps an epoch.
    by_epoch, _ = run(tmp_path / "epoch", rewind__step="1ep", prune__rounds=1)
    by_step, _ = run(tmp_path / "step", rewind__step="3", prune__rounds=1)
    ticket, other = by_epoch[1, 0], by_step[1, 0]
    assert ticket.provenance["step"] == other.provenance["step"] == 3


def test_run_rewind_auto_takes_first_stable_step_or_the_latest(tmp_path):
    for margin, expected in ((1e9, 0), (1e-9, 5)):
        changes = {
            "rewind__step": "auto",
            "stability__steps": (0, 5),
            "stability__points": 3,
            "stability__margin": margin,
            "prune__rounds": 1,
            "arms": ("winning",),
        }
        folder = tmp_path / f"run_{expected}"
        analysis = tmp_path / f"run_{expected}-stability"
        if expected:  # the same analysis, judged by another margin
            shutil.copytree(tmp_path / "run_0-stability", analysis)
        found, _ = run(folder, **changes)
        assert found[1, 0].provenance["step"] == expected
        stored = json.loads(paths.config_path(folder).read_text())
        assert stored["rewind"]["step"] == "auto"
        assert stored["provenance"]["rewind"]["step"] == expected
        assert paths.stability_path(analysis).exists()


def test_choose_for_folder_with_a_slash_analyses_in_the_folder_beside(tmp_path):
    folders = []
    with pytest.raises(UserError, match="stability.csv.*is missing"):
        rewind_point.choose(
            configure(rewind__step="auto"),
            f"{tmp_path}/run/",
            lambda config, folder: folders.append(folder),
        )
    assert folders == [tmp_path / "run-stability"]


def test_analysis_for_auto_rewind_is_valid_and_small():
    config = configure(rewind__step="auto", runs=5, stability__points=3)
    options = rewind_point.analysis(config)
    defaults.validate(options)
    assert (options.procedure, options.runs, options.rewind.step) == (
        "stability",
        2,
        "0",
    )
