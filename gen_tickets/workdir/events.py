"""TensorBoard events of a run."""

import logging
import os
import pathlib
import socket
import time
from typing import Any, Mapping

_log = logging.getLogger(__name__)


class EventWriter:
    """TensorBoard events of a run; silently does nothing without TensorBoard.

    Each call is on the disk when it returns (no thread, no queue), so an event of a
    finished round outlives any end of the process. TensorBoard writes here without
    TensorFlow, whose import would cost every start more seconds than all others.
    """

    def __init__(self, folder: str | pathlib.Path | None):
        """Writes into `folder`; None: nowhere, for another process does."""
        self._file = None if folder is None else _event_file(folder)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, named as in {"winning/heldout/loss": 0.1}."""
        if self._file is None:
            return
        from tensorboard.compat.proto import summary_pb2

        values = [
            summary_pb2.Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
        ]
        _put(self._file, step=step, summary=summary_pb2.Summary(value=values))

    def close(self) -> None:
        """Closes the file; later calls do nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _event_file(folder: str | pathlib.Path) -> Any:
    """A new file of TensorBoard events, begun; None where it cannot be written."""
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
