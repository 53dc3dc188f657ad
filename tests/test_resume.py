"""A second start in the same workdir: resumed, continued or refused."""

import signal

import jax
import pytest
from stops import stopped_at
from test_lottery import assert_trees_equal, kept, run, total

from gen_tickets.errors import Interrupted, UserError
from gen_tickets.workdir import paths


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("lottery"))


@pytest.mark.parametrize("place", [(0, 2), (1, 5), (2, 7)])
def test_run_stopped_and_restarted_equals_undisturbed_run(undisturbed, tmp_path, place):
    """SIGTERM in a round, before or after its rewind step."""
    found, rows = undisturbed
    with stopped_at(0, *place), pytest.raises(Interrupted, match="SIGTERM"):
        run(tmp_path)
    assert not paths.ticket_path(tmp_path, place[0], 0).exists()
    resumed, resumed_rows = run(tmp_path)
    for key, ticket in found.items():
        assert_trees_equal(ticket[:3], resumed[key][:3])
    for row, other in zip(rows, resumed_rows, strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_run_where_jax_has_64_bits_is_the_same_run(undisturbed, tmp_path):
    _, rows = undisturbed
    jax.config.update("jax_enable_x64", True)
    try:
        _, other_rows = run(tmp_path)
    finally:
        jax.config.update("jax_enable_x64", False)
    for row, other in zip(rows, other_rows, strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}


def test_run_finished_is_unchanged_and_continues_with_more_rounds(tmp_path):
    _, rows = run(tmp_path, prune__rounds=1)
    content = paths.results_path(tmp_path).read_bytes()
    run(tmp_path, prune__rounds=1)
    assert paths.results_path(tmp_path).read_bytes() == content
    with pytest.raises(UserError, match="seed: 0 -> 1"):
        run(tmp_path, prune__rounds=1, seed=1)
    found, more = run(tmp_path, prune__rounds=2)
    assert more[: len(rows)] == rows and more[-1]["round"] == 2
    with pytest.raises(UserError, match="prune.rounds: 2 -> 1"):
        run(tmp_path, prune__rounds=1)
    kernel = found[2, 0].masks
    assert kept(kernel) == round(total(kernel) * 0.25)
