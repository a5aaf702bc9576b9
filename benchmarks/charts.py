"""Pictures of tables: bars and lines, light, with axes that begin where they should."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.use("Agg")

# Told apart also by those who don't see red and green as two; Fairlead is the one that stands out.
COLOURS: Mapping[str, str] = {
    "none": "#b8b8b8",
    "host": "#b8b8b8",
    "node": "#b8b8b8",
    "host-gw": "#7f7f7f",
    "vxlan": "#e9a45b",
    "routed": "#5aa469",
    "bridge": "#7f7f7f",
    "overlay": "#8fb8de",
    "kuryr": "#e9a45b",
    "fairlead": "#1f5fa8",
}
MARKED = 20
"""Points of a line, at most, that are shown as such."""

_OTHERS = ("#1f5fa8", "#e9a45b", "#5aa469", "#8c6bb1", "#7f7f7f")


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a picture.

    x: the groups of bars, or the places of lines. series: values by name, as many as x; NaN leaves a gap.
    upper: the ends of whiskers by name, in the same unit. unit: what the y axis counts. log: both axes, of lines.
    """

    title: str
    unit: str
    x: Sequence[str] | Sequence[float]
    series: Mapping[str, Sequence[float]]
    upper: Mapping[str, Sequence[float]] = field(default_factory=dict)
    x_label: str = ""
    log: bool = False


def bars(panels: Sequence[Panel], file: Path, title: str, note: str = "") -> Path:
    """Draw groups of bars side by side, whiskers where there are upper ends."""
    figure, axes = _page(len(panels), title, note)
    for panel, ax in zip(panels, axes, strict=True):
        width = 0.8 / len(panel.series)
        for number, (name, values) in enumerate(panel.series.items()):
            places = [place + (number - (len(panel.series) - 1) / 2) * width for place in range(len(panel.x))]
            ax.bar(places, values, width * 0.92, label=name, color=_colour(name, number), zorder=2)
            ends = panel.upper.get(name)
            if ends:
                rise = [max(0.0, end - value) for value, end in zip(values, ends, strict=True)]
                ax.errorbar(
                    places, values, yerr=[[0.0] * len(rise), rise], fmt="none", ecolor="#444444", lw=0.8, capsize=2
                )
        ax.set_xticks(range(len(panel.x)), [str(one) for one in panel.x])
        ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # the legend is above the bars
        _dress(ax, panel)
    return _save(figure, file)


def lines(panels: Sequence[Panel], file: Path, title: str, note: str = "") -> Path:
    """Draw lines over numbers, one for each series."""
    figure, axes = _page(len(panels), title, note)
    for panel, ax in zip(panels, axes, strict=True):
        for number, (name, values) in enumerate(panel.series.items()):
            marker = "o" if len(values) <= MARKED else None
            ax.plot(panel.x, values, marker=marker, ms=4, lw=1.6, label=name, color=_colour(name, number), zorder=2)
        if panel.log:
            ax.set_xscale("symlog", linthresh=10)
            ax.set_xticks(panel.x, [f"{float(one):,.0f}" for one in panel.x])
            ax.minorticks_off()
        ax.set_ylim(0, 1.2 * max(max(values) for values in panel.series.values()))
        _dress(ax, panel)
    return _save(figure, file)


def _page(panels: int, title: str, note: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.6 * panels + 0.6, 4.2), dpi=110, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    if note:
        figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color="#666666")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _dress(ax: Axes, panel: Panel) -> None:
    ax.set_title(panel.title, fontsize=10, loc="left")
    ax.set_ylabel(panel.unit)
    ax.set_xlabel(panel.x_label)
    ax.grid(axis="y", color="#e4e4e4", zorder=0)
    ax.spines[["top", "right"]].set_visible(False)
    if len(panel.series) > 1:
        ax.legend(frameon=False, fontsize=9, ncols=math.ceil(len(panel.series) / 3))


def _colour(name: str, number: int) -> str:
    return COLOURS.get(name, _OTHERS[number % len(_OTHERS)])


def _save(figure: Figure, file: Path) -> Path:
    figure.savefig(file, facecolor="white")
    return file
