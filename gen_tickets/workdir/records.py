"""What a run writes down: tables (CSV), image grids (PNG), TensorBoard events.

A table is a list of dicts, one a line of the file: `results.csv` has a row a round,
run and arm, `layers.csv` a row a round, run and layer. A column that a row does not
have is an empty cell; a number that is not finite is `nan`. Files are replaced whole
and atomically, so a killed run leaves the table of its last finished round.
Images are uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB).
"""

import csv
import io
import logging
import math
import os
import pathlib
import socket
import time
from typing import Any, Mapping, Sequence

import numpy as np
from PIL import Image

from gen_tickets.errors import UserError
from gen_tickets.workdir import paths

ARMS = ("dense", "winning", "random", "transferred", "early_bird")
TEXTS = ("arm", "layer", "evaluation")
BOOLS = ("diverged",)
INTEGERS = (
    "round",
    "run",
    "steps",
    "floored_layers",
    "early_stop_step",
    "found_epoch",
    "search_epochs",
    "num_samples",
    "total",
    "kept",
)

_log = logging.getLogger(__name__)


def write_rows(path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replaces the table at `path` by `rows`, of which there must be one or more.

    Columns are the union of the rows' keys in first-seen order. Floats are written
    with as many digits as give the same float64 back.
    """
    if not rows:
        raise ValueError(f"{path}: a table needs at least one row")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            [_format(name, row[name]) if name in row else "" for name in columns]
        )
    paths.write_atomically(path, text.getvalue().encode())


def read_rows(path) -> list[dict[str, Any]]:
    """Returns the rows of the table at `path`, each value with its own type.

    Text: arm, layer, evaluation. Bool: diverged. Int: round, run and the other counts
    (nan where unknown). All other columns are floats. An empty cell is left out of its
    row.

    Raises:
      UserError: the file is missing, empty, cut short or no table of ours.
    """
    try:
        text = pathlib.Path(path).read_bytes().decode()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}; a workdir has it after its first round"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a table of text") from error
    if not text.endswith("\n"):
        raise UserError(f"{path}: is empty or cut short; restore it or start anew")
    try:
        columns, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path}: is not a table of gen_tickets") from error
    if not {"round", "run"} <= set(columns) or len(set(columns)) < len(columns):
        raise UserError(f"{path}: is not a table of gen_tickets: columns {columns}")
    if not lines:
        raise UserError(f"{path}: holds no rows; restore it or start anew")
    return [_parse(path, i, columns, line) for i, line in enumerate(lines, start=2)]


def _format(name: str, value) -> str:
    if name in TEXTS:
        return str(value)
    value = np.asarray(value).item()
    if isinstance(value, str):
        raise ValueError(f"column {name!r}: {value!r} is no number")
    if isinstance(value, (bool, int)):
        return str(value)
    return repr(float(value)) if math.isfinite(value) else "nan"


def _parse(path, line_number: int, columns, cells) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise UserError(
            f"{path}: line {line_number} has {len(cells)} of {len(columns)} cells; "
            "restore the file or start anew"
        )
    row: dict[str, Any] = {}
    for name, cell in zip(columns, cells):
        if cell == "":
            continue
        try:
            row[name] = _value(name, cell)
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{path}: line {line_number}, column {name}: {cell!r} has no meaning "
                "there"
            ) from error
    return row


def _value(name: str, cell: str):
    if name in TEXTS:
        return cell
    if name in BOOLS:
        return {"True": True, "False": False}[cell]
    if name in INTEGERS and cell != "nan":
        return int(cell)
    return float(cell)


def replace_round(rows, round_number: int, new_rows) -> list[dict[str, Any]]:
    """Returns `rows` with those of one round replaced by `new_rows`, in table order.

    Order: round, arm (in the order of ARMS), run; rows that agree in these, such
    as the layers of one run, stay as they were given.
    """
    if any(row["round"] != round_number for row in new_rows):
        raise ValueError(f"rows of another round among those of round {round_number}")
    kept = [row for row in rows if row["round"] != round_number]
    return sorted(kept + list(new_rows), key=_place)


def _place(row) -> tuple:
    arm = row["arm"] if "arm" in row else ""
    rank = ARMS.index(arm) if arm in ARMS else len(ARMS)
    return row["round"], rank, arm, row["run"]


def image_grid(images: np.ndarray, columns: int, border: int = 2) -> np.ndarray:
    """Returns one picture of all images, row by row, white lines between them.

    Args:
      images: uint8 [N, H, W, C], N >= 1.
      columns: images in a line; a short last line is filled up with white.
      border: width of the lines, in pixels, also around the outside.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(f"{images.dtype} {images.shape}: expected uint8 [N, H, W, C]")
    num, height, width, channels = images.shape
    columns = max(1, min(columns, num))
    lines = -(-num // columns)
    cells = np.full(
        (lines * columns, height + border, width + border, channels), 255, np.uint8
    )
    cells[:num, border:, border:] = images
    # [lines, columns, h, w, c] -> [lines, h, columns, w, c] -> one picture
    cells = cells.reshape((lines, columns) + cells.shape[1:]).swapaxes(1, 2)
    grid = cells.reshape(lines * (height + border), columns * (width + border), -1)
    return np.pad(grid, ((0, border), (0, border), (0, 0)), constant_values=255)


def write_image(path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, C] as PNG, grey if C = 1, RGB if C = 3; atomically."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"{image.dtype} {image.shape}: expected uint8 [H, W, 1 or 3]")
    data = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(data, "PNG")
    paths.write_atomically(path, data.getvalue())


class EventWriter:
    """TensorBoard events of a run; silently does nothing without TensorBoard.

    Each call is on the disk when it returns (no thread, no queue), so an event of a
    finished round outlives any end of the process. TensorBoard writes here without
    TensorFlow, whose import would cost every start more seconds than all others.
    """

    def __init__(self, folder):
        """Writes into `folder`; False: nowhere, for another process does."""
        self._file = _event_file(folder) if folder else None

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, named as in {"winning/heldout_loss": 0.1}."""
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


def _event_file(folder):
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


def _put(file, **fields) -> None:
    from tensorboard.compat.proto import event_pb2

    event = event_pb2.Event(wall_time=time.time(), **fields)
    file.write(event.SerializeToString())
    file.flush()
