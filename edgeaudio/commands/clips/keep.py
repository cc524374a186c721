"""`edgeaudio clips keep`: marks clips that are never to be removed, or takes the mark away."""

from __future__ import annotations

from pathlib import Path

from edgeaudio.clips.library import ClipLibrary, ClipLibraryError
from edgeaudio.commands.clips.choice import named
from edgeaudio.commands.troubles import Troubles
from edgeaudio.terminal import print_out


def keep(folder: Path, ids: tuple[str, ...], *, kept: bool) -> int:
    """Mark the clips with these ids, or take their marks away; 2 if one cannot be. Raises EdgeaudioError."""
    troubles = Troubles()
    library = ClipLibrary(folder)
    for clip in named(library, ids, troubles):
        try:
            library.mark_keep(clip, keep=kept)
        except ClipLibraryError as error:
            troubles.say(str(error))
        else:
            print_out(f"{clip.record.id}: {'kept' if kept else 'no longer kept'}")
    return troubles.status()
