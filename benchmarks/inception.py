"""Compares our metrics with torch-fidelity's on the same images and seeded weights.

    python -m benchmarks.inception --images FAKE --reference REAL

FAKE and REAL are folders of images or .npz files with uint8 `images` [N, H, W, 3]. The
weights are those of tests/inception_reference.py, written as a .pth, so nothing is
downloaded; the values compare the tools and say nothing about the images. Both
extractors take turns over blocks of images; the ratio of their speeds is per block.
Each tool then computes FID, Inception Score and KID from its own features.

Needs torch-fidelity 0.4.0 and torch (`pip install --no-deps torch-fidelity==0.4.0
torchvision==0.28.0 tqdm`); torchvision's wheel is built for CUDA, and the two
operators that it misses on a CPU build of torch are declared here.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
import torch

from benchmarks.train_step import RESULTS, command, hardware
from gen_tickets.evaluation import distances, sources
from gen_tickets.evaluation.features import inception, weights

# By path: torch-fidelity's wheel brings a package named tests along.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
import inception_reference  # noqa: E402

_BLOCK = 128


def _declare_missing_operators():
    """What torchvision's import looks for; the library must be kept alive."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float t) -> Tensor")
    return library


def _write_weights(path) -> None:
    state = inception_reference.seeded_state(weights.state_shapes())
    torch.save({name: torch.from_numpy(x) for name, x in state.items()}, path)


def _ours(path):
    """-> function(uint8 [N, H, W, 3]) to (features, logits)."""
    variables = weights.load_weights(path).variables

    def extract(images):
        found = inception.extract(variables, images)
        return found.features, found.logits

    return extract


def _theirs(path):
    """The same of torch-fidelity, in its own batches of 64."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(path),
    ).eval()

    def extract(images):
        channels_first = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            parts = [network(batch) for batch in channels_first.split(64)]
        return tuple(torch.cat(part).numpy() for part in zip(*parts))

    return extract


def _extract(tools, images):
    """-> {tool: (features, logits)}, and {tool: images a second of each block}."""
    outputs = {name: [] for name in tools}
    speeds = {name: [] for name in tools}
    for turn, start in enumerate(range(0, len(images), _BLOCK)):
        block = images[start : start + _BLOCK]
        # There and back again: a machine that slows down slows neither more.
        for name in list(tools)[:: -1 if turn % 2 else 1]:
            started = time.perf_counter()
            outputs[name].append(tools[name](block))
            speeds[name].append(len(block) / (time.perf_counter() - started))
        done, medians = start + len(block), map(statistics.median, speeds.values())
        print(f"{done}/{len(images)}  img/s {list(medians)}", file=sys.stderr)
    joined = {
        name: tuple(map(np.concatenate, zip(*parts))) for name, parts in outputs.items()
    }
    return joined, speeds


def _our_values(fake, real) -> dict[str, float]:
    moments = [distances.Moments.of(features) for features, _ in (fake, real)]
    kid = distances.kernel_distance(fake[0], real[0])
    score = distances.inception_score(fake[1])
    return {
        "fid": distances.frechet_distance(*moments),
        "kid": kid.mean,
        "kid_std": kid.std,
        "inception_score": score.mean,
        "inception_score_std": score.std,
    }


def _their_values(fake, real) -> dict[str, float]:
    from torch_fidelity import metric_fid, metric_isc, metric_kid

    fake, real = ([torch.from_numpy(x) for x in pair] for pair in (fake, real))
    statistics_of = metric_fid.fid_features_to_statistics
    fid = metric_fid.fid_statistics_to_metric(
        statistics_of(fake[0]), statistics_of(real[0]), False
    )
    kid = metric_kid.kid_features_to_metric(fake[0], real[0], verbose=False)
    # Ours takes the images as they come, which is the original protocol.
    score = metric_isc.isc_features_to_metric(fake[1], shuffle=False)
    return {
        "fid": fid[metric_fid.KEY_METRIC_FID],
        "kid": kid[metric_kid.KEY_METRIC_KID_MEAN],
        "kid_std": kid[metric_kid.KEY_METRIC_KID_STD],
        "inception_score": score[metric_isc.KEY_METRIC_ISC_MEAN],
        "inception_score_std": score[metric_isc.KEY_METRIC_ISC_STD],
    }


def _relative(a, b) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", required=True, help="5,000 generated ones, say")
    parser.add_argument("--reference", required=True, help="at least 2,048 real ones")
    parser.add_argument("--output", default=str(RESULTS / "inception.json"))
    arguments = parser.parse_args()
    fake, real = (
        sources.read_files(f"--{name}", getattr(arguments, name)).train.images
        for name in ("images", "reference")
    )
    library = _declare_missing_operators()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "seeded.pth"
        _write_weights(path)
        tools = {"ours": _ours(path), "torch-fidelity": _theirs(path)}
    del library
    for extract in tools.values():
        extract(fake[:_BLOCK])  # compiles
    of_fake, speeds = _extract(tools, fake)
    of_real, more = _extract(tools, real)
    ratios = [
        a / b
        for found in (speeds, more)
        for a, b in zip(found["ours"], found["torch-fidelity"])
    ]
    results = {
        "command": command(),
        "hardware": hardware(),
        "torch_fidelity": "0.4.0",
        "images": [len(fake), len(real)],
        "values": {
            "ours": _our_values(of_fake["ours"], of_real["ours"]),
            "torch-fidelity": _their_values(
                of_fake["torch-fidelity"], of_real["torch-fidelity"]
            ),
        },
        "relative_difference_of_features": _relative(
            of_fake["ours"][0], of_fake["torch-fidelity"][0]
        ),
        "images_per_second": {
            name: statistics.median([*speeds[name], *more[name]]) for name in tools
        },
        "our_speed_over_theirs": {
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
        },
    }
    print(json.dumps(results, indent=1))
    pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
