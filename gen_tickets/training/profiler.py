"""Traces of training steps, for the profile page of TensorBoard."""

import contextlib
import pathlib
import sys

import jax
from clu import profiler


class Profiler:
    """Traces the first training steps after compilation.

    Each traced step is a separate, annotated stretch, so that TensorBoard's overview
    shows the step time.
    """

    def __init__(self, folder: pathlib.Path | None = None, num_steps: int = 0):
        """Starts no trace yet.

        Args:
          folder: of TensorBoard; None in processes that only count steps, so that all
            processes run the same stretches.
          num_steps: steps to trace; 0 = none.
        """
        self._folder, self._steps_left = folder, num_steps
        self._is_compiled = self._is_tracing = False
        self._marker = contextlib.ExitStack()

    def begin(self, num_steps: int) -> int:
        """Starts the trace when it is due; returns how many of the steps to run now."""
        if not self._is_compiled or self._steps_left == 0:
            return num_steps
        if not self._is_tracing:
            self._is_tracing = True
            if self._folder is not None:
                profiler.start(str(self._folder))
        self._marker.enter_context(
            jax.profiler.StepTraceAnnotation("train", step_num=self._steps_left)
        )
        return min(num_steps, 1)

    def end(self, num_steps: int) -> None:
        """Counts the steps that were run; the last one ends the trace."""
        self._is_compiled = True
        self._marker.close()
        if self._is_tracing:
            self._steps_left -= num_steps
            if self._steps_left == 0:
                self.close()

    def close(self) -> None:
        """Ends the trace at the end of a training; the next training compiles again."""
        self._marker.close()
        if self._is_tracing and self._folder is not None:
            profiler.stop()
            print(f"profile: tensorboard --logdir={self._folder}", file=sys.stderr)
        if self._is_tracing:
            self._steps_left = 0
        self._is_compiled = self._is_tracing = False
