"""`edgeaudio probe`: tracks, level and spectrum of a source.

Owns: what is shown of a source. Does not know: how it is opened.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import Connection, open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.pipe import kind_of
from edgeaudio.capture.tracks import AudioInfo, Track
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.progress import Progress
from edgeaudio.commands.signal_summary import SignalSummary
from edgeaudio.commands.source_argument import failure_line, find_source
from edgeaudio.commands.waiting import SENDER_WAIT_S, WaitMonitor
from edgeaudio.console import clock_time, columns, decibels, knows_unicode, picture, picture_margin
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.channels import Mixer
from edgeaudio.settings import load_settings
from edgeaudio.terminal import print_out, width_of
from edgeaudio.types import Block

LIVE_S = 5.0
USUAL_WIDTH = 80  # of the picture, where there is no terminal


def probe(target: str, path: Path | None, options: Sequence[str], seconds: float | None, *, as_json: bool) -> int:
    """Show tracks, level and spectrum of `seconds` of a source. Raises EdgeaudioError.

    seconds: None for all of a recording, and LIVE_S of a live source.
    """
    config, _ = find_source(target, load_settings(path, options))
    try:
        with stopped_by_interrupt() as stop:
            _listen_and_show(config, stop, seconds, as_json=as_json)
    except SourceError as error:
        raise EdgeaudioError(failure_line(error)) from None
    return 0


def _first(block: Block, seconds: float) -> Block:
    """Return the beginning of a block, at most that long."""
    return replace(block, samples=block.samples[: ceil(seconds * block.sample_rate)])


def _listen_and_show(config: SourceConfig, stop: threading.Event, seconds: float | None, *, as_json: bool) -> None:
    heard = SignalSummary(config.channel)
    failure = None
    with (
        WaitMonitor(config, stop) as monitor,
        open_source(config, monitor.end, media_start=datetime.now(UTC), sender_wait_s=SENDER_WAIT_S) as connection,
        Progress(table_grows=False) as progress,
    ):
        if seconds is None and not _is_whole(config, connection):
            seconds = LIVE_S
        try:
            for block in monitor.listen(connection, seconds):
                heard.add(block if seconds is None else _first(block, seconds - heard.duration_s))
                progress.show(heard.duration_s, seconds or connection.info.duration_s)
                if seconds is not None and heard.duration_s >= seconds:
                    break
        except SourceError as error:
            failure = error  # what was received before it is shown all the same
        info = connection.info
        recorded = connection.recorded
    if heard.duration_s:
        heard.finish()
        if as_json:
            _print_facts(config, info, heard)
        else:
            _show(config, info, heard, recorded=recorded)
    if failure:
        raise failure


def _is_whole(config: SourceConfig, connection: Connection) -> bool:
    """True for a recording that has an end; a pipe may have none."""
    path = config.address.path
    return connection.recorded and (path is None or kind_of(path) is None)


def _print_facts(config: SourceConfig, info: AudioInfo, heard: SignalSummary) -> None:
    facts = {
        "source": str(config.address),
        **asdict(info),
        "heard_s": round(heard.duration_s, 3),
        "rms_dbfs": _rounded(heard.rms_dbfs),
        "peak_dbfs": _rounded(heard.peak_dbfs),
        "channels_dbfs": [_rounded(level) for level in heard.channels_dbfs],
    }
    print_out(json.dumps(facts))


def _show(config: SourceConfig, info: AudioInfo, heard: SignalSummary, *, recorded: bool) -> None:
    duration = "live, or of unknown length" if info.duration_s is None else clock_time(info.duration_s)
    rows = [("source", str(config.address)), ("container", info.container), ("length", duration)]
    rows += [
        (f"track {track.index}", _track(track) + (", heard" if track.index == info.track else ""))
        for track in info.tracks
    ]
    rows += [
        ("heard", f"{heard.duration_s:.1f} s"),
        ("level", f"RMS {decibels(heard.rms_dbfs)}, peak {decibels(heard.peak_dbfs)}"),
    ]
    if info.channels > 1:
        levels = [decibels(level) for level in heard.channels_dbfs]
        rows += [("channels", ", ".join(f"{number}: {level}" for number, level in enumerate(levels, 1)))]
    if heard.mixer.cancels:
        rows += [("mixed", _cancelled(heard.mixer))]
    width = width_of(sys.stdout)
    print_out("\n".join(columns(rows, width=width)))
    frequencies_hz = heard.frequencies_hz
    levels_dbfs = heard.levels((width or USUAL_WIDTH) - picture_margin(frequencies_hz))
    if levels_dbfs is not None:
        bounds = ("0", clock_time(heard.duration_s)) if recorded else (f"-{heard.duration_s:.0f} s", "0")
        print_out()
        print_out("\n".join(picture(levels_dbfs, frequencies_hz, bounds, unicode=knows_unicode(sys.stdout))))


def _cancelled(mixer: Mixer) -> str:
    remedy = "set channel to the number of one" if mixer.heard == "mix" else f"channel {mixer.heard} is taken"
    return f"the channels cancel each other out; {remedy}"


def _track(track: Track) -> str:
    parts = [track.kind, track.codec]
    if track.sample_rate:
        parts.append(f"{track.sample_rate} Hz")
    if track.channels:
        parts.append("1 channel" if track.channels == 1 else f"{track.channels} channels")
    if track.language:
        parts.append(track.language)
    return ", ".join(parts)


def _rounded(level_dbfs: float | None) -> float | None:
    return None if level_dbfs is None else round(level_dbfs, 1)
