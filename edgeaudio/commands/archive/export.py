"""`edgeaudio archive export`: events for another program, or the best of them as clips."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edgeaudio.archive.best import Wishes as BestWishes
from edgeaudio.archive.best import cut_best
from edgeaudio.archive.export import writing
from edgeaudio.archive.export.writing import Wishes
from edgeaudio.archive.results import choose_place, require_labels
from edgeaudio.archive.selection import Filters
from edgeaudio.archive.sites import Sites
from edgeaudio.commands.exit_status import EXIT_FAULT
from edgeaudio.commands.troubles import Troubles
from edgeaudio.console import counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import print_out


def export(options: argparse.Namespace, filters: Filters, sites: Sites | None) -> int:
    """Write what was asked for; 1 if some of it was left out. Raises EdgeaudioError."""
    target: Path = options.target
    place = choose_place(options.out, options.results)
    require_labels(place, filters.labels)
    for folder, what in ((place, "the results are"), (options.recordings, "the recordings are")):
        if folder is not None and Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
            raise EdgeaudioError(f"{target}: is where {what}; export to another folder")
    troubles, like_one = Troubles(EXIT_FAULT), 0  # files of which a line names the first
    if options.format == "clips":
        what = counted(_clips(options, place, filters, sites, troubles), "clip")
    else:
        wishes = Wishes(
            format=options.format,
            filters=filters,
            sites=sites,
            merge_s=options.merge,
            recordings="." if options.recordings is None else str(options.recordings.absolute()),
            overwrite=options.overwrite,
        )
        found = writing.export(place, target, wishes, troubles.say)
        what = f"{counted(found.events, 'event')} in {counted(found.files, 'file')}"
        like_one = max(0, found.there - 1)
    left_out = f"; {troubles.count + like_one} left out" if troubles.count else ""
    print_out(f"{target}: {what}{left_out}")
    return troubles.status()


def _clips(options: argparse.Namespace, place: Path, filters: Filters, sites: Sites | None, troubles: Troubles) -> int:
    if options.recordings is None:
        raise EdgeaudioError("clips are cut from the recordings; name their folder by --recordings")
    wishes = BestWishes(
        count=options.best,
        filters=filters,
        recordings=options.recordings,
        format=options.sound,
        sites=sites,
        merge_s=options.merge,
        overwrite=options.overwrite,
    )
    return cut_best(place, options.target, wishes, troubles.say)
