"""Costs read from the text of a TPU program; compilation for a TPU."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from benchmarks import hlo, tpu_compile

_PROGRAM = """
HloModule jit_stretch, is_scheduled=true

%inner (p.0: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %p.0 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %x.0 = f32[8,128]{1,0:T(8,128)S(1)} get-tuple-element(%p.0), index=1
  ROOT %f.0 = f32[8,128]{1,0:T(8,128)S(1)} fusion(%x.0), kind=kOutput, \
calls=%product, backend_config={"window_config":{"estimated_cycles":"100"}}
}

%three (p.1: (s32[], f32[8,128])) -> pred[] {
  %p.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%p.1), index=0
  %n.1 = s32[]{:T(128)} constant(3)
  ROOT %c.1 = pred[]{:T(512)} compare(%i.1, %n.1), direction=LT
}

%product (p.2: f32[8,128]) -> f32[8,128] {
  %p.2 = f32[8,128]{1,0:T(8,128)S(1)} parameter(0)
  ROOT %d.2 = f32[8,128]{1,0:T(8,128)S(1)} convolution(%p.2, %p.2)
}

%take (p.3: f32[64,128], p.4: s32[]) -> f32[8,128] {
  %p.3 = f32[64,128]{1,0:T(8,128)} parameter(0)
  %p.4 = s32[]{:T(128)S(1)} parameter(1)
  ROOT %s.3 = f32[8,128]{1,0:T(8,128)} dynamic-slice(%p.3, %p.4)
}

%step (p.5: (s32[], s32[], f32[64,128])) -> (s32[], s32[], f32[64,128]) {
  %p.5 = (s32[]{:T(128)}, s32[]{:T(128)S(1)}, f32[64,128]{1,0:T(8,128)}) parameter(0)
  %i.5 = s32[]{:T(128)S(1)} get-tuple-element(%p.5), index=1
  %x.5 = f32[64,128]{1,0:T(8,128)} get-tuple-element(%p.5), index=2
  %f.5 = f32[8,128]{1,0:T(8,128)S(1)} fusion(%x.5, %i.5), kind=kLoop, calls=%take, \
backend_config={"window_config":{"estimated_cycles":"7"}}
  %s.5 = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) \
copy-start(%f.5)
  %d.5 = f32[8,128]{1,0:T(8,128)} copy-done(%s.5)
  %w.5 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)S(1)}) while(%p.5), \
condition=%three, body=%inner
  ROOT %t.5 = (s32[]{:T(128)}, s32[]{:T(128)S(1)}, f32[64,128]{1,0:T(8,128)}) tuple()
}

%many (p.6: (s32[], s32[], f32[64,128])) -> pred[] {
  %p.6 = (s32[]{:T(128)}, s32[]{:T(128)S(1)}, f32[64,128]{1,0:T(8,128)}) parameter(0)
  %i.6 = s32[]{:T(128)} get-tuple-element(%p.6), index=0
  %n.6 = s32[]{:T(128)} get-tuple-element(%p.6), index=1
  ROOT %c.6 = pred[]{:T(512)} compare(%i.6, %n.6), direction=LT
}

ENTRY %main (a: f32[64,128]) -> f32[64,128] {
  %a = f32[64,128]{0,1:T(8,128)} parameter(0)
  %b = f32[64,128]{1,0:T(8,128)} copy(%a), \
backend_config={"window_config":{"estimated_cycles":"5"}}
  %w = (s32[]{:T(128)}, s32[]{:T(128)S(1)}, f32[64,128]{1,0:T(8,128)}) while(%b), \
condition=%many, body=%step
  ROOT %r = f32[64,128]{1,0:T(8,128)} get-tuple-element(%w), index=2
}
"""
_TILE = 8 * 128 * 4  # bytes


def test_costs_inner_loop_is_multiplied_by_its_iterations():
    step, _ = hlo.costs(_PROGRAM)
    assert step.cycles == {"convolution": 3 * 100, "copy": 0, "other": 7}


def test_costs_hbm_bytes_are_of_slices_and_transfers():
    step, _ = hlo.costs(_PROGRAM)
    assert step.hbm_bytes == _TILE + _TILE  # the slice that is read, the one copied


def test_costs_of_call_exclude_its_steps():
    _, call = hlo.costs(_PROGRAM)
    assert call.cycles == {"convolution": 0, "copy": 5, "other": 0}
    read = 128 * 128 * 4  # 64 x 128 with the 64 minor, filled up to 128
    assert call.hbm_bytes == read + 64 * 128 * 4


@pytest.mark.parametrize(
    "shape, size, on_chip",
    [
        ("f32[128,32,32,3]{0,3,2,1:T(4,128)S(1)}", 128 * 4 * 32 * 32 * 4, True),
        ("u8[10,32,32,3]{2,1,3,0:T(8,128)(4,1)}", 10 * 3 * 32 * 128, False),
        ("bf16[100]{0:T(256)}", 256 * 2, False),
        ("f32[]{:T(128)}", 4, False),
    ],
)
def test_array_sizes_are_padded_to_tiles(shape, size, on_chip):
    assert hlo.array_sizes(shape) == [(size, on_chip)]


def test_compile_all_leaves_out_what_does_not_compile(tmp_path, monkeypatch, capsys):
    def compile_one(command, **_):
        model = command[command.index("--worker") + 1]
        known = {"model": model, "layout": "members", "precision": "float32"}
        output = f"{json.dumps(known)}\n" if model == "ae_mnist" else ""
        return subprocess.CompletedProcess(command, int(not output), output)

    monkeypatch.setattr(subprocess, "run", compile_one)
    monkeypatch.setattr(tpu_compile, "describe", str)
    monkeypatch.setattr(tpu_compile.importlib.metadata, "version", str)
    options = argparse.Namespace(output=tmp_path / "x.json", again=False, hlo=None)
    wanted = [(x, "members", "float32") for x in ("ddpm_cifar10", "ae_mnist")]
    assert [row["model"] for row in tpu_compile._compile_all(options, wanted)] == [
        "ae_mnist"
    ]
    assert "ddpm_cifar10 members float32: does not compile" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu has the compiler"
)
@pytest.mark.parametrize("model", ["ae_mnist", "ae_cifar10"])
def test_stretch_compiles_for_tpu_and_fits_a_chip(model, tmp_path):
    output = tmp_path / "table.json"
    # The flags of tests are the CPU compiler's, which libtpu does not know.
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.tpu_compile", f"--output={output}"),
            *(f"--models={model}", "--layouts=members", "--precisions=float32"),
        ],
        check=True,
        env=environment,
    )
    (row,) = json.loads(output.read_text())["programs"]
    assert row["argument_bytes"] + row["temporary_bytes"] < 16 * 2**30
    assert row["flops_over_own"] == pytest.approx(1.0, abs=0.05)
