"""What a command printed, as an SVG. Needs rich, which comes with the extra `demo`."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text


def draw_terminal(command: str, printed: Sequence[str], title: str, picture: Path) -> None:
    """Write a picture of a terminal with a command and the lines that it printed."""
    lines = [f"$ {command}", *printed]
    console = Console(record=True, width=max(map(len, lines)) + 2, file=io.StringIO())
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    drawing = console.export_svg(title=title)
    # rich would have the reader's browser fetch a font; any monospaced one will do
    picture.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawing, flags=re.DOTALL))
