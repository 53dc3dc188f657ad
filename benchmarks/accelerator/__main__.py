"""Benchmarks an accelerator: step times, PyTorch's times, lowerings, an experiment.

    python -m benchmarks.accelerator --minutes=9

Parts, with the most valuable measurements of each first (`plan`):
  rates: FLOP/s of a large matrix product in each precision.
  steps: seconds and memory of a training step of every model of Table 1, for TF32, true
    float32 and bfloat16, 1 to 20 members, masked, without masks, and compacted at 88 %
    fewer FLOPs.
  torch: the same DCGAN, VAE, ResNet-DCGAN and DDPM in PyTorch, if it is installed.
  lowering: every convolution of the models in the two lowerings that compete on the
    device (`kernels.lowering`), and the choice that their times recommend.
  experiment: an experiment of experiments/ through the real driver.

Results are saved after every measurement as <output>/<device>.json, with a page of
tables. It can be stopped at any time; the same command resumes it, and retries failed
measurements at the end. --smoke measures narrow networks, in seconds on a CPU.
--models=ddpm_cifar10 restricts every part to these models: DDPM's U-Net, which needs
minutes to compile, is otherwise the last one.
"""

import argparse
import importlib.util
import pathlib
import signal
import sys
import time

from benchmarks.accelerator import plan, scales, tables
from benchmarks.accelerator.plan import Device, Measurement
from benchmarks.accelerator.results import Results
from benchmarks.accelerator.workers import Unfinished, Workers
from gen_tickets.cli import command_line
from gen_tickets.errors import UserError

_OUTPUT = pathlib.Path(__file__).parent.parent / "results"
_DESCRIBE = Measurement("device", "", "device", {})


def _choose(planned, results, tried, spent, seconds) -> Measurement | None:
    """The next measurement: the first whose part has time left, else the first.

    What failed in an earlier run comes last.
    """
    new = [m for m in planned if m.name not in results.measurements]
    failed = [m for m in planned if results.failed(m.name) and m.name not in tried]
    within = [m for m in new if spent[m.part] < plan.PARTS[m.part] * seconds]
    return next(iter([*within, *new, *failed]), None)


def _measure_all(options, scale, parts, workers, results, started) -> None:
    """Measures until everything is done or the time is over."""
    seconds = 60 * options.minutes
    described = results.content["device"]
    device = Device(described["platform"], **described["lowering"])
    experiment = {
        "experiment": options.experiment or scale.experiment,
        "data": options.data,
        "workdir": options.workdir,
        "seconds": plan.PARTS["experiment"] * seconds / 2,  # the rest compiles
    }
    tried, spent = set(), dict.fromkeys(plan.PARTS, 0.0)
    while time.monotonic() < started + seconds:
        planned = plan.make(scale, device, parts, experiment, results.measurements)
        measurement = _choose(planned, results, tried, spent, seconds)
        if measurement is None:
            return
        begun = time.monotonic()
        try:
            found = workers.measure(measurement, started + seconds)
        except Unfinished:
            return
        took = time.monotonic() - begun
        tried.add(measurement.name)
        spent[measurement.part] += took
        results.add(measurement.name, found, took)
        results.save(_page(scale, results))
        print(tables.line(measurement.name, found, took), flush=True)


def _page(scale: scales.Scale, results: Results) -> str:
    """The tables, also of models that an earlier run measured."""
    return tables.page(scales.restrict(scale, scales.FULL.models), results.content)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.Parser(None, __doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--smoke", action="store_true", help="narrow networks")
    parser.add_argument("--parts", default=",".join(plan.PARTS))
    parser.add_argument("--models", help="only these")
    parser.add_argument("--output", default=str(_OUTPUT), help="folder of the results")
    parser.add_argument(
        "--experiment", default="", help="a name; if none, the first model"
    )
    parser.add_argument("--data", default="", help=".npz with images; random if none")
    parser.add_argument("--workdir", default="", help="of the experiment, to go on")
    options = parser.parse_args(argv)
    for name, allowed in (("parts", plan.PARTS), ("models", scales.FULL.models)):
        given = getattr(options, name)
        for value in () if given is None else given.split(","):
            if value not in allowed:
                parser.error(f"--{name}={value}: is none of {', '.join(allowed)}")
    return options


def _run(argv: list[str]) -> None:
    started, options = time.monotonic(), _parse(argv)
    scale = scales.SMOKE if options.smoke else scales.FULL
    if options.models is not None:
        scale = scales.restrict(scale, options.models.split(","))
    parts = options.parts.split(",")
    if importlib.util.find_spec("torch") is None and "torch" in parts:
        print("torch: not installed, its part is left out", file=sys.stderr)
        parts.remove("torch")
    # A signal ends the process that measures, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with Workers(scale) as workers:
        device = workers.measure(_DESCRIBE, started + 60 * options.minutes)
        if "error" in device:
            raise UserError("the device", device["error"])
        results = Results(options.output, device, options.smoke)
        try:
            _measure_all(options, scale, parts, workers, results, started)
        except KeyboardInterrupt:
            print("stopped; the same command goes on", file=sys.stderr)
    page = _page(scale, results)
    results.save(page)
    print(page)
    print(f"saved: {results.json_path}, {results.page_path}")


if __name__ == "__main__":
    sys.exit(command_line.exit_status(lambda: _run(sys.argv[1:])))
