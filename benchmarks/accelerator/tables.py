"""The results as a page of Markdown tables."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.accelerator import plan, recommendation, scales, targets
from benchmarks.accelerator.results import Measured
from benchmarks.accelerator.scales import Scale

_GIB = 2.0**30
_NONE = "–"


def line(name: str, result: dict[str, Any], took: float) -> str:
    """One finished measurement, for the terminal."""
    if "error" in result:
        said = result["error"]
    elif "step_seconds" in result:
        said = f"{_times(result)} ms"
    else:
        said = "done"
    return f"{name:70} {said}  [{took:.1f} s]"


def page(scale: Scale, content: dict[str, Any]) -> str:
    """All tables of what is measured so far."""
    measured, device = Measured(content), content["device"]
    versions = (f"{x} {device[x]}" for x in ("jax", "torch") if x in device)
    lines = [
        f"# {device['device']}" + (", narrow networks" if content["smoke"] else ""),
        "",
        f"{', '.join(versions)}; {device['cores']} cores of {device['cpu']}; "
        f"{len(content['measurements'])} measurements in {content['seconds']:.0f} s. "
        "Times are medians, with minimum and maximum over the repetitions.",
        *_targets(scale, measured),
        *_rates(scale, measured),
        *_steps(scale, measured),
        *_torch(scale, measured),
        *_whole_steps(scale, measured),
        *_layers(measured),
        *_recommended(measured),
        *_experiments(measured),
        *_failures(measured),
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]):
    """Lines of a table, none where there is no row."""
    rows = list(rows)
    if not rows:
        return []
    rule = ["---"] * len(header)
    return [
        "",
        f"## {title}",
        "",
        *(f"| {' | '.join(x)} |" for x in (header, rule, *rows)),
    ]


def _times(result: dict[str, Any] | None, members: int = 1) -> str:
    """Milliseconds a step and member."""
    if result is None:
        return _NONE
    of = (1e3 * result["step_seconds"][x] / members for x in ("median", "min", "max"))
    return "{:.3f} ({:.3f} to {:.3f})".format(*of)


def _gib(count: float | None) -> str:
    return _NONE if count is None else f"{count / _GIB:.2f}"


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f} %"


def _targets(scale: Scale, measured: Measured) -> list[str]:
    def bound(target, goal):
        return f"{'≤' if target.at_most else '≥'} {goal:g}"

    rows = (
        (x.what, f"{x.ratio:.2f}", bound(x, x.reach), bound(x, x.aim), x.verdict)
        for x in targets.all_of(scale, measured)
    )
    header = ("ratio", "measured", "to reach", "aim", "")
    return _table("Ratios to reach", header, rows)


def _rates(scale: Scale, measured: Measured) -> list[str]:
    rows = (
        (precision, f"{rate['side']}", f"{rate['flops_per_second'] / 1e12:.2f}")
        for precision in scale.precisions
        if (rate := measured(f"rate/{precision}"))
    )
    return _table("Matrix product", ("precision", "side", "TFLOP/s"), rows)


def _step_rows(scale: Scale, measured: Measured) -> Iterator[Sequence[str]]:
    counts = sorted({*scale.members, *itertools.chain(*scales.LARGE.values())})
    for model, members, precision in itertools.product(
        scale.models, counts, scale.precisions
    ):
        of = {x: measured.step(model, precision, members, x) for x in scales.VARIANTS}
        shown = next((x for x in of.values() if x), None)
        if shown is not None:
            yield (
                model,
                str(members),
                precision,
                *(_times(x, members) for x in of.values()),
                _percent(measured.share_of_rate(model, precision, members)),
                _gib(shown["program_bytes"]),
                _gib(shown["device_peak_bytes"]),
                f"{shown['compile_seconds']:.1f}",
            )


def _steps(scale: Scale, measured: Measured) -> list[str]:
    title = "Training steps, milliseconds a step and member"
    header = ("model", "members", "precision", "masked", "without masks")
    header += ("compacted", "of the product's rate", "GiB of the program")
    header += ("GiB in use at most so far", "s to compile")
    return _table(title, header, _step_rows(scale, measured))


def _torch(scale: Scale, measured: Measured) -> list[str]:
    rows = []
    for model, variant in itertools.product(scale.peers, scale.torch):
        peer = measured(f"torch/{model}/{variant}")
        if peer:
            precision = "bfloat16" if "autocast" in variant else "tf32"
            ours = measured.member_seconds(model, precision, 1, "masked")
            ratio = ours and peer["step_seconds"]["median"] / ours
            memory, first = peer["device_peak_bytes"], peer["first_seconds"]
            row = (_times(peer), f"{ratio:.2f}" if ratio else _NONE, _gib(memory))
            rows.append((model, variant, *row, f"{first:.1f}"))
    header = ("model", "PyTorch", "ms a step", "this / ours, one member")
    header += ("GiB allocated", "s of the first step")
    return _table("PyTorch, masked", header, rows)


def _whole_steps(scale: Scale, measured: Measured) -> list[str]:
    names, rows = plan.candidates(measured.device), []
    for model, precision in itertools.product(scale.models, ("tf32", "bfloat16")):
        for members in scale.populations(model):
            of = [measured.step(model, precision, members, "masked", x) for x in names]
            if all(of):
                times = (_times(x, members) for x in of)
                rows.append((model, str(members), precision, *times))
    title = "Forms of convolutions: a step, ms a member"
    return _table(title, ("model", "members", "precision", *names), rows)


def _layers(measured: Measured) -> list[str]:
    names = plan.candidates(measured.device)
    rows = [
        (layer, str(members), precision, *(f"{1e3 * x:.3f}" for x in seconds))
        for (layer, members, precision), seconds in recommendation.layers(measured)
    ]
    title = "Forms of convolutions: one with both its gradients, ms"
    return _table(title, ("layer", "members", "precision", *names), rows)


def _recommended(measured: Measured) -> list[str]:
    found, device = recommendation.choices(measured), measured.device
    if not found:
        return []
    lines = [
        f"{'Under a vmap' if x.vmapped else 'Alone'}: {x.form}, {x.ratio:.2f} times as "
        f"fast as the other form, by {x.basis}."
        for x in found
    ]
    forms = {False: device.alone, True: device.vmapped}
    forms |= {x.vmapped: x.form for x in found}
    entry = f'    "{device.platform}": Lowering("{forms[False]}", "{forms[True]}"),'
    title = "## The entry of kernels.lowering that follows"
    return ["", title, "", *lines, "", entry]


def _experiments(measured: Measured) -> list[str]:
    rows = []
    for name in measured.all:
        result = measured(name) if name.startswith("experiment/") else None
        if result:
            rate = result["steps_per_second"]
            rate = rate and "{median:.2f} ({min:.2f} to {max:.2f})".format(**rate)
            first = result["first_evaluation_seconds"]
            steps = ", ".join(f"{k}: {v}" for k, v in result["last_steps"].items())
            rows.append(
                (
                    *(name.removeprefix("experiment/"), str(result["runs"])),
                    *(rate or _NONE, steps or _NONE),
                    f"{result['compile_seconds']:.1f} ({result['programs']} programs)",
                    f"{first:.1f}" if first else _NONE,
                )
            )
    header = ("experiment", "runs", "steps/s", "last evaluated step")
    header += ("s to compile", "s to the first evaluation")
    return _table("The driver, evaluations and checkpoints included", header, rows)


def _failures(measured: Measured) -> list[str]:
    rows = (
        (name, result["error"].replace("|", "/"))
        for name, result in measured.all.items()
        if "error" in result
    )
    return _table("Not measured", ("measurement", "why"), rows)
