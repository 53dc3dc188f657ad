"""Errors for users: three parts, one line, the same after a pickle."""

import pickle

import pytest

from gen_tickets.errors import Interrupted, UserError


@pytest.mark.parametrize(
    "parts, message",
    [
        (("seed=-1", "must be at least 0"), "seed=-1: must be at least 0"),
        (("a.npz", "is damaged", "make it again"), "a.npz: is damaged; make it again"),
        (("a\nb=\x1b[0m", "has\tbreaks"), "a b= [0m: has breaks"),
    ],
)
def test_user_error_message_has_its_parts_in_one_line(parts, message):
    error = UserError(*parts)
    assert str(error) == message and isinstance(error, ValueError)
    assert error.option == parts[0].partition("=")[0]


def test_user_error_unpickled_has_the_same_parts():
    error = pickle.loads(pickle.dumps(UserError("runs=0", "is too few", "give 1")))
    assert (error.field, error.problem, error.remedy) == (
        "runs=0",
        "is too few",
        "give 1",
    )


@pytest.mark.parametrize("number, status", [(2, 130), (15, 0)])
def test_interrupted_by_signal_has_its_exit_status(number, status):
    assert Interrupted(number).exit_status == status
