"""Draws docs/demo.svg: runs `edgeaudio demo` and makes a picture of what it printed.

Owns: the picture's size and place. Does not know: what the demo does. Needs the `demo` extra (rich comes with it).
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"


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
    console.save_svg(str(PICTURE), title="edgeaudio demo")
    return 0


if __name__ == "__main__":
    sys.exit(main())
