"""The decoding process of the proof with damaged files: a crash ends it, and not the proof."""

from __future__ import annotations

import gc
import threading
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from edgeaudio.capture import decoding, live_playlists, pauses
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.health.machine import give_back_memory, limit_arenas

LIMIT_S = 1.5  # for an open, and for the first sound: together with a look at the network within the proof's limit
ENOUGH_S = 120.0  # of sound: no undamaged file has more
DECODED = "decoded"
WEIGH = "weigh"  # in place of an address: answer with the memory that is in use


@dataclass(frozen=True, slots=True)
class Decoded:
    """Result of one file."""

    outcome: str  # DECODED, a Reason, or the traceback of an exception that should not be
    heard_s: float
    peak_mb: float  # resident, the most there ever was


def serve(connection: Connection) -> None:
    """Decode each address that comes over the connection and answer with a Decoded; None ends it."""
    limit_arenas()  # as in the agent
    prepare()
    for address in iter(connection.recv, None):
        if address == WEIGH:
            gc.collect()
            give_back_memory()  # what is free, and kept for later, is no growth
            connection.send(_memory_mb("VmRSS"))
        else:
            outcome, heard_s = decode(address)
            connection.send(Decoded(outcome, heard_s, _memory_mb("VmHWM")))


def prepare() -> None:
    """Shorten the wait for a live list that does not grow to that for anything else."""
    decoding._HLS_STALL_S = LIMIT_S
    live_playlists.MIN_STALE_S = live_playlists.MAX_STALE_S = LIMIT_S / 2
    live_playlists.SLACK_S = LIMIT_S / 2
    pauses._KEEP_FOR = 1  # nor is a silence waited out


def decode(address: str) -> tuple[str, float]:
    """Return the outcome, and the seconds of sound."""
    heard_s = 0.0
    config = SourceConfig("mutant", address, open_timeout_s=LIMIT_S, read_timeout_s=LIMIT_S)
    try:
        with open_source(config, threading.Event(), media_start=datetime(2026, 1, 1, tzinfo=UTC)) as opened:
            for block in opened:
                heard_s += block.duration_s
                if heard_s > ENOUGH_S:
                    break
    except SourceError as error:
        return str(error.reason), heard_s
    except Exception:  # noqa: BLE001 (that there is none is what is to be proved)
        return traceback.format_exc(), heard_s
    return DECODED, heard_s


def _memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name))
