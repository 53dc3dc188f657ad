"""Flags of XLA, beside those of the user."""

import os

import pytest

from gen_tickets.cli import xla_flags

KNOWN = "xla_cpu_parallel_codegen_split_count"


@pytest.mark.parametrize(
    "given, expected",
    [
        ("", [f"--{KNOWN}=1"]),
        ("--xla_such=1", ["--xla_such=1", f"--{KNOWN}=1"]),
        (f"--{KNOWN}=8", [f"--{KNOWN}=8"]),
    ],
)
def test_add_keeps_given_flags_and_leaves_out_unknown_ones(
    given, expected, monkeypatch
):
    monkeypatch.setenv("XLA_FLAGS", given)
    for _ in range(2):
        xla_flags.add({"xla_which_does_not_exist": "3", KNOWN: "1"})
    assert os.environ["XLA_FLAGS"].split() == expected
