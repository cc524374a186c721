"""Sections of a model card that tools write and people do not.

Owns: replacing one `## Section` of a Markdown file. Does not know: what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeaudio.errors import EdgeaudioError


def replace_section(card: Path, title: str, lines: Sequence[str]) -> None:
    """Put lines under `## title`, in place of what is there; at the end where there is no such section.

    Raises:
        EdgeaudioError: The card is missing.
    """
    try:
        text = card.read_text()
    except OSError as error:
        raise EdgeaudioError(f"{card}: cannot be read: {error.strerror}") from None
    heading = f"## {title}\n"
    section = heading + "\n" + "\n".join(lines).strip() + "\n"
    before, found, rest = text.partition("\n" + heading)
    if not found:
        card.write_text(text.rstrip() + "\n\n" + section)
        return
    _, follows, after = rest.partition("\n## ")
    card.write_text(before + "\n" + section + (f"\n## {after}" if follows else ""))
