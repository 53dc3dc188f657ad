"""Streamed batches equal those of a set held on the devices."""

import types

import numpy as np
import pytest
from PIL import Image
from stops import stopped_at
from test_lottery import assert_trees_equal, configure, make, run

from gen_tickets.config import defaults
from gen_tickets.data import dataset, pipeline
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.procedures import rounds
from gen_tickets.training.population import Population


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(60):
        image = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{i:02d}.png")
    return folder


def options(folder, resident):
    return {
        "data__name": "folder",
        "data__dir": str(folder),
        "data__resident": resident,
        "prune__rounds": 1,
    }


def test_run_streamed_and_resumed_equals_resident(folder, tmp_path):
    """Also stopped in the middle of a round and resumed from the checkpoint."""
    # Populations of one size halve the compilation time.
    arms = {"arms": ("winning",)}
    found, rows = run(tmp_path / "resident", **options(folder, True), **arms)
    with stopped_at(0, 1, 4), pytest.raises(Interrupted):
        run(tmp_path / "streamed", **options(folder, False), **arms)
    streamed, streamed_rows = run(
        tmp_path / "streamed", **options(folder, False), **arms
    )
    for key, ticket in found.items():
        assert_trees_equal(ticket[:3], streamed[key][:3])
    for row, other in zip(rows, streamed_rows, strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}


def test_batches_streamed_equal_order_rows_and_resume_from_state(folder):
    prepared, data = make(configure(**options(folder, False)))
    whole = dataset.load(configure(**options(folder, True))).train.images
    schedule, population = prepared.schedule, prepared.tickets
    per_step, runs = schedule.images_per_step, population.num_runs
    first = data.batches(population, schedule, 3, None)
    batches, order = first.take(2)
    assert order is None and batches.shape[:2] == (2 * runs, data.stretch_steps)
    again = data.batches(population, schedule, 5, first.state())
    for start, taken in ((3, batches), (5, again.take(2)[0])):
        for member in range(2 * runs):
            rows = dataset.order(0, member % runs, len(whole), per_step, start, 2)
            np.testing.assert_array_equal(taken[member, :2], whole[rows])


def test_scored_images_streamed_equal_resident(folder):
    scored = []
    for resident in (True, False):
        config = configure(
            **options(folder, resident),
            prune__method="snip",
            prune__schedule="at_initialization",
        )
        images, rows = rounds.scored_images(*make(config))
        scored.append(np.asarray(images)[np.asarray(rows)])
    np.testing.assert_array_equal(*scored)


@pytest.mark.parametrize(
    "num, count", [(19, 10), (200, 128), (99, 50), (12, 4), (3, 5)]
)
def test_spread_of_a_sorted_set_takes_equally_from_all_its_parts(num, count):
    """Gaps differ by at most 1, also that to the end."""
    found = pipeline._spread(np.arange(num), count)
    assert len(found) == min(num, count) and found[0] == 0
    assert np.diff(found).max() - np.diff(found).min() <= 1
    assert num - found[-1] <= -(-num // len(found))


def test_stretch_steps_are_bounded_in_bytes_and_steps(folder):
    steps = pipeline._stretch_steps(10, (128, 32, 32, 3), 390)
    size = 10 * 128 * 32 * 32 * 3
    assert steps * size <= pipeline._STRETCH_BYTES < (steps + 1) * size
    assert pipeline._stretch_steps(10, (128, 32, 32, 3), 4) == 4
    assert pipeline._stretch_steps(10, (128, 4096, 4096, 3), 4) == 1


def test_needed_marks_only_images_of_local_devices():
    class Sharding:
        def addressable_devices_indices_map(self, shape):
            assert shape == (6, 1, 8)
            return {0: (slice(0, 2), slice(None), slice(0, 4))}

    layout = types.SimpleNamespace(batch_sharding=lambda shape: Sharding())
    population = Population(0, (0, 1, 2), ("winning", "random"), layout)
    needed = pipeline._needed(population, 8)
    assert needed.shape == (3, 8)
    expected = np.zeros((3, 8), bool)
    expected[:2, :4] = True
    np.testing.assert_array_equal(needed, expected)


def test_batches_image_damaged_meanwhile_raises_user_error(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    prepared, data = make(configure(**options(tmp_path, False)))
    for path in tmp_path.iterdir():
        path.write_bytes(b"gone")
    with pytest.raises(UserError, match="images cannot be read"):
        data.batches(prepared.dense, prepared.schedule, 0, None).take(1)


def test_validate_metrics_with_streaming_raises_user_error():
    config = configure(data__resident=False, eval__metrics=("fid",))
    with pytest.raises(UserError, match="eval.metrics=.*data.resident=False"):
        defaults.validate(config)
