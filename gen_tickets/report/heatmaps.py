"""Heat maps: layer sparsity over rounds, mask distances over epochs."""

from collections.abc import Mapping

import numpy as np

from gen_tickets.report.charts import Heatmap

_LEAST = 0.1  # smallest remaining percentage with its own colour
_BAR_TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1)  # remaining, in percent
_MOST_COLUMNS, _MOST_CELLS = 24, 1200  # larger heat maps do not show their values


def layers(sparsities: Mapping[str, Mapping[int, float]]) -> Heatmap:
    """Sparsity in percent, with a row per layer and a column per round.

    Args:
      sparsities: {layer: {round: sparsity in [0, 1]}}, layers from top to bottom.
    """
    rounds = sorted({number for layer in sparsities.values() for number in layer})
    table = 100 * np.array(
        [[layer.get(n, np.nan) for n in rounds] for layer in sparsities.values()]
    )
    remaining = np.maximum(100 - table, _LEAST)
    lowest = min(50.0, np.nanmin(remaining))

    def shade(share: np.ndarray | float) -> np.ndarray:
        """Log scale of the remaining fraction: 98 and 99 % sparsity are far apart."""
        return 1 - np.log(100 / np.asarray(share)) / np.log(100 / lowest)

    return Heatmap(
        name="layers",
        title="Sparsity of each layer (%)",
        xlabel="round",
        ylabel="layer",
        rows=list(sparsities),
        columns=[str(number) for number in rounds],
        values=table.tolist(),
        shades=shade(remaining).tolist(),
        bar="sparsity (%)",
        bar_ticks=[
            (float(shade(share)), f"{100 - share:g}")
            for share in _BAR_TICKS
            if share >= lowest
        ],
        written=len(rounds) <= _MOST_COLUMNS and table.size <= _MOST_CELLS,
    )


def distances(found: np.ndarray, epoch: int, run: int = 0) -> Heatmap:
    """Distances between the channel masks of all epochs.

    Args:
      found: normalised Hamming distances, float [E, E].
      epoch: at which an early-bird ticket was found, from 1; 0: none.
      run: run of the search.
    """
    epochs = [str(number) for number in range(1, len(found) + 1)]
    highest = found.max() or 1.0
    ticks = np.linspace(0, highest, 5)
    told = f"found at epoch {epoch}"
    return Heatmap(
        name=f"mask_distance_{run}",
        title=f"Mask distance, run {run}: {told if epoch else 'no ticket found'}",
        xlabel="epoch",
        ylabel="epoch",
        rows=epochs,
        columns=epochs,
        values=found.tolist(),
        shades=(found / highest).tolist(),
        bar="mask distance",
        bar_ticks=[(float(x / highest), f"{x:.2g}") for x in ticks],
        written=False,
        mark=(epoch - 1, told) if epoch else None,
    )
