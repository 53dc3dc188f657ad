"""Images side by side, as one figure."""

from collections.abc import Mapping, Sequence

import numpy as np

from gen_tickets.report.figures import style


def draw_images(
    names: Sequence[str], lines: Mapping[str, Sequence[np.ndarray | None]]
) -> bytes:
    """Draws images in a table.

    Args:
      names: of the columns.
      lines: {row name: an image for each column, uint8 [H, W] or [H, W, C], or None}.

    Returns:
      PNG bytes.
    """
    count = len(names)
    with style.figure((2.6 * count, 1.5 * len(lines) + 0.3)) as figure:
        table = figure.subplots(len(lines), count, squeeze=False)
        for i, (name, pictures) in enumerate(lines.items()):
            for axes, title, picture in zip(table[i], names, pictures, strict=True):
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
                if picture is not None:
                    axes.imshow(picture, cmap="gray", interpolation="nearest")
                if i == 0:
                    axes.set_title(title, fontsize=9)
            table[i][0].set_ylabel(name)
        figure.subplots_adjust(wspace=0.04, hspace=0.04)
        return style.to_bytes(figure, ("png",))["png"]
