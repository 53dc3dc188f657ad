"""Worker processes for measurements: a crash or a hang loses only one measurement.

PyTorch, JAX and the experiment run in separate processes, one at a time, because each
allocates the device's memory. The planning process imports none of them.
"""

import importlib
import multiprocessing
import time
from typing import Any

from benchmarks.accelerator.plan import Measurement
from benchmarks.accelerator.scales import Scale

#: kind of a measurement -> (module, function)
_FUNCTIONS = {
    "rate": ("steps", "rate"),
    "step": ("steps", "step"),
    "shapes": ("lowering", "shapes"),
    "layer": ("lowering", "layer"),
    "torch": ("torch_peers", "measure"),
    "experiment": ("experiment", "measure"),
    "device": ("device", "describe"),
}
_MOST_SECONDS = 300.0  # of a measurement beside its training; a hang is longer


class Unfinished(Exception):
    """The time is over; nothing is known of the measurement."""


def _serve(connection: Any, scale: Scale) -> None:
    """Does what is asked until the other side is gone."""
    while True:
        try:
            kind, arguments = connection.recv()
        except EOFError:
            return
        module, function = _FUNCTIONS[kind]
        try:
            found = importlib.import_module(f"benchmarks.accelerator.{module}")
            result = getattr(found, function)(scale, **arguments)
        except Exception as error:  # becomes the result: the table says what failed
            lines = str(error).splitlines() or [""]
            result = {"error": f"{type(error).__name__}: {lines[0][:300]}"}
        connection.send(result)


class Workers:
    """At most one process at a time; used as a context, at whose end it is stopped."""

    def __init__(self, scale: Scale):
        self._scale = scale
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._connection: Any = None
        self._kind = ""

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process, self._kind = None, ""

    def _start(self, kind: str) -> None:
        self.stop()
        self._connection, theirs = self._context.Pipe()
        arguments = theirs, self._scale
        self._process = self._context.Process(
            target=_serve, args=arguments, daemon=True
        )
        self._process.start()
        theirs.close()  # or its end would never be seen here
        self._kind = kind

    def measure(self, measurement: Measurement, deadline: float) -> dict[str, Any]:
        """The result of a measurement, {"error": ...} where it failed.

        Args:
          measurement: what to do.
          deadline: of `time.monotonic`.

        Raises:
          Unfinished: the deadline came first.
        """
        if self._kind != measurement.worker:
            self._start(measurement.worker)
        try:
            return self._ask(measurement, deadline)
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            return {"error": f"the process ended with exit code {code}"}

    def _ask(self, measurement: Measurement, deadline: float) -> dict[str, Any]:
        """As `measure`; raises EOFError or OSError where the process ends."""
        self._connection.send((measurement.kind, measurement.arguments))
        allowed = _MOST_SECONDS + measurement.arguments.get("seconds", 0.0)
        left = max(deadline - time.monotonic(), 0.0)
        if not self._connection.poll(min(allowed, left)):
            self.stop()
            if left <= allowed:
                raise Unfinished(measurement.name)
            return {"error": f"no result within {allowed:.0f} s"}
        result: dict[str, Any] = self._connection.recv()
        return result
