"""Feature extractors: a common interface to Inception, the classifier and pixels."""

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from gen_tickets.evaluation.features import classifier, inception, pixels, weights
from gen_tickets.evaluation.scores import Outputs


class Extractor(NamedTuple):
    """What computes the features that are compared."""

    kind: str  #: "inception", "classifier" or "pixels"
    fingerprint: str  #: SHA-256 of its weights; pixels have none: ""
    #: uint8 [N, H, W, C] -> object with `features` [N, D] and `logits` [N, K]
    extract: Callable[[ArrayLike], Outputs]
    about: dict[str, Any]  #: further provenance; JSON-serializable

    def provenance(self) -> dict:
        """Identifies the network; JSON-serializable."""
        return {"kind": self.kind, "sha256": self.fingerprint, **self.about}


def of_inception(path: str | None = None, download: bool = False) -> Extractor:
    """The Inception network; see `weights.load_weights`.

    Raises:
      UserError: no weights, or invalid ones.
    """
    found = weights.load_weights(path or None, download)
    return Extractor(
        "inception",
        found.fingerprint,
        lambda images: inception.extract(found.variables, images),
        {
            "weights": found.path.name,
            "public": found.fingerprint == weights.SHA256,
            "resize": "TensorFlow 1 bilinear to 299, (x - 128) / 128",
        },
    )


def of_classifier(found: classifier.Classifier) -> Extractor:
    """The data set's own classifier, from `classifier.load_classifier`."""
    return Extractor(
        "classifier",
        found.fingerprint,
        found.extract,
        {"accuracy": found.accuracy, **found.key},
    )


def of_pixels() -> Extractor:
    """The images themselves, made small, see `pixels.extract`."""
    return Extractor("pixels", "", pixels.extract, {"side": pixels.SIDE})
