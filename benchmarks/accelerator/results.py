"""The results of a device in one JSON file, saved after every measurement."""

import json
import pathlib
import re
from typing import Any

from benchmarks.accelerator import plan
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths


class Results:
    """Measurements of one device; those of an earlier run are there already."""

    def __init__(self, folder: str | pathlib.Path, device: dict[str, Any], smoke: bool):
        """Reads what there is.

        Args:
          folder: where the files are, named after the device.
          device: from `device.describe`.
          smoke: results of narrow networks have files of their own.

        Raises:
          UserError: the file is damaged.
        """
        stem = re.sub(r"\W+", "_", device["device"].lower()).strip("_")
        stem += "_smoke" if smoke else ""
        self.json_path = pathlib.Path(folder) / f"{stem}.json"
        self.page_path = self.json_path.with_suffix(".md")
        self.content: dict[str, Any] = {"seconds": 0.0, "measurements": {}}
        if self.json_path.exists():
            try:
                self.content = json.loads(self.json_path.read_text())
            except ValueError as error:
                raise UserError(
                    self.json_path, f"is damaged ({error})", "remove it, or --output"
                ) from None
        self.content |= {"device": device, "smoke": smoke}

    @property
    def measurements(self) -> dict[str, Any]:
        """{name: result}"""
        found: dict[str, Any] = self.content["measurements"]
        return found

    def failed(self, name: str) -> bool:
        return "error" in self.measurements.get(name, {})

    def add(self, name: str, result: dict[str, Any], seconds: float) -> None:
        """Keeps a result; `seconds`: that it took, with the start of its process."""
        self.measurements[name] = {**result, "took_seconds": seconds}
        self.content["seconds"] += seconds

    def save(self, page: str) -> None:
        """Writes the JSON and the page of tables, each as a whole or not at all."""
        text = json.dumps(self.content, indent=1) + "\n"
        paths.write_atomically(self.json_path, text.encode())
        paths.write_atomically(self.page_path, page.encode())


class Measured:
    """What the tables ask of the results; None for what is not measured, or failed."""

    def __init__(self, content: dict[str, Any]):
        described = content["device"]
        self.device = plan.Device(described["platform"], **described["lowering"])
        self.all: dict[str, Any] = content["measurements"]

    def __call__(self, name: str) -> dict[str, Any] | None:
        result = self.all.get(name)
        return None if result is None or "error" in result else result

    def seconds(self, name: str) -> float | None:
        """Median seconds of a step."""
        result = self(name)
        return result and result["step_seconds"]["median"]

    def step(
        self, model: str, precision: str, members: int, variant: str, form: str = ""
    ) -> dict[str, Any] | None:
        """A training step, in the form that the code chooses if none is given."""
        form = form or plan.form_of(self.device, members)
        return self(plan.step_name(model, precision, members, variant, form))

    def member_seconds(
        self, model: str, precision: str, members: int, variant: str, form: str = ""
    ) -> float | None:
        """Median seconds of a training step, divided by the members."""
        result = self.step(model, precision, members, variant, form)
        return result and result["step_seconds"]["median"] / members

    def share_of_rate(self, model: str, precision: str, members: int) -> float | None:
        """FLOP/s of a masked step as a share of the matrix product's."""
        seconds = self.member_seconds(model, precision, members, "masked")
        rate = self(f"rate/{precision}")
        result = self.step(model, precision, members, "masked")
        if seconds is None or rate is None or result is None:
            return None
        return float(result["member_flops"] / seconds / rate["flops_per_second"])
