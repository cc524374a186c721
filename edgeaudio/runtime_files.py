"""The runtime directory: files in memory that outlive the process, and not the machine's.

Owns: where it is. Does not know: what is kept in it.

What is noted often (which segment was heard last) belongs there and not in the state directory: on a memory card each
write counts.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def runtime_dir() -> Path | None:
    """What systemd gives (`RuntimeDirectory=`), else one in the user's own, else /run/edgeaudio if it is there.

    None where there is none that can be written: then nothing is kept over a restart.
    """
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        found = Path(given.partition(":")[0])
    elif users := os.environ.get("XDG_RUNTIME_DIR"):
        found = Path(users) / "edgeaudio"
        with contextlib.suppress(OSError):
            found.mkdir(mode=0o700, exist_ok=True)
    else:
        found = Path("/run/edgeaudio")
    return found if os.access(found, os.W_OK | os.X_OK) and found.is_dir() else None
