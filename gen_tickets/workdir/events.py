"""TensorBoard events of a run, with the writer chosen by `log.writer`."""

import importlib.util
import logging
import os
import pathlib
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gen_tickets.errors import UserError
from gen_tickets.workdir import columns, images, paths

_log = logging.getLogger(__name__)


class EventWriter:
    """TensorBoard events of an experiment; does nothing without TensorBoard.

    A TensorBoard run is a folder of events, such as "winning/round_03" and
    "random/round_03"; TensorBoard overlays runs that have the same tags.

    Events are on disk when a call returns (no thread, no queue), so they survive any
    end of the process. A process that resumes writes its own files; TensorBoard drops
    events of earlier files from the step where the new file starts. TensorFlow is not
    used, because its import takes longer than all others together.
    """

    def __init__(self, folder: str | pathlib.Path | None):
        """Writes into `folder`; None in processes that do not write."""
        self._folder = None if folder is None else pathlib.Path(folder)
        self._files: dict[str, Any] = {}

    def write(self, run: str, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, named as in {"heldout/loss": 0.1}."""
        if file := self._file(run, step):
            values = [{"tag": x, "simple_value": y} for x, y in scalars.items()]
            _put_values(file, step, values)

    def image(self, run: str, step: int, name: str, image: np.ndarray) -> None:
        """Writes uint8 [H, W, C], C = 1 or 3."""
        if file := self._file(run, step):
            height, width, channels = image.shape
            encoded = {
                "height": height,
                "width": width,
                "colorspace": channels,
                "encoded_image_string": images.encode_png(image),
            }
            _put_values(file, step, [{"tag": name, "image": encoded}])

    def text(self, run: str, name: str, text: str) -> None:
        """Writes a text, which TensorBoard shows as Markdown."""
        if file := self._file(run, 0):
            tensor = {"dtype": "DT_STRING", "string_val": [text.encode()]}
            metadata = {"plugin_data": {"plugin_name": "text"}}
            value = {"tag": name, "tensor": tensor, "metadata": metadata}
            _put_values(file, 0, [value])

    def hparams(self, run: str, step: int, values: Mapping[str, Any]) -> None:
        """Writes options and results of a run for the table of the HParams tab.

        Args:
          run, step: of TensorBoard; the table also shows the run's last scalars.
          values: bool, int or float; anything else is written as text.
        """
        if file := self._file(run, step):
            from tensorboard.plugins.hparams import metadata, plugin_data_pb2

            started = plugin_data_pb2.SessionStartInfo()
            for name, value in values.items():
                of_name = started.hparams[name]
                if isinstance(value, bool):
                    of_name.bool_value = value
                elif isinstance(value, int | float):
                    of_name.number_value = value
                else:
                    of_name.string_value = str(value)
            content = plugin_data_pb2.HParamsPluginData(
                session_start_info=started, version=metadata.PLUGIN_DATA_VERSION
            ).SerializeToString()
            plugin = {"plugin_name": metadata.PLUGIN_NAME, "content": content}
            tag = metadata.SESSION_START_INFO_TAG
            value = {"tag": tag, "metadata": {"plugin_data": plugin}}
            _put_values(file, step, [value])

    def close(self) -> None:
        """Closes the files; later calls do nothing."""
        for file in self._files.values():
            file.close()
        self._files, self._folder = {}, None

    def _file(self, run: str, step: int) -> Any:
        """The file of a run, created at this step if needed; None: nothing to write."""
        if self._folder is None:
            return None
        if run not in self._files:
            file = _event_file(self._folder / run)
            if file is None:  # TensorBoard is not installed
                self._folder = None
                return None
            _put_start(file, step)
            self._files[run] = file
        return self._files[run]


class CluWriter:
    """Like `EventWriter`, with `clu.metric_writers`; imports TensorFlow."""

    def __init__(self, folder: pathlib.Path | None):
        """Writes into `folder`; None in processes that do not write."""
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")  # JAX needs the accelerator's memory
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def write(self, run: str, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, named as in {"heldout/loss": 0.1}."""
        self._writer(run).write_scalars(step, scalars)
        self._writer(run).flush()

    def image(self, run: str, step: int, name: str, image: np.ndarray) -> None:
        """Writes uint8 [H, W, C], C = 1 or 3."""
        self._writer(run).write_images(step, {name: image})
        self._writer(run).flush()

    def text(self, run: str, name: str, text: str) -> None:
        """Writes a text, which TensorBoard shows as Markdown."""
        self._writer(run).write_texts(0, {name: text})
        self._writer(run).flush()

    def hparams(self, run: str, step: int, values: Mapping[str, Any]) -> None:
        """Writes options and outcomes of a run for the table of the HParams tab."""
        self._writer(run).write_hparams(values)
        self._writer(run).flush()

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            from clu import metric_writers

            folder = None if self._folder is None else self._folder / run
            self._writers[run] = metric_writers.create_default_writer(
                folder, just_logging=folder is None, asynchronous=False
            )
        return self._writers[run]


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


def over_rounds(arm: str, tag: str) -> str:
    """The TensorBoard run for values of an arm per round; tag: of its training."""
    return str(pathlib.PurePosixPath(arm, tag).parent)


def write_results(
    writer: EventWriter | CluWriter,
    tag: str,
    round_number: int,
    rows: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> None:
    """Writes the means over runs of a round, as curves over rounds and as HParams.

    Args:
      writer: of the events.
      tag, round_number: of the training, such as "round_03"; the step.
      rows: of results.csv, of one round.
      options: shown in the HParams tab besides arm, round and sparsity.
    """
    for arm in dict.fromkeys(row["arm"] for row in rows):
        scalars = _means([row for row in rows if row["arm"] == arm])
        writer.write(over_rounds(arm, tag), round_number, scalars)
        # A separate run, so that writing it again after a kill replaces all of it.
        run = f"{arm}/{tag}/result"
        sparsity = scalars["sparsity/total"]
        place = {"arm": arm, "round": round_number, "sparsity": sparsity}
        writer.hparams(run, round_number, {**place, **options})
        writer.write(run, round_number, scalars)


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Finite means over runs, {"sparsity/encoder": ..., "result/heldout_loss": ...}."""
    means = {"sparsity/total": float(np.mean([row["sparsity"] for row in rows]))}
    for name in dict.fromkeys(name for row in rows for name in row):
        if name.startswith("sparsity_"):
            tag = f"sparsity/{name.removeprefix('sparsity_')}"
        elif columns.find(name).role in ("metric", "progress", "cost"):
            tag = f"result/{name}"
        else:
            continue
        values = [row[name] for row in rows if name in row]
        if np.isfinite(values).all():
            means[tag] = float(np.mean(values))
    return means


def _event_file(folder: str | pathlib.Path) -> Any:
    """A new file of TensorBoard events, or None if it cannot be written."""
    try:
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        _log.info("TensorBoard events are off: %s", error)
        return None
    name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
    path = pathlib.Path(folder) / name
    with paths.disk_errors_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = RecordWriter(open(path, "xb"))
    _put(file, file_version="brain.Event:2")
    return file


def _put_start(file: Any, step: int) -> None:
    """Starts a file: TensorBoard drops the events of earlier files from `step` on."""
    from tensorboard.compat.proto import event_pb2

    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    _put(file, step=step, session_log=start)


def _put_values(file: Any, step: int, values: list[dict[str, Any]]) -> None:
    from tensorboard.compat.proto import summary_pb2

    _put(file, step=step, summary=summary_pb2.Summary(value=values))


def _put(file: Any, **fields: Any) -> None:
    from tensorboard.compat.proto import event_pb2

    event = event_pb2.Event(wall_time=time.time(), **fields)
    with paths.disk_errors_told("TensorBoard's event file"):
        file.write(event.SerializeToString())
        file.flush()
