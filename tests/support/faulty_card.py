"""Sound cards that fail as they are told, for ALSA: an external plug-in, compiled where a compiler is."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest
from support.programs import missing, require_program

_count = itertools.count()
_SOURCE = Path(__file__).with_suffix(".c")


def build_plugin(folder: Path) -> None:
    """Put the plug-in `faulty` into a folder for ALSA's plug-ins; skips the test where it cannot be compiled."""
    compiler = require_program("gcc")
    if not Path("/usr/include/alsa/pcm_external.h").exists():
        missing("ALSA's headers (Debian: libasound2-dev)")
    library = folder / "libasound_module_pcm_faulty.so"
    command = [compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-lasound"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "stdint.h: No such file" in done.stderr or "cannot find" in done.stderr:
        missing("the C library's headers (Debian: libc6-dev)")
    assert done.returncode == 0, done.stderr


def use_cards(monkeypatch: pytest.MonkeyPatch, folder: Path, **cards: str) -> None:
    """Have ALSA know of these cards alone, each by its definition: "type faulty open_error 16"."""
    # ALSA reads a file again only where its name or the second of its change is another
    configuration = folder / f"asound-{next(_count)}.conf"
    configuration.write_text("".join(f"pcm.{name} {{ {definition} }}\n" for name, definition in cards.items()))
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    monkeypatch.setenv("ALSA_PLUGIN_DIR", os.fspath(folder))
