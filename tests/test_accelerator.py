"""Measurements of an accelerator: their order, a run cut off and resumed, tables."""

import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import time

import jax
import pytest

from benchmarks.accelerator import (
    __main__,
    lowering,
    models,
    plan,
    recommendation,
    scales,
    tables,
    targets,
)
from benchmarks.accelerator.results import Measured
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY, choose
from gen_tickets.models import layers

ROOT = pathlib.Path(__file__).parent.parent
GPU = plan.Device("gpu", "library", "library")
EXPERIMENT = {"experiment": "dcgan_cifar10", "seconds": 1.0}


def make(results=None, scale=scales.FULL, parts=plan.PARTS):
    return plan.make(scale, GPU, parts, EXPERIMENT, results or {})


def start(folder):
    command = [sys.executable, "-m", "benchmarks.accelerator", "--smoke"]
    return subprocess.Popen(
        [*command, "--minutes=5", f"--output={folder}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read(folder):
    (path,) = folder.glob("*_smoke.json")
    return json.loads(path.read_text())


def numbers(tree):
    """All times and rates of a result."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name.endswith(("seconds", "per_second", "median", "min", "max")):
                yield from numbers(value) if isinstance(value, dict) else [value]


def test_accelerator_smoke_killed_and_resumed_keeps_results(tmp_path):
    process = start(tmp_path)
    while not list(tmp_path.glob("*.json")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)
    process.kill()
    process.communicate()
    before = read(tmp_path)["measurements"]
    process = start(tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    found = read(tmp_path)["measurements"]
    assert before and all(found[name] == result for name, result in before.items())
    device = plan.Device(jax.default_backend(), *choose())
    expected = plan.make(
        scales.SMOKE, device, plan.PARTS, {"experiment": "ae_mnist"}, found
    )
    if importlib.util.find_spec("torch") is None:
        assert "torch: not installed" in output
        expected = [m for m in expected if m.part != "torch"]
    assert found.keys() == {m.name for m in expected}
    for name, result in found.items():
        assert "error" not in result, (name, result)
        values = [*numbers(result)]
        assert values and all(math.isfinite(x) and x > 0 for x in values), name
    (page,) = tmp_path.glob("*_smoke.md")
    for title in ("Ratios to reach", "Training steps", "kernels.lowering", "driver"):
        assert title in page.read_text()


def test_plan_full_scale_orders_parts_by_priority():
    planned = make()
    names = [m.name for m in planned]
    assert len(set(names)) == len(names)
    assert {m.part for m in planned} == set(plan.PARTS)
    parts = [m.part for m in planned]
    assert parts[:11] == ["rates"] * 3 + ["steps"] * 8
    assert parts[11:17] == ["torch"] * 6
    first = {m.arguments["model"] for m in planned[3:11]}
    assert first == {"dcgan_cifar10", "vae_cifar10"}
    steps = [m for m in planned if m.part == "steps"]
    # Models, members, precisions, variants; and the few of DDPM.
    assert len(steps) == 9 * 4 * 3 * 3 + 5
    assert {m.arguments["model"] for m in steps[-5:]} == {"ddpm_cifar10"}


def test_plan_restricted_to_ddpm_measures_it_alone_and_in_torch_first():
    scale = scales.restrict(scales.FULL, ["ddpm_cifar10"])
    planned = make(scale=scale, parts=("rates", "steps", "torch"))
    assert [m.name for m in planned[3:9]] == [
        *(f"step/ddpm_cifar10/{x}/1/masked/library" for x in ("tf32", "bfloat16")),
        *(f"torch/ddpm_cifar10/{x}" for x in ("channels_last", "autocast")),
        *(f"step/ddpm_cifar10/{x}/3/masked/library" for x in ("tf32", "bfloat16")),
    ]


def test_parse_unknown_model_raises_user_error_with_all_names():
    assert __main__._parse(["--models=ddpm_cifar10,vae_cifar10"]).models
    with pytest.raises(UserError, match="--models=ddpm: is none of dcgan_cifar10, vae"):
        __main__._parse(["--models=vae_cifar10,ddpm"])


@pytest.mark.parametrize("smoke", [True, False])
def test_torch_peer_unet_has_as_many_weights_as_ours(smoke):
    pytest.importorskip("torch")
    from benchmarks import torch_peer
    from benchmarks.accelerator import torch_peers

    options = models.configure("ddpm_cifar10", smoke).model
    peer = torch_peer.unet(torch_peers.setup_of(options))
    task = models.build("ddpm_cifar10", smoke)
    ours = jax.eval_shape(task.init, jax.random.key(0)).params
    count = sum(math.prod(x.shape) for x in jax.tree.leaves(ours))
    assert sum(x.numel() for x in peer.parameters()) == count


def test_plan_with_measured_shapes_includes_layers():
    assert not [m for m in make() if m.kind == "layer"]
    layer = "conv-100x32x32x3-k4-s2-p1-o128"
    shapes = {"shapes/dcgan_cifar10": {"layers": [layer]}}
    timed = [m.arguments for m in make(shapes) if m.kind == "layer"]
    assert len(timed) == 2 * 2 * 2  # members, precisions, lowerings
    assert {x["form"] for x in timed} == {"library", "batched_product"}
    assert {x["layer"] for x in timed} == {layer}


def test_choose_failed_measurement_retries_it_last_and_once(tmp_path):
    results = __main__.Results(tmp_path, {"device": "GPU of mine"}, smoke=False)
    planned, spent = make()[:3], dict.fromkeys(plan.PARTS, 0.0)
    results.add(planned[0].name, {"error": "out of memory"}, 1.0)

    def choose(tried=()):
        return __main__._choose(planned, results, tried, spent, 60.0)

    assert choose() is planned[1]
    for measurement in planned[1:]:
        results.add(measurement.name, {}, 1.0)
    assert choose() is planned[0]
    assert choose(tried={planned[0].name}) is None


def test_choose_part_over_its_time_share_prefers_other_parts(tmp_path):
    results = __main__.Results(tmp_path, {"device": "x"}, smoke=False)
    planned = [m for m in make() if m.part in ("steps", "torch")]
    spent = {**dict.fromkeys(plan.PARTS, 0.0), "steps": 31.0}
    chosen = __main__._choose(planned, results, set(), spent, 60.0)
    assert chosen.part == "torch"
    steps = [m for m in planned if m.part == "steps"]
    assert __main__._choose(steps, results, set(), spent, 60.0) is steps[0]


def test_results_damaged_file_raises_user_error_and_keeps_it(tmp_path):
    path = tmp_path / "gpu_of_mine.json"
    path.write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        __main__.Results(tmp_path, {"device": "GPU of mine"}, smoke=False)
    assert path.read_text() == "{"


@pytest.mark.parametrize("model", ["resnet_dcgan_cifar10", "ae_cifar10"])
def test_shapes_of_model_layers_equal_its_kernels(model):
    """Shapes of the kernels that are timed are those of the model's weights."""
    names = lowering.shapes(scales.SMOKE, model)["layers"]
    task = models.build(model, smoke=True)
    params = jax.eval_shape(task.init, jax.random.key(0)).params
    kernels = {x.shape for x in jax.tree.leaves(params) if x.ndim == 4}
    assert {lowering._parse(name, "float32", LIBRARY)[2] for name in names} == kernels


@pytest.mark.parametrize("extra", [0, 1])
def test_parse_layer_name_gives_the_same_convolution(extra):
    module = layers.ConvTranspose(5, 3, 2, 1, extra, use_bias=False, lowering=LIBRARY)
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    variables = module.init(jax.random.key(1), x)
    name = lowering._name(module, x.shape)
    operator, images, kernel = lowering._parse(name, "float32", LIBRARY)
    assert (images, kernel) == (x.shape, variables["params"]["kernel"].shape)
    found = operator(x, variables["params"]["kernel"])
    assert (found == module.apply(variables, x)).all()


def test_compact_sizes_dcgan_saves_88_percent_of_flops():
    sizes = models.compact_sizes("dcgan_cifar10", smoke=False, multiple=8)
    assert all(count % 8 == 0 for _, counts in sizes for count in counts)
    whole = models.cost("dcgan_cifar10", False).total()
    left = models.cost("dcgan_cifar10", False, sizes).total()
    assert 0.86 < 1 - left / whole < 0.9


def step(milliseconds):
    seconds = milliseconds / 1e3
    times = {"median": seconds, "min": seconds, "max": seconds}
    return {
        "step_seconds": times,
        "member_flops": 1e9,
        "program_bytes": 2**30,
        "device_peak_bytes": None,
        "compile_seconds": 1.0,
        "first_seconds": 1.0,
    }


def content():
    """Results of a GPU: populations are faster as batched products."""
    name, model = plan.step_name, "dcgan_cifar10"
    return {
        "device": {
            "device": "GPU",
            "platform": "gpu",
            "lowering": {"alone": "library", "vmapped": "library"},
            "cores": 1,
            "cpu": "CPU",
        },
        "smoke": False,
        "seconds": 1.0,
        "measurements": {
            "rate/tf32": {"flops_per_second": 1e12, "side": 8},
            name(model, "tf32", 1, "masked", "library"): step(4),
            name(model, "tf32", 1, "compact", "library"): step(0.8),
            name(model, "tf32", 10, "masked", "library"): step(20),
            name(model, "tf32", 10, "masked", "batched_product"): step(10),
            f"torch/{model}/channels_last": step(6),
            f"torch/{model}/eager": step(8),
            f"torch/{model}/compile": {"error": "no compiler | here"},
        },
    }


def test_targets_known_times_give_expected_ratios_and_verdicts():
    found = {x.what: x for x in targets.all_of(scales.FULL, Measured(content()))}
    peer = found["dcgan_cifar10, tf32, masked: PyTorch's channels_last / ours"]
    assert (peer.ratio, peer.verdict) == (pytest.approx(1.5), "aim")
    many = found["dcgan_cifar10, tf32: 10 trainings / 10 members at once"]
    assert (many.ratio, many.verdict) == (pytest.approx(2.0), "reached")
    compact = found["dcgan_cifar10, tf32: dense training / compacted at -88 % FLOPs"]
    assert (compact.ratio, compact.verdict) == (pytest.approx(5.0), "reached")
    rate = found["dcgan_cifar10, tf32, 1 at once: FLOP/s / product's"]
    assert (rate.ratio, rate.verdict) == (pytest.approx(0.25), "reached")
    assert targets.Target("", 1.05, 1.03, 1.01, at_most=True).verdict == "missed"


def test_choices_measured_steps_recommend_the_faster_lowering():
    (choice,) = recommendation.choices(Measured(content()))
    assert choice == (True, "batched_product", pytest.approx(2.0), "1 steps")


def test_choices_without_steps_use_layer_times():
    results, layer = content(), "conv-1x2x2x1-k1-s1-p0-o1"
    results["measurements"] = {
        plan.layer_name(layer, "tf32", members, form): step(milliseconds)
        for members in (1, 10)
        for form, milliseconds in (("library", 3 - members / 5), ("batched_product", 2))
    }
    found = recommendation.choices(Measured(results))
    assert [(x.vmapped, x.form) for x in found] == [
        (False, "batched_product"),
        (True, "library"),
    ]


def test_page_failed_measurement_lists_its_error():
    text = tables.page(scales.FULL, content())
    assert "| torch/dcgan_cifar10/compile | no compiler / here |" in text
    assert '"gpu": Lowering("library", "batched_product"),' in text
