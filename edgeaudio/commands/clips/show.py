"""`edgeaudio clips show`: all that is known of a clip."""

from __future__ import annotations

import sys
from pathlib import Path

from edgeaudio.clips.library import Clip, ClipLibrary
from edgeaudio.clips.record import ClipRecord, Length
from edgeaudio.clock import timestamp
from edgeaudio.commands.clips.shown import json_line, length_s
from edgeaudio.commands.clips.times import local_text
from edgeaudio.console import columns
from edgeaudio.terminal import print_out, width_of

MAX_GAPS_SHOWN = 20


def show(folder: Path, clip_id: str, *, as_json: bool) -> int:
    """Print all about the clip with that id, or the only one whose id begins so. Raises EdgeaudioError."""
    clip = ClipLibrary(folder).find(clip_id)
    if as_json:
        print_out(json_line(clip))
    else:
        print_out("\n".join(columns(_rows(clip), width=width_of(sys.stdout))))
    return 0


def _rows(clip: Clip) -> list[list[str]]:
    record, sound, origin = clip.record, clip.record.sound, clip.record.origin
    ends = "" if record.off_threshold is None else f" and ends under {record.off_threshold:g}"
    limits = "" if record.threshold is None else f"; an event begins at {record.threshold:g}{ends}"
    bitwise = f"{sound.sample_rate} Hz, {sound.channels} channel{'s' if sound.channels > 1 else ''}"
    return [
        ["id", record.id],
        ["when", f"{local_text(record.onset, 'milliseconds')} ({timestamp(record.onset)})"],
        ["source", f"{record.source} of {record.device}"],
        ["label", record.label],
        ["score", f"{record.score:.3f} at its highest{limits}"],
        *_members(record),
        ["model", f"{record.model}, sha256 {record.model_sha256 or 'not known'}"],
        ["event", _event(record)],
        ["clip", f"{length_s(record):.3f} s from {local_text(record.begin, 'milliseconds')}"],
        ["before", _wanted(record.before)],
        ["after", _wanted(record.after)],
        *_gaps(record),
        ["sound", f"{clip.sound}"],
        ["", f"{sound.format}, {bitwise}, {sound.count} samples, {sound.bytes} bytes"],
        ["picture", str(clip.picture) if clip.picture else "none"],
        ["record", str(clip.file)],
        ["stream", f"{origin.sample_rate} Hz; the clip begins at sample {origin.first} of epoch {origin.epoch}"],
        ["kept", "yes: it is never removed" if record.review.keep else "no: it is removed when its time has come"],
        ["written by", record.written_by],
    ]


def _members(record: ClipRecord) -> list[list[str]]:
    lines = (f"{score:.3f} by {name}" for name, score in record.members.items())
    return [["" if i else "of which", line] for i, line in enumerate(lines)]


def _event(record: ClipRecord) -> str:
    sound = record.sound
    begin = f"begins at {sound.onset / sound.sample_rate:.3f} s of the file (sample {sound.onset})"
    if sound.offset is None or record.end is None:
        return f"{begin} and goes on after it"
    end = f"ends at {sound.offset / sound.sample_rate:.3f} s (sample {sound.offset})"
    return f"{begin}, {end}, {(record.end - record.onset).total_seconds():.3f} s"


def _wanted(length: Length) -> str:
    missing = "" if length.got_s >= length.asked_s else ": the clip has less than was asked for"
    return f"{length.got_s:g} s of {length.asked_s:g} s asked for{missing}"


def _gaps(record: ClipRecord) -> list[list[str]]:
    lines = [
        f"{gap.lost_s:g} s missing at {gap.at / record.sound.sample_rate:.3f} s of the file (sample {gap.at})"
        for gap in record.gaps[:MAX_GAPS_SHOWN]
    ]
    if len(record.gaps) > MAX_GAPS_SHOWN:
        lines.append(f"and {len(record.gaps) - MAX_GAPS_SHOWN} more; --json has all")
    return [["" if i else "gaps", line] for i, line in enumerate(lines or ["none"])]
