"""Draw docs/centre.svg: which shard of a centre hears which camera, before and after one more shard.

    make picture

Each dot is a camera, in the shard that `edgeaudio.shards` gives it to. Owns: the drawing, and how many there are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeaudio.shards import owner_of
from tools.maintenance.architecture_picture import FONT, style, text

PICTURE = Path(__file__).parents[2] / "docs" / "centre.svg"
CAMERAS = tuple(f"camera-{number}" for number in range(60))
BEFORE, AFTER = 3, 4
WIDTH, HEIGHT = 1040, 226
MARGIN, TOP, GAP = 30, 84, 14
BOX_WIDTH, BOX_HEIGHT = 125, 82
PANEL_X = {BEFORE: MARGIN, AFTER: WIDTH - MARGIN - AFTER * (BOX_WIDTH + GAP) + GAP}
A_ROW, STEP, RADIUS = 7, 15, 5
NOTE = "A dot is a camera; dark ones move. No agent asks another: each takes what is its own from the same settings."


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(draw())
    return 0


def draw() -> str:
    """Return the picture as SVG."""
    count = len(moved())
    title = f"From {BEFORE} to {AFTER} shards, {count} of {len(CAMERAS)} cameras move, all of them to the new one"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="{FONT}">',
        f"<title>{title}</title>",
        f"<style>{style()}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="14"/>',
        text(MARGIN, 38, title, "text", "start", 20, bold=True),
        *(shard(index, shards) for shards in (BEFORE, AFTER) for index in range(shards)),
        text(MARGIN, HEIGHT - 22, NOTE, "small", "start", 13),
        "</svg>",
    ]
    return "\n".join([*parts, ""])


def moved() -> tuple[str, ...]:
    """Return the cameras that the further shard takes."""
    return tuple(name for name in CAMERAS if owner_of(name, BEFORE) != owner_of(name, AFTER))


def cameras_of(index: int, shards: int) -> tuple[str, ...]:
    """Return the cameras of one of so many shards."""
    return tuple(name for name in CAMERAS if owner_of(name, shards) == index)


def shard(index: int, shards: int) -> str:
    """A shard of one of both centres, as a box with its cameras."""
    x = PANEL_X[shards] + index * (BOX_WIDTH + GAP)
    own, going = cameras_of(index, shards), frozenset(moved())
    kind = "store" if shards == AFTER and index >= BEFORE else "box"
    edge = "store-edge" if kind == "store" else "edge"
    parts = [
        text(x, TOP - 12, f"--shard {index}/{shards}", "text", "start", 15, bold=True),
        text(x + BOX_WIDTH, TOP - 12, str(len(own)), "small", "end", 13),
        f'<rect class="{kind} {edge}" x="{x}" y="{TOP}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>',
    ]
    for number, name in enumerate(own):
        at_x = x + 18 + number % A_ROW * STEP
        at_y = TOP + 18 + number // A_ROW * STEP
        dot = "line-fill" if name in going else "outside outside-edge"
        parts.append(f'<circle class="{dot}" cx="{at_x}" cy="{at_y}" r="{RADIUS}"/>')
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
