"""Learning curves as a PNG, with matplotlib."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from gittrack.errors import MissingExtra
from gittrack.report.page import COLORS
from gittrack.report.series import Series, thin
from gittrack.report.text import escape


def curves_picture(charts: Mapping[str, Sequence[Series]], path: str | os.PathLike[str]) -> None:
    """One chart per metric, below each other; raises MissingExtra without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("a PNG needs matplotlib: pip install matplotlib (--html needs nothing more)") from None
    # Not through pyplot: that would choose a backend and keep the figure for ever.
    figure = Figure(figsize=(8, 3.6 * len(charts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(charts), squeeze=False)
    for axis, (name, lines) in zip(axes[:, 0], charts.items(), strict=True):
        for at, line in enumerate(lines):
            drawn = thin(line, 1600)
            alone = sum(y == y for y in drawn.ys) == 1
            axis.plot(
                drawn.xs,
                drawn.ys,
                color=COLORS[at % len(COLORS)],
                marker="o" if alone else None,
                linewidth=1.4,
                label=_plain(line.label),
            )
        axis.set_title(_plain(name), fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.2)
        if len(lines) > 1:
            axis.legend(fontsize=8)
    figure.savefig(path, format="png", dpi=150)


def _plain(text: str) -> str:
    # A dollar sign would begin a formula, and a label with a leading underscore would vanish.
    text = escape(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
