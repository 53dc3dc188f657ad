"""Options without effect are refused, with what would make them count."""

import pytest
from test_defaults import configure

from gen_tickets.config import defaults, effects
from gen_tickets.config.options import OPTIONS
from gen_tickets.errors import UserError

STACK = {"model__name": "convstack", "model__widths": (4,)}
SNIP = {
    "prune__method": "snip",
    "prune__schedule": "at_initialization",
    "rewind__step": "0",
}
EARLY = {**STACK, "prune__schedule": "early_bird", "prune__rounds": 1}
EARLY |= {"rewind__step": "0"}
SGD = {"optimizer__name": "sgd"}

# (options, what is refused of them, what else makes them count)
CASES = [
    ({"data__dir": "/x"}, "data.dir=.*only for data.name=folder", {"data__name": "x"}),
    ({"data__download": True}, "data.download=True: only", {"data__name": "mnist"}),
    ({"optimizer__b2": 0.9, **SGD}, "b2=0.9: only for .*adam or adamw, not sgd", None),
    ({"optimizer__scale_l1": 0.1}, "model.name=convstack or resnet or sngan", STACK),
    ({"eval__batch_norm": "batch"}, "eval.batch_norm='batch': only", STACK),
    ({"prune__batches": 3}, "prune.method=snip or grasp, not 'magnitude'", SNIP),
    ({"early_bird__epochs": 9}, "early_bird.epochs=9: only", EARLY),
    ({"arms": ("winning",), **EARLY}, "arms=.*only for prune.schedule=iter", None),
    ({"stability__points": 5}, "stability.points=5: only", {"rewind__step": "auto"}),
    (
        {"eval__download_weights": True, "eval__metrics": ("fd_classifier",)},
        "eval.download_weights=True: only for eval.metrics by Inception",
        {"eval__metrics": ("fid",)},
    ),
    (
        {"task__beta": 2.0},
        "task.beta=2.0: only for task.name=vae",
        {"task__name": "vae"},
    ),
    ({"eval__verdict": "heldout_los"}, "did you mean 'heldout_loss'", None),
    ({"eval__verdict": "heldout_kl"}, "measured here", {"task__name": "vae"}),
    ({"eval__verdict": "no_such"}, "measured here", None),
]


@pytest.mark.parametrize("options, refused, others", CASES)
def test_validate_option_without_effect_names_the_condition(options, refused, others):
    with pytest.raises(UserError, match=refused):
        defaults.validate(configure(**options))
    if others is not None:
        defaults.validate(configure(**{**options, **others}))


def test_rules_name_options_that_exist():
    for rule in effects._RULES:
        assert rule.other in OPTIONS
        for name in rule.names:
            assert any(option.startswith(name) for option in OPTIONS), name
