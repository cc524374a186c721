"""Draws docs/demo.svg: runs `edgeaudio demo` and makes a picture of what it printed.

Owns: the picture's size and place. Does not know: what the demo does. Needs the `demo` extra (rich comes with it).
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"


def main() -> int:
    """Run the demo, and draw what it printed if all was well."""
    done = subprocess.run([sys.executable, "-m", "edgeaudio", "demo"], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    if done.returncode:
        return done.returncode
    lines = ["$ make demo", *done.stdout.splitlines()]
    console = Console(record=True, width=max(map(len, lines)) + 2, file=io.StringIO())
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    drawing = console.export_svg(title="edgeaudio demo")
    # rich would have the reader's browser fetch a font; any monospaced one will do
    PICTURE.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawing, flags=re.DOTALL))
    return 0


if __name__ == "__main__":
    sys.exit(main())
