"""Draws docs/performance.svg: costs beside the floor and the peers, and how costs grow.

Owns: the drawing. Does not know: how anything was measured, or where the picture goes.

Costs are ratios to the floor, or to the other that the target names, on a logarithmic scale. Growth is on logarithmic
scales too, so that growth in proportion is a straight line of one slope. The picture has a background of its own, and
darker colours on dark screens.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from tools.benchmarks.figures import FLOOR, Figure, Growth

OURS = "edgeaudio"
WIDTH, MARGIN = 1040, 30
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
# class -> colour on a light screen, on a dark one
FILLS = {
    "ground": ("#ffffff", "#12181b"),
    "ours": ("#1c7f79", "#4fb8b0"),
    "peer": ("#c3ccd0", "#4b585f"),
    "text": ("#16211f", "#eef4f3"),
    "small": ("#44524f", "#b8c6c3"),
}
STROKES = {
    "line": ("#1c7f79", "#4fb8b0"),
    "axis": ("#33413e", "#c3d0cd"),
    "grid": ("#e3e8ea", "#263035"),
    "dashed": ("#9a6510", "#e2b15a"),
}
# so many figures of a part are drawn; one of the others
_DRAWN = {"streams": 3, "features": 2, "resampling": 2}

_BAR_HEIGHT, _GROUP_GAP = 19, 14
_NAMES_X = 470  # right end of the bars' names
_SCALE_X, _SCALE_WIDTH = 520, 450  # what is left of it and right of it is for numbers
_TITLE_LETTERS = 31
_PANELS, _PANEL_WIDTH, _PANEL_HEIGHT, _PANEL_GAP = 3, 300, 150, 40
_PANEL_X = 48  # for the numbers of its axis
_DIGIT_WIDTH = 7
_NUMBER_WIDTH = 45


class MeasuredPart(Protocol):
    """The part of a report that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def figures(self) -> list[Figure]: ...
    @property
    def growths(self) -> list[Growth]: ...


@dataclass(frozen=True, slots=True)
class Group:
    """Costs of one figure, as multiples of the base's."""

    part: str
    title: str
    base: str
    bars: tuple[tuple[str, float], ...]  # name and multiple, ours first
    target: float | None = None  # the most that ours may be


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic scale, in pixels."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value; what is beyond the scale is at its end."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Return the round values on it: 1, 2 and 5 times each power of ten, or only the powers if those are many."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        factors = (1, 2, 5) if self.high / self.low <= 500 else (1,)
        values = [factor * 10.0**power for power in powers for factor in factors]
        return [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]


def draw(parts: Sequence[MeasuredPart]) -> str:
    """Return the picture as SVG."""
    groups = [group for part in parts for group in _groups(part)]
    growths = [growth for part in parts for growth in part.growths]
    drawn, y = [], MARGIN
    if groups:
        drawn += _heading(
            y,
            "Cost, beside the floor and the peers",
            "Multiples of the cost that is 1: shorter is better. Speeds are drawn as costs. Mark: to be reached.",
        )
        bars, y = _draw_groups(groups, y + 66)
        drawn += bars
    if growths:
        y += 24 if groups else 0
        drawn += _heading(
            y, "Growth of the cost", "Both scales are logarithmic. Dashed: in proportion, from the first point."
        )
        panels, y = _draw_growths(growths, y + 70)
        drawn += panels
    height = y + MARGIN
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="{FONT}">',
        "<title>edgeaudio: cost beside the floor and the peers, and growth</title>",
        f"<style>{_style()}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="14"/>',
    ]
    return "\n".join([*head, *drawn, "</svg>", ""])


def group_of(part: str, figure: Figure) -> Group | None:
    """Return the bars of a figure; None if nothing beside it is a measure."""
    target = figure.target
    base = FLOOR if FLOOR in figure.others else target.over if target is not None else ""
    if base not in figure.others or min(figure.ours, *figure.others.values()) <= 0:
        return None
    is_speed = target is not None and target.at_least
    values = {OURS: figure.ours, **figure.others}
    costs = {name: 1 / value if is_speed else value for name, value in values.items()}
    peers = sorted(name for name in figure.others if name != base)
    peers.sort(key=costs.__getitem__)
    limit = None
    if target is not None and target.over == base:
        limit = 1 / target.limit if is_speed else target.limit
    bars = tuple((name, costs[name] / costs[base]) for name in (OURS, *peers))
    return Group(part, figure.name, base, bars, limit)


def _groups(part: MeasuredPart) -> list[Group]:
    found = [group for figure in part.figures if (group := group_of(part.title, figure))]
    return found[: _DRAWN.get(part.name, 1)]


def _draw_groups(groups: Sequence[Group], y: int) -> tuple[list[str], int]:
    """Return the bars, and where they end."""
    ratios = [ratio for group in groups for _, ratio in group.bars]
    ratios += [group.target for group in groups if group.target is not None]
    scale = Scale(min(0.5, *ratios), max(2.0, *ratios), _SCALE_X, _SCALE_X + _SCALE_WIDTH)
    top, drawn = y, list[str]()
    for group in groups:
        titles = [*textwrap.wrap(group.title, _TITLE_LETTERS), f"1 = {group.base}"]
        drawn.append(_text(MARGIN, y + 13, group.part, "text", bold=True))
        drawn += [_text(MARGIN, y + 13 + 17 * row, title, "small") for row, title in enumerate(titles, 1)]
        for row, (name, ratio) in enumerate(group.bars):
            drawn += _draw_bar(scale, y + row * _BAR_HEIGHT, name, ratio, group.target if row == 0 else None)
        y += max(_BAR_HEIGHT * len(group.bars), 17 * (len(titles) + 1)) + _GROUP_GAP
    grid = []
    for tick in scale.ticks():
        x, kind = scale.at(tick), "axis" if tick == 1 else "grid"
        grid.append(f'<path class="{kind}" d="M{x:.1f} {top - 6}V{y - _GROUP_GAP + 4}"/>')
        grid.append(_text(x, top - 12, f"{tick:g}", "small", "middle", 12))
    return grid + drawn, y


def _draw_bar(scale: Scale, y: float, name: str, ratio: float, target: float | None) -> list[str]:
    one, end = scale.at(1), scale.at(ratio)
    kind = "ours" if name == OURS else "peer"
    left, width = min(one, end), max(2.0, abs(end - one))
    number = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    beside, mark = (end + 6, "start") if ratio >= 1 else (end - 6, "end"), list[str]()
    if target is not None:
        x = scale.at(target)
        mark = [f'<path class="dashed" stroke-width="2.5" d="M{x:.1f} {y - 1}V{y + _BAR_HEIGHT}"/>']
        if ratio >= 1 and 0 < x - end < _NUMBER_WIDTH:
            beside = (x + 6, "start")
    return [
        _text(_NAMES_X, y + 13, name, "text" if name == OURS else "small", "end", 13, bold=name == OURS),
        f'<rect class="{kind}" x="{left:.1f}" y="{y + 2}" width="{width:.1f}" height="{_BAR_HEIGHT - 5}" rx="2"/>',
        _text(beside[0], y + 13, number, "text", beside[1], 12, bold=name == OURS),
        *mark,
    ]


def _draw_growths(growths: Sequence[Growth], y: int) -> tuple[list[str], int]:
    """Return a panel for each, and where they end."""
    drawn = list[str]()
    row_height = _PANEL_HEIGHT + 92
    for place, growth in enumerate(growths):
        row, column = divmod(place, _PANELS)
        drawn += _draw_growth(growth, MARGIN + column * (_PANEL_WIDTH + _PANEL_GAP), y + row * row_height)
    return drawn, y + row_height * math.ceil(len(growths) / _PANELS) - 20


def _draw_growth(growth: Growth, left: int, top: int) -> list[str]:
    points = [(x, y) for x, y in growth.points if x > 0 and y > 0]
    if len(points) < 2:
        return []
    (x_first, y_first), (x_last, _) = points[0], points[-1]
    in_proportion = y_first * x_last / x_first
    values = [y for _, y in points]
    across = Scale(x_first, x_last, left + _PANEL_X, left + _PANEL_WIDTH)
    bottom = top + 26 + _PANEL_HEIGHT
    # what grows little stays flat: its scale spans what growth in proportion would
    upwards = Scale(min(values) / 1.25, max(*values, in_proportion) * 1.25, bottom, top + 26)
    drawn = [
        _text(left, top - 6, growth.name, "text", size=13),
        _text(left, top + 12, growth.unit, "small", size=12),
    ]
    last = -math.inf
    for tick in upwards.ticks():
        y = upwards.at(tick)
        drawn.append(f'<path class="grid" d="M{left + _PANEL_X} {y:.1f}H{left + _PANEL_WIDTH}"/>')
        drawn.append(_text(left + _PANEL_X - 6, y + 4, f"{tick:,g}", "small", "end", 12))
    for x, _ in points:
        place, shown = across.at(x), f"{x:,.3g}" if x < 1000 else f"{x:,.0f}"
        half = len(shown) * _DIGIT_WIDTH / 2
        if place - half > last:
            drawn.append(_text(place, bottom + 16, shown, "small", "middle", 12))
            last = place + half + 4
    begin, end = (across.at(x_first), upwards.at(y_first)), (across.at(x_last), upwards.at(in_proportion))
    straight = "L".join(f"{x:.1f} {y:.1f}" for x, y in (begin, end))
    path = "L".join(f"{across.at(x):.1f} {upwards.at(y):.1f}" for x, y in points)
    drawn += [
        f'<path class="axis" d="M{left + _PANEL_X} {top + 26}V{bottom}H{left + _PANEL_WIDTH}" fill="none"/>',
        f'<path class="dashed" stroke-dasharray="5 5" d="M{straight}"/>',
        f'<path class="line" d="M{path}" fill="none" stroke-width="2"/>',
        *(f'<circle class="ours" cx="{across.at(x):.1f}" cy="{upwards.at(y):.1f}" r="3.5"/>' for x, y in points),
        _text(left + (_PANEL_X + _PANEL_WIDTH) / 2, bottom + 34, growth.grows_with, "small", "middle", 12),
    ]
    return drawn


def _heading(y: int, title: str, below: str) -> list[str]:
    return [_text(MARGIN, y + 14, title, "text", size=20, bold=True), _text(MARGIN, y + 36, below, "small")]


def _style() -> str:
    def rules(index: int) -> str:
        fills = [f".{name}{{fill:{colours[index]}}}" for name, colours in FILLS.items()]
        return "".join(fills + [f".{name}{{stroke:{colours[index]}}}" for name, colours in STROKES.items()])

    return f"{rules(0)}@media (prefers-color-scheme:dark){{{rules(1)}}}"


def _text(
    x: float, y: float, words: str, kind: str, anchor: str = "start", size: int = 13, *, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{weight}>'
        f"{escape(words)}</text>"
    )
