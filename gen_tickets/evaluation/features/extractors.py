"""One interface to the networks that turn images into features."""

from typing import Any, Callable, NamedTuple

from gen_tickets.evaluation.features import classifier, inception, weights


class Extractor(NamedTuple):
    """A network whose features are compared."""

    kind: str  #: "inception" or "classifier"
    fingerprint: str  #: SHA-256 of its weights
    #: uint8 [N, H, W, C] -> object with `features` [N, D] and `logits` [N, K]
    extract: Callable[[Any], Any]
    about: dict  #: further provenance; JSON-able

    def provenance(self) -> dict:
        """Identifies the network; JSON."""
        return {"kind": self.kind, "sha256": self.fingerprint, **self.about}


def of_inception(path=None, download=False) -> Extractor:
    """The Inception network; see `weights.load_weights`.

    Raises:
      UserError: no weights, or wrong ones.
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


def of_classifier(dataset, epochs, width) -> Extractor:
    """The data set's own classifier; see `classifier.load_classifier`.

    Raises:
      UserError: the data set has no labels.
    """
    found = classifier.load_classifier(dataset, epochs, width)
    return Extractor(
        "classifier",
        found.fingerprint,
        found.extract,
        {"accuracy": found.accuracy, **found.key},
    )
