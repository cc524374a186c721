"""Draws docs/demo.svg: runs `edgeaudio demo` and makes a picture of what it printed.

Owns: the picture's size and place. Does not know: what the demo does. Needs the `demo` extra (rich comes with it).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.maintenance.terminal_picture import draw_terminal

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"


def main() -> int:
    """Run the demo, and draw what it printed if all was well."""
    done = subprocess.run([sys.executable, "-m", "edgeaudio", "demo"], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)
    if done.returncode:
        return done.returncode
    draw_terminal("make demo", done.stdout.splitlines(), "edgeaudio demo", PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
