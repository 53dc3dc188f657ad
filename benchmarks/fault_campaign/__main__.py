"""Faults done to small experiments, again and again: the results must not know of it.

    python -m benchmarks.fault_campaign --minutes=60 [--only=kills,network]

Runs an experiment undisturbed, then again and again with faults of one kind after the
other, each started again with the same command until it has come to its end. Its
results must be those of the undisturbed run, bit for bit, so far after each fault and
all of them at the end, and every refusal one line. Prints a table; what was counted is
kept in --folder, and the same command goes on from there. Exit status 1 where anything
was lost: the workdir and log are kept. "preemption of 20 DCGANs" is not among the kinds
unless --only asks for it.
"""

import argparse
import json
import pathlib
import random
import shutil
import sys
import time
from typing import Any

from benchmarks.fault_campaign.checks import Loss
from benchmarks.fault_campaign.kinds import KINDS, LARGE_KINDS
from gen_tickets.workdir import paths

State = dict[str, dict[str, Any]]


def _read(path: pathlib.Path) -> State:
    return json.loads(path.read_text()) if path.exists() else {}


def _trial(kind: str, number: int, seed: int, folder: pathlib.Path) -> dict[str, Any]:
    """One trial; -> {"counted": ..., "losses": [...], "seconds": ...}."""
    place = folder / f"{kind.replace(' ', '_')}_{number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    started, losses = time.monotonic(), []
    counted: dict[str, float] = {}
    try:
        counted = (KINDS | LARGE_KINDS)[kind](
            place, random.Random(f"{seed}, {kind}, {number}")
        )
        shutil.rmtree(place)
    except Loss as loss:
        losses.append(f"trial {number}: {loss}")
    seconds = time.monotonic() - started
    return {"counted": counted, "losses": losses, "seconds": seconds}


def _add(total: dict[str, Any], found: dict[str, Any]) -> None:
    """Adds a trial to what was counted of its kind.

    One that came to its end before any fault was done proves nothing, and is counted
    apart.
    """
    counted = total.setdefault("counted", {})
    is_idle = not found["losses"] and not next(iter(found["counted"].values()))
    name = "idle" if is_idle else "trials"
    total[name] = total.get(name, 0) + 1
    total["seconds"] = total.get("seconds", 0.0) + found["seconds"]
    total["losses"] = [*total.get("losses", []), *found["losses"]]
    if is_idle:
        return
    for name, value in found["counted"].items():
        before = counted.get(name, 0)
        is_largest = name.startswith(("longest", "largest"))
        counted[name] = max(before, value) if is_largest else before + value


def _table(state: State) -> str:
    lines = [
        "| faults | trials | without a fault | counted | losses |",
        "|---|---|---|---|---|",
    ]
    for kind, total in state.items():
        counted = ", ".join(
            f"{value:.1f} {name}" if isinstance(value, float) else f"{value} {name}"
            for name, value in total["counted"].items()
        )
        lines.append(
            f"| {kind} | {total['trials']} | {total.get('idle', 0)} | {counted} | "
            f"{len(total['losses'])} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=pathlib.Path, default=pathlib.Path("runs/fault_campaign")
    )
    options = parser.parse_args()
    chosen, folder = options.only.split(","), options.folder.resolve()
    kinds = KINDS | LARGE_KINDS
    if not set(chosen) <= set(kinds):
        parser.error(f"--only takes some of {', '.join(kinds)}")
    state_path = folder / "campaign.json"
    state = _read(state_path)
    deadline = time.monotonic() + 60 * options.minutes
    while time.monotonic() < deadline:
        # The kind that had least time so far, so that a short campaign has all.
        kind = min(chosen, key=lambda x: state.get(x, {}).get("seconds", 0.0))
        total = state.setdefault(kind, {"counted": {}, "losses": [], "trials": 0})
        number = total["trials"] + total.get("idle", 0)
        _add(total, _trial(kind, number, options.seed, folder))
        paths.write_atomically(state_path, json.dumps(state, indent=1).encode())
        print(f"{kind}: {total}"[:300], file=sys.stderr, flush=True)
    print(_table(state))
    losses = [loss for total in state.values() for loss in total["losses"]]
    print(*losses, sep="\n", file=sys.stderr)
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
