"""Figures as SVG text that takes its colours from the page around it (`style.css`)."""

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Matplotlib wants colours; the page wants variables, for light and dark. Each of these stands for
# one and is replaced in the finished SVG.
_VARIABLES = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--grid)",
    "#040404": "var(--event)",
    "#050505": "var(--kernel)",
    "#060606": "var(--path-0)",
    "#070707": "var(--path-1)",
    "#080808": "var(--path-2)",
    "#090909": "var(--path-3)",
    "#0a0a0a": "var(--sender-0)",
    "#0b0b0b": "var(--sender-1)",
    "#0c0c0c": "var(--sender-2)",
}
INK, MUTED, GRID, EVENT, KERNEL, *_REST = _VARIABLES
PATHS, SENDERS = _REST[:4], _REST[4:]
WIDTH = 9.2
STYLE: Any = {  # matplotlib types its settings one by one
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.8,
}


def svg(figure: Figure, title: str) -> str:
    """The figure as an <svg> element, colours replaced by the page's variables."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r"font: ([^;]*?)'[^']*'[^;\"]*", r"font: \1 inherit", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
