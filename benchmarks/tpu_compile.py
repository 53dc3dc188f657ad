"""Compiles the training of every model of the paper's Table 1 for TPU v5e, without one.

    pip install libtpu
    python -m benchmarks.tpu_compile

The compiler of libtpu runs on any x86 Linux machine. It compiles the whole stretch of
training (`training.loop`) for the eight chips of a v5litepod-8, in three layouts:

- members: 80 members over 8 chips, the ten of a chip together (`jax.vmap`);
- in_turn: the same members, those of a chip one after another (`jax.lax.map`);
- batch: 5 members on every chip, their batches divided over the chips.

A step is one training step of all members of a chip, on the chip's part of the batch.
For each program, the table in benchmarks/results/tpu_compile.json has

- compile: seconds to compile; arguments and temporaries: GiB per chip;
- GFLOP per step as XLA counts them, and their ratio to our count (`evaluation.flops`).
  Neither counts zeros of padding. XLA counts the body of every loop once, and so does
  the count that it is compared with;
- HBM: bytes per step from and to HBM (`benchmarks.hlo`);
- roofline: the longer of the times for these at 197 TFLOP/s and 819 GB/s;
- cycles: expected by XLA for a step at 1.5 GHz, by category (`benchmarks.hlo`).

float32 differs from bfloat16 in what is stored, not in the products: by default a TPU
multiplies both in bfloat16 and adds in float32. Programs that are already in the file
are skipped; every program is compiled in a separate process and saved at once.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

from benchmarks import tpu

RESULTS = pathlib.Path(__file__).parent / "results"
MODELS = (
    "ae_mnist",
    "ae_cifar10",
    "vae_cifar10",
    "beta_vae_cifar10",
    "resnet_vae_cifar10",
    "dcgan_cifar10",
    "sngan_cifar10",
    "resnet_dcgan_cifar10",
    "wgan_cifar10",
)
PRECISIONS = ("float32", "bfloat16")
FLOPS_A_SECOND, BYTES_A_SECOND, CYCLES_A_SECOND = 197e12, 819e9, 1.5e9
_GIB = 2**30


def roofline_seconds(row: dict) -> float:
    """The least time of a step: of its FLOPs, or of what it moves from and to HBM."""
    return max(row["flops"] / FLOPS_A_SECOND, row["hbm_bytes"] / BYTES_A_SECOND)


_HEAD = (
    f"{'model':21}{'layout':9}{'precision':10}{'compile':>8}{'argum.':>8}{'tempor.':>8}"
    f"{'GFLOP':>8}{'/own':>6}{'HBM':>8}{'roofline':>9}{'cycles':>8}"
    f"{'convol.':>8}{'copies':>7}{'other':>6}\n"
    f"{'':40}{'s':>8}{'GiB':>8}{'GiB':>8}{'a step':>8}{'':6}{'MB':>8}{'ms':>9}{'ms':>8}"
    f"{'%':>8}{'%':>7}{'%':>6}"
)


def describe(row: dict) -> str:
    """A row of the table, under `_HEAD`."""
    cycles = row["cycles"]
    total = sum(cycles.values())
    shares = [100 * cycles[kind] / total for kind in ("convolution", "copy", "other")]
    return (
        f"{row['model']:21}{row['layout']:9}{row['precision']:10}"
        f"{row['compile_seconds']:8.0f}{row['argument_bytes'] / _GIB:8.2f}"
        f"{row['temporary_bytes'] / _GIB:8.2f}{row['flops'] / 1e9:8.1f}"
        f"{row['flops_over_own']:6.2f}{row['hbm_bytes'] / 1e6:8.0f}"
        f"{1e3 * roofline_seconds(row):9.3f}{1e3 * total / CYCLES_A_SECOND:8.3f}"
        f"{shares[0]:8.0f}{shares[1]:7.0f}{shares[2]:6.0f}"
    )


def _key(row: dict):
    return row["model"], row["layout"], row["precision"]


def _compile_all(options, wanted) -> list[dict]:
    """Rows of what is wanted: of the file, or compiled now and added to it."""
    output = pathlib.Path(options.output)
    rows = json.loads(output.read_text())["programs"] if output.exists() else []
    known = {_key(row): row for row in rows}
    for key in wanted:
        if key in known and not options.again:
            continue
        command = [sys.executable, "-m", "benchmarks.tpu_compile", "--worker", *key]
        if options.hlo:
            command += ["--hlo", options.hlo]
        environment = os.environ | tpu.ENVIRONMENT
        found = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=environment, check=True
        )
        known[key] = json.loads(found.stdout.splitlines()[-1])
        print(describe(known[key]), flush=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        versions = {
            name: importlib.metadata.version(name) for name in ("jax", "libtpu")
        }
        results = {"versions": versions, "programs": list(known.values())}
        output.write_text(json.dumps(results, indent=1) + "\n")
    return [known[key] for key in wanted]


def _names(allowed):
    def parse(text: str):
        names = text.split(",")
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"{name!r}: is none of {', '.join(allowed)}"
                )
        return names

    return parse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, allowed in [
        ("models", MODELS),
        ("layouts", tuple(tpu.LAYOUTS)),
        ("precisions", PRECISIONS),
    ]:
        parser.add_argument(
            f"--{name}", type=_names(allowed), default=allowed, help=",".join(allowed)
        )
    parser.add_argument("--output", default=str(RESULTS / "tpu_compile.json"))
    parser.add_argument(
        "--hlo", help="directory for the optimized HLO of every program"
    )
    parser.add_argument(
        "--again", action="store_true", help="compile what is known too"
    )
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(tpu.measure(*options.worker, options.hlo)))
        return
    if importlib.util.find_spec("libtpu") is None:
        parser.error("libtpu is missing, which has the compiler; pip install libtpu")
    wanted = [
        (model, layout, precision)
        for model in options.models
        for layout in options.layouts
        for precision in options.precisions
    ]
    rows = _compile_all(options, wanted)
    print(_HEAD)
    for row in rows:
        print(describe(row))
    print(f"saved: {options.output}")


if __name__ == "__main__":
    main()
