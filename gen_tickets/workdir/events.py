"""TensorBoard events of a run, with the writer chosen by `log.writer`."""

import importlib.util
import logging
import os
import pathlib
import socket
import time
from typing import Any, Mapping

import numpy as np

from gen_tickets.errors import UserError
from gen_tickets.workdir import images

_log = logging.getLogger(__name__)


class EventWriter:
    """TensorBoard events of a run; silently does nothing without TensorBoard.

    Events are on disk when a call returns (no thread, no queue), so those of a finished
    round survive any end of the process. TensorBoard is used without TensorFlow, whose
    import takes longer than all others together.
    """

    def __init__(self, folder: str | pathlib.Path | None):
        """Writes into `folder`; None in processes that do not write."""
        self._file = None if folder is None else _event_file(folder)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, such as {"winning/heldout/loss": 0.1}."""
        if self._file is None:
            return
        from tensorboard.compat.proto import summary_pb2

        values = [
            summary_pb2.Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
        ]
        _put(self._file, step=step, summary=summary_pb2.Summary(value=values))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes uint8 [H, W, C], C = 1 or 3."""
        if self._file is None:
            return
        from tensorboard.compat.proto import summary_pb2

        height, width, channels = image.shape
        encoded = summary_pb2.Summary.Image(
            height=height,
            width=width,
            colorspace=channels,
            encoded_image_string=images.encode_png(image),
        )
        values = [summary_pb2.Summary.Value(tag=name, image=encoded)]
        _put(self._file, step=step, summary=summary_pb2.Summary(value=values))

    def close(self) -> None:
        """Closes the file; later calls do nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


class CluWriter:
    """As `EventWriter`, with `clu.metric_writers`; imports TensorFlow."""

    def __init__(self, folder: pathlib.Path | None):
        """Writes into `folder`; None in processes that do not write."""
        import tensorflow as tf
        from clu import metric_writers

        tf.config.set_visible_devices([], "GPU")  # JAX needs the accelerator's memory
        self._writer = metric_writers.create_default_writer(
            folder or None, just_logging=not folder, asynchronous=False
        )

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, such as {"winning/heldout/loss": 0.1}."""
        self._writer.write_scalars(step, scalars)
        self._writer.flush()

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes uint8 [H, W, C], C = 1 or 3."""
        self._writer.write_images(step, {name: image})
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


def check(name: str) -> None:
    """Raises UserError if the writer of this name needs TensorFlow and lacks it."""
    if name == "clu" and importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            "log.writer='clu'",
            "clu.metric_writers needs TensorFlow, which is not installed",
            'pip install "gen_tickets[tensorflow]", or give tensorboard',
        )


def make(name: str, folder: pathlib.Path | None) -> EventWriter | CluWriter:
    """The writer of this name, into `folder`; None in processes that do not write."""
    return CluWriter(folder) if name == "clu" else EventWriter(folder)


def _event_file(folder: str | pathlib.Path) -> Any:
    """A new file of TensorBoard events, or None if it cannot be written."""
    try:
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        _log.info("TensorBoard events are off: %s", error)
        return None
    name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
    path = pathlib.Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = RecordWriter(open(path, "xb"))
    _put(file, file_version="brain.Event:2")
    return file


def _put(file: Any, **fields: Any) -> None:
    from tensorboard.compat.proto import event_pb2

    event = event_pb2.Event(wall_time=time.time(), **fields)
    file.write(event.SerializeToString())
    file.flush()
