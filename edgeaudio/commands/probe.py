"""`edgeaudio probe`: what does a source hold, and what does it sound like?

Owns: what is shown of a source. Does not know: how it is opened.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.reasons import SourceError
from edgeaudio.capture.source import open_source
from edgeaudio.capture.tracks import AudioInfo, Track
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.patience import SENDER_WAIT_S, Patience
from edgeaudio.commands.target import find_source, told
from edgeaudio.console import clock_time, columns, decibels, knows_unicode, picture
from edgeaudio.recognise.channels import Mixer, power
from edgeaudio.recognise.types import EdgeaudioError, Samples
from edgeaudio.settings import load_settings
from edgeaudio.spectrum import band_levels, peak_dbfs, rms_dbfs
from edgeaudio.terminal import say

BANDS = 14
COLUMNS = 64


def probe(target: str, path: Path | None, options: Sequence[str], seconds: float, *, as_json: bool) -> int:
    """Show what the target holds, after listening for `seconds` of its sound. Raises EdgeaudioError."""
    config, _ = find_source(target, load_settings(path, options))
    try:
        with stopped_by_interrupt() as stop:
            _listen_and_show(config, stop, seconds, as_json=as_json)
    except SourceError as error:
        raise EdgeaudioError(told(error)) from None
    return 0


def _listen_and_show(config: SourceConfig, stop: threading.Event, seconds: float, *, as_json: bool) -> None:
    pieces: list[Samples] = []
    heard_s, failure = 0.0, None
    shape: tuple[int, ...] = ()
    with (
        Patience(config, stop) as patience,
        open_source(config, patience.end, media_start=datetime.now(UTC), sender_wait_s=SENDER_WAIT_S) as connection,
    ):
        try:
            for block in patience.listen(connection, seconds):
                if shape != (shape := (block.sample_rate, *block.samples.shape[1:])):
                    pieces, heard_s = [], 0.0  # the picture is of one format: the latest
                pieces.append(block.samples)
                heard_s += block.duration_s
                if heard_s >= seconds:
                    break
        except SourceError as error:
            failure = error  # what was heard before it is shown all the same
        info = connection.info
    if pieces:
        show = _print_facts if as_json else _show
        show(config, info, np.concatenate(pieces), heard_s)
    if failure:
        raise failure


def _print_facts(config: SourceConfig, info: AudioInfo, samples: Samples, heard_s: float) -> None:
    facts = {
        "source": str(config.address),
        **asdict(info),
        "heard_s": round(heard_s, 3),
        "rms_dbfs": _rounded(rms_dbfs(samples)),
        "peak_dbfs": _rounded(peak_dbfs(samples)),
        "channels_dbfs": [_rounded(rms_dbfs(channel)) for channel in _channels(samples)],
    }
    say(json.dumps(facts))


def _show(config: SourceConfig, info: AudioInfo, samples: Samples, heard_s: float) -> None:
    duration = "live, or of unknown length" if info.duration_s is None else clock_time(info.duration_s)
    rows = [("source", str(config.address)), ("container", info.container), ("length", duration)]
    rows += [
        (f"track {track.index}", _track(track) + (", heard" if track.index == info.track else ""))
        for track in info.tracks
    ]
    rows += [
        ("heard", f"{heard_s:.1f} s"),
        ("level", f"RMS {decibels(rms_dbfs(samples))}, peak {decibels(peak_dbfs(samples))}"),
    ]
    if info.channels > 1:
        levels_dbfs = [decibels(rms_dbfs(channel)) for channel in _channels(samples)]
        rows += [("channels", ", ".join(f"{number}: {level}" for number, level in enumerate(levels_dbfs, 1)))]
    mixer = Mixer(config.channel)
    if samples.ndim > 1:
        mixer.judge(samples, [power(channel) for channel in _channels(samples)])
    if mixer.cancels:
        rows += [("mixed", _cancelled(mixer))]
    say("\n".join(columns(rows)))
    if len(samples) > COLUMNS:
        levels, frequencies_hz = band_levels(mixer.mix(samples), info.sample_rate, BANDS, COLUMNS)
        say()
        say("\n".join(picture(levels, frequencies_hz, heard_s, unicode=knows_unicode(sys.stdout))))


def _channels(samples: Samples) -> list[Samples]:
    return [samples] if samples.ndim == 1 else list(samples.T)


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
