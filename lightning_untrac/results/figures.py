"""What every picture of a run has in common: text as it is, a heading, and whole files."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.style import INK, SUBTITLE
from lightning_untrac.tables.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@contextmanager
def plain_text() -> Iterator[None]:
    """Draw names as they are: a dollar sign in a corpus name is no formula, a missing glyph no reason to fail."""
    import matplotlib as mpl
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    fonts = ("Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
    settings: Any = {
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "font.family": [name for name in fonts if name in known] or ["sans-serif"],
        "text.color": INK,
        "axes.labelcolor": INK,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float, pad: float = 0.04) -> Figure:
    """A figure of that many inches, laid out by its content with ``pad`` inches around each part, on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def shared_bins(sides: Sequence[npt.NDArray[np.float64]], count: int) -> npt.NDArray[np.float64]:
    """Edges of bins for all histograms of a picture, but for the outer hundredths of each, which join the last bin.

    Where values come in steps, such as shares of a few tokens, each bin holds as many steps as any other: else they
    would look like a comb.

    Args:
        sides: values of each histogram; those that are not finite are passed over.
        count: bins at most.

    Returns:
        ``[bins + 1]``.

    >>> shared_bins([np.arange(9) / 8], 5)
    array([-0.0625,  0.1875,  0.4375,  0.6875,  0.9375,  1.1875])
    """
    finite = [side[np.isfinite(side)] for side in sides]
    finite = [side for side in finite if len(side)]
    if not finite:
        return np.linspace(0.0, 1.0, count + 1)
    low = min(float(np.quantile(side, 0.005, method="nearest")) for side in finite)
    high = max(float(np.quantile(side, 0.995, method="nearest")) for side in finite)
    if math.isclose(low, high):
        return np.linspace(low - 0.5, high + 0.5, count + 1)
    step = float(np.median(np.diff(np.unique(np.concatenate(finite)))))
    low, high = low - step / 2, high + step / 2
    width = step * math.ceil((high - low) / count / step - 1e-9)
    return np.asarray(low + width * np.arange(math.ceil((high - low) / width - 1e-9) + 1), dtype=np.float64)


def limit_to_bins(axes: Axes, edges: npt.NDArray[np.float64]) -> None:
    """Let an axis of x hold the bins; where there are two, as of right and wrong, only the values have a tick."""
    axes.set_xlim(edges[0], edges[-1])
    if len(edges) == 3:
        axes.set_xticks((edges[:-1] + edges[1:]) / 2)


def part_title(shown: int, of: int, what: str) -> str:
    """How many of many things a picture shows; empty where it shows all.

    >>> part_title(12, 40, "test sets")
    '12 of 40 test sets'
    """
    return f"{shown} of {of} {what}" if shown < of else ""


def seeds_title(num_seeds: int) -> str:
    """How many seeds are behind the numbers."""
    return "one seed" if num_seeds == 1 else f"mean of {num_seeds} seeds"


def add_heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title and subtitle, flush left and wrapped, in a strip above everything else.

    Args:
        figure: Where to write; it grows by the height of the strip.
        title: In bold.
        subtitle: In grey below.
    """
    import textwrap

    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = figure.get_size_inches()
    room = width - 0.3
    lines = textwrap.wrap(title, max(24, int(room * 9.6)))
    glued = subtitle.replace("  \u00b7  ", "\u00a0\u00a0\u00b7  ")  # no line starts with the separator
    small = [line.rstrip("\u00a0\u00b7 ") for line in textwrap.wrap(glued, max(30, int(room * 11.6)))]
    strip = 0.16 + 0.235 * len(lines) + 0.215 * len(small) + 0.1
    height += strip
    figure.set_size_inches(width, height)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0.1 / width, 0.06 / height, 1.0 - 0.2 / width, 1.0 - strip / height))
    left, top = 0.15 / width, 1.0 - 0.16 / height
    figure.text(left, top, "\n".join(lines), ha="left", va="top", fontsize=12.5, fontweight="bold", linespacing=1.25)
    below = top - (0.235 * len(lines) + 0.02) / height
    figure.text(left, below, "\n".join(small), ha="left", va="top", fontsize=11, color=SUBTITLE, linespacing=1.3)


def file_name(method: str) -> str:
    """A method's name as part of a file name.

    >>> file_name("leave_out (other seeds)")
    'leave_out_other_seeds'
    """
    return re.sub(r"[^\w.-]+", "_", method).strip("_.") or "method"


def _pixels(figure: Figure, dpi: int) -> npt.NDArray[np.uint8]:
    """A figure as drawn, ``[height, width, 4]``; ``savefig`` would draw twice and pack it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    engine, canvas, before = figure.get_layout_engine(), figure.canvas, figure.dpi
    try:
        agg = FigureCanvasAgg(figure)
        figure.set_dpi(dpi)
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")  # it would go through every part once more
        agg.draw()
        return np.array(agg.buffer_rgba())
    finally:
        figure.set_dpi(before)
        figure.set_layout_engine(engine)
        figure.set_canvas(canvas)


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 160) -> Path:
    """Write a figure as PNG, whole or not at all; equal figures give equal bytes.

    Args:
        figure: What to draw.
        path: Where the file is to appear.
        dpi: Pixels per inch.

    Returns:
        The path.
    """
    from PIL import Image

    with plain_text(), atomic_path(path) as beside:
        drawn = Image.fromarray(_pixels(figure, dpi))
        # A palette of 256 colours is a third of the bytes, and to the eye the same picture.
        picture = drawn.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        picture.save(beside, format="png", optimize=True, dpi=(dpi, dpi))
    return Path(path)
