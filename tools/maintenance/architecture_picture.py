"""Draw docs/architecture.svg: what flows through an agent, and where it parts.

    make picture

docs/architecture.md has the same in words. The picture has a background of its own, and darker colours on dark screens,
so that it can be read on any page.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parents[2] / "docs" / "architecture.svg"
WIDTH, HEIGHT = 1040, 545
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
# class -> colour on a light screen, on a dark one
COLOURS = {
    "ground": ("#ffffff", "#12181b"),
    "box": ("#e6f2f1", "#17383a"),
    "edge": ("#1c6e6a", "#5cc0b8"),
    "store": ("#fdf1dc", "#40331a"),
    "store-edge": ("#9a6510", "#e2b15a"),
    "outside": ("#f1f3f4", "#252d31"),
    "outside-edge": ("#5f6b73", "#97a5ad"),
    "text": ("#16211f", "#eef4f3"),
    "small": ("#44524f", "#b8c6c3"),
    "line": ("#33413e", "#c3d0cd"),
}


@dataclass(frozen=True)
class Box:
    """A rectangle with a name and lines below it. Places are in pixels, of its upper left corner."""

    x: int
    y: int
    width: int
    height: int
    name: str
    lines: tuple[str, ...] = ()
    kind: str = "box"
    is_dashed: bool = False


@dataclass(frozen=True)
class Arrow:
    """Straight lines from point to point, with a head at the end, and words at a point."""

    points: tuple[tuple[int, int], ...]
    words: str = ""
    at: tuple[int, int] = (0, 0)
    anchor: str = "middle"


BOXES = (
    Box(30, 80, 150, 110, "sources", ("RTSP, RTMP, HLS,", "files, sound cards,", "pushed streams"), "outside"),
    Box(250, 80, 170, 110, "capture/", ("one thread a source:", "connects, decodes,", "retries")),
    Box(535, 60, 150, 340, "hub", ("hub.py: a bounded", "queue a subscriber;", "the oldest is", "dropped, counted")),
    Box(250, 250, 170, 110, "recogniser", ("recognise/: clips,", "features, model,", "detector; pure")),
    Box(250, 430, 170, 85, "journal", ("outbox/: SQLite", "on the disk"), "store"),
    Box(
        800,
        80,
        210,
        110,
        "your sink",
        ("best effort: disabled", "while it fails or hangs,", "then opened again"),
        is_dashed=True,
    ),
    Box(
        800,
        240,
        210,
        130,
        "MQTT sink",
        (
            "sinks/mqtt/: states, levels,",
            "Home Assistant; sends each",
            "detection until the broker",
            "has acknowledged it",
        ),
    ),
    Box(800, 430, 210, 85, "broker", ("Home Assistant, and", "whoever subscribes"), "outside"),
)
ARROWS = (
    Arrow(((180, 135), (250, 135)), "sound", (213, 126)),
    Arrow(((420, 115), (535, 115)), "Block", (476, 106)),
    Arrow(((420, 160), (535, 160)), "SourceStatus", (476, 178)),
    Arrow(((535, 278), (420, 278)), "Block", (479, 269)),
    Arrow(((420, 330), (535, 330)), "2. publish", (476, 321)),
    Arrow(((335, 360), (335, 430)), "1. commit", (346, 400), "start"),
    Arrow(((685, 135), (800, 135)), "what it accepts", (741, 126)),
    Arrow(((685, 285), (800, 285)), "Event, Level,", (741, 276)),
    Arrow(((420, 472), (735, 472), (735, 335), (800, 335)), "detections, at least once", (577, 462)),
    Arrow(((905, 370), (905, 430)), "MQTT", (916, 405), "start"),
)
NOTES = ((476, 348, "Event, Scores,"), (476, 365, "Level"), (741, 303, "SourceStatus"))


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(draw())
    return 0


def draw() -> str:
    """Return the picture as SVG."""
    marker = (
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="line-fill" d="M0 0L10 5L0 10z"/></marker></defs>'
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="{FONT}">',
        "<title>edgeaudio: sources, capture, hub, recogniser, journal, sinks</title>",
        f"<style>{style()}</style>",
        marker,
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="14"/>',
        text(30, 38, "What flows through an agent", "text", "start", 20, bold=True),
        *map(draw_arrow, ARROWS),
        *map(draw_box, BOXES),
        *(text(x, y, words, "small", "middle", 13) for x, y, words in NOTES),
        "</svg>",
    ]
    return "\n".join([*parts, ""])


def style() -> str:
    """The colours of each class, and those for dark screens."""

    def rules(index: int) -> str:
        found = []
        for name, colours in COLOURS.items():
            if name.endswith("edge") or name == "line":
                found.append(f".{name}{{stroke:{colours[index]}}}")
            else:
                found.append(f".{name}{{fill:{colours[index]}}}")
        return "".join([*found, f".line-fill{{fill:{COLOURS['line'][index]}}}"])

    return f"{rules(0)}@media (prefers-color-scheme:dark){{{rules(1)}}}"


def draw_box(box: Box) -> str:
    """A box, its name and its lines."""
    edge = "edge" if box.kind == "box" else f"{box.kind}-edge"
    dashed = ' stroke-dasharray="6 4"' if box.is_dashed else ""
    middle = box.x + box.width // 2
    rect = (
        f'<rect class="{box.kind} {edge}" x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="8" '
        f'stroke-width="1.6"{dashed}/>'
    )
    name = text(middle, box.y + 28, box.name, "text", "middle", 17, bold=True)
    lines = [
        text(middle, box.y + 52 + 18 * number, line, "small", "middle", 13) for number, line in enumerate(box.lines)
    ]
    return "\n".join([rect, name, *lines])


def draw_arrow(arrow: Arrow) -> str:
    """An arrow and its words."""
    path = "M" + "L".join(f"{x} {y}" for x, y in arrow.points)
    line = f'<path class="line" d="{path}" fill="none" stroke-width="1.8" marker-end="url(#head)"/>'
    return "\n".join([line, text(*arrow.at, arrow.words, "small", arrow.anchor, 13)] if arrow.words else [line])


def text(x: int, y: int, words: str, kind: str, anchor: str, size: int, *, bold: bool = False) -> str:
    """One line of text."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{weight}>{escape(words)}</text>'
    )


if __name__ == "__main__":
    sys.exit(main())
