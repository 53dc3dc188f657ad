"""Names inside a workdir, and the files that are written there."""

import pathlib

import pytest

from gen_tickets.workdir import paths


def test_write_atomically_new_file_has_default_permissions(tmp_path):
    paths.write_atomically(tmp_path / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("workdir", [".", "./", "../run", "../run/", "sub/.."])
def test_beside_workdir_however_written_is_the_folder_next_to_it(
    workdir, tmp_path, monkeypatch
):
    (tmp_path / "run" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run")
    found = paths.beside(workdir, "-stability")
    assert found.resolve() == (tmp_path / "run-stability").resolve()


def test_paths_of_rounds_sort_in_round_order():
    assert paths.ticket_path("w", 7, 0) == pathlib.Path("w/tickets/round_07/run_0.npz")
    assert (
        paths.sample_path("w", 12, "winning", "samples").as_posix()
        == "w/samples/round_12_winning_samples.png"
    )
