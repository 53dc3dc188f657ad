"""Provenance of a data set, and remarks on it for the user."""

import hashlib
from typing import Any

import ml_collections

from gen_tickets.data import folders
from gen_tickets.data.decoding import NOTES, RESIZE, Facts
from gen_tickets.data.readers import Reader
from gen_tickets.data.stream import Stream


def describe(
    data: ml_collections.ConfigDict,
    reader: Reader,
    train: Any,
    heldout: Any,
    facts: Facts,
) -> dict[str, Any]:
    """The provenance needed to reproduce numbers computed from these images.

    Args:
      data: `config.data`.
      reader: the reader of the images.
      train, heldout: the two `dataset.ImageSet`.
      facts: of all images.
    """
    about = {
        "name": data.name,
        **reader.about,
        "train_split": "train" if reader.heldout else "train without every 10th",
        "heldout_split": reader.heldout or "every 10th of train",
        "num_train": len(train.images),
        "num_heldout": len(heldout.images),
        "limit": data.limit,
        **of_pixels(train.images, data.crop or reader.crop, facts),
        "images": {note: facts[note] for note in NOTES if facts[note]},
        "sha256_train": _digest(train.images),
        "sha256_heldout": _digest(heldout.images),
    }
    if not isinstance(train.images, Stream):
        about["largest_pixel"] = int(train.images.max())
    return about


def of_pixels(images: Any, crop: int, facts: Facts) -> dict[str, Any]:
    """Shape, digest and preprocessing of images; arguments as in `describe`."""
    import PIL

    return {
        "image_size": images.shape[1],
        "channels": images.shape[3],
        "crop": f"centre {crop}x{crop}" if crop else "centre square",
        "resize": f"{RESIZE}, where the size differs",
        "pillow": PIL.__version__,
        "encoding": ", ".join(sorted(facts.keys() - set(NOTES))) or "raw",
    }


def _digest(images: Any) -> str | None:
    """SHA-256 of the pixels; None for a stream, which is never read completely."""
    if isinstance(images, Stream):
        return None
    return hashlib.sha256(images).hexdigest()


def remarks(provenance: dict[str, Any]) -> str:
    """Remarks on a data set for the user before training, as one line; or ""."""
    said = folders.remarks(provenance)
    said += [
        f"{count} images {note}" for note, count in provenance.get("images", {}).items()
    ]
    if provenance.get("largest_pixel", 255) <= 1:
        said.append("all pixels are 0 or 1, of 255: nearly black")
    return f"data.name={provenance['name']}: {'; '.join(said)}" if said else ""
