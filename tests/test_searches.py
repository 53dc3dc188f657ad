"""Early-bird searches on disk, and the distances of their masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets.errors import UserError
from gen_tickets.report import figures, heatmaps
from gen_tickets.workdir import searches


def draw(seed=0, epochs=7, channels=12):
    rng = np.random.default_rng(seed)
    kept = {
        "decoder": {"base": rng.random(5) < 0.5, "block_1/conv_0": np.ones(3, bool)}
    }
    return searches.Search(rng.random((epochs, channels)) < 0.5, 6, kept)


def test_search_save_and_load_is_equal(tmp_path):
    search, path = draw(), tmp_path / "searches" / "run_0.npz"
    searches.save(path, search)
    found = searches.load(path)
    np.testing.assert_array_equal(found.drawn, search.drawn)
    assert found.found == 6 and found.kept.keys() == {"decoder"}
    for group, mask in search.kept["decoder"].items():
        np.testing.assert_array_equal(found.kept["decoder"][group], mask)


def test_load_damaged_search_raises_user_error(tmp_path):
    path = tmp_path / "run_0.npz"
    with pytest.raises(UserError, match="there is no such search"):
        searches.load(path)
    searches.save(path, draw())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="is not an intact search"):
        searches.load(path)
    np.savez(path, drawn=np.ones((2, 3)), found=0)
    with pytest.raises(UserError, match="masks are not boolean"):
        searches.load(path)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**31), epochs=st.integers(1, 9), channels=st.integers(1, 40)
)
def test_distances_equal_brute_force(seed, epochs, channels):
    drawn = draw(seed, epochs, channels).drawn
    expected = [[np.mean(a != b) for b in drawn] for a in drawn]
    np.testing.assert_allclose(searches.distances(drawn), expected, atol=1e-12)


@pytest.mark.parametrize("found", [0, 6])
def test_draw_distances_returns_png(found):
    distances = searches.distances(draw().drawn)
    png = figures.draw(heatmaps.distances(distances, found))
    assert png.startswith(b"\x89PNG") and len(png) > 2000
