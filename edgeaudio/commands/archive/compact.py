"""`edgeaudio archive compact`: one file a month of the results."""

from __future__ import annotations

from pathlib import Path

from edgeaudio.archive import compact as compacting
from edgeaudio.archive.results import choose_place
from edgeaudio.commands.exit_status import EXIT_FAULT
from edgeaudio.commands.troubles import Troubles
from edgeaudio.console import counted
from edgeaudio.terminal import print_out


def compact(out: Path, results: str | None) -> int:
    """Compact a place; 1 if some results stay as they are. Raises EdgeaudioError."""
    place = choose_place(out, results)
    troubles = Troubles(EXIT_FAULT)
    done = compacting.compact(place, troubles.say)
    left = f"; {done.left_out} left as they are" if done.left_out else ""
    print_out(f"{place}: {counted(done.parts, 'result')} into {counted(done.months, 'month')}{left}")
    return troubles.status()
