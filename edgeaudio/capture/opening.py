"""Opening of a source in FFmpeg, and the other modes of a camera that refuses one.

Owns: the call to `av.open`, its limit, and the memory that one connection leaves for the next.
Does not know: tracks, samples, Blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import av
from av.container.input import InputContainer

from edgeaudio.capture.alsa import prepare_alsa
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.errors import FFMPEG_ERRORS, Call, SourceError, StoppedError, classify
from edgeaudio.capture.ffmpeg_limits import bound_allocations
from edgeaudio.capture.ffmpeg_log import recorded
from edgeaudio.capture.heard_segments import HeardSegments
from edgeaudio.capture.http_proxy import HttpProxy
from edgeaudio.capture.network_probe import PROBING_S
from edgeaudio.capture.options import ProbeLimits, ffmpeg_call
from edgeaudio.capture.pipe import Pipe, kind_of
from edgeaudio.capture.rtsp_push import PendingSender
from edgeaudio.capture.rtsp_setup import RtspMode, RtspSetup
from edgeaudio.capture.tracks import may_hold_more
from edgeaudio.types import Reason

# tags in an old encoding must not make a recording unreadable; the default from PyAV 19 on
_TAGS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
# a pushed source waits for its sender; without any limit PyAV would not call the clock
LISTEN_S = 86400.0
# FFmpeg polls for a card's first samples in a busy loop; if there are none, reading waits for them
_CARD_S = 1.0
# cameras serve few sessions at once, and need time to end the refused one
_FALLBACK_PAUSE_S = 0.5
# possible answers of a camera that refuses audio only; a wrong login or path is wrong for all tracks, too
_REFUSALS = {Reason.INVALID_DATA, Reason.TIMEOUT, Reason.END_OF_STREAM, Reason.UNSUPPORTED_TRANSPORT}
_MOST_TRIES = 3


@dataclass(slots=True)
class SourceMemory:
    """Facts that one connection of a source leaves for the next."""

    rtsp_setup: RtspSetup = field(default_factory=RtspSetup)
    epoch: int = -1  # of the last Block; epochs count on over connections
    heard_until_s: float = float("-inf")  # end of the last live Block; older sound was heard
    no_pause_until_s: float = float("-inf")  # after a wait in vain; monotonic
    pauses: bool = False  # the sender has come back from a pause
    played_s: float = 0.0  # of an unfinished recording
    heard: HeardSegments = field(default_factory=HeardSegments)  # of live HLS playlists
    received: Callable[[], int] | None = None  # bytes of the present connection; None: not counted
    begins_late: bool = False  # the short probe found no sound, the long one did

    @classmethod
    def of(cls, config: SourceConfig, recalled: RtspMode | None = None, heard: HeardSegments | None = None) -> Self:
        """Return an empty memory with the stored RTSP mode and heard segments."""
        asked = config.address.is_rtsp
        rtsp_setup = RtspSetup(config.media, config.transport, recalled) if asked else RtspSetup("all", "tcp")
        return cls(rtsp_setup, heard=HeardSegments() if heard is None else heard)


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened source."""

    container: InputContainer
    pipe: Pipe | None  # that the container reads, to be closed after it


# enough for most streams; with its own 5 MB and 5 s FFmpeg waits for tracks that may never come
_SHORT_LOOK = ProbeLimits(1_000_000, 2.0)


def longest_open_s(config: SourceConfig, sender_wait_s: float | None) -> float:
    """Return the seconds that an open may take, without name resolution."""
    if config.address.is_pushed or not config.address.is_network:
        return _open_limit_s(config, sender_wait_s)
    tries = _MOST_TRIES if config.address.is_rtsp else 2  # the second with a longer probe
    return tries * config.open_timeout_s + (tries - 1) * _FALLBACK_PAUSE_S + PROBING_S


def _open_limit_s(config: SourceConfig, sender_wait_s: float | None) -> float:
    if config.address.is_pushed:
        return LISTEN_S if sender_wait_s is None else sender_wait_s
    if config.address.path is not None and sender_wait_s is not None:
        return max(sender_wait_s, config.open_timeout_s)
    if config.address.scheme == "alsa":
        return min(config.open_timeout_s, _CARD_S)
    return config.open_timeout_s


def open_container(
    config: SourceConfig,
    deadline: Deadline,
    stop: threading.Event,
    memory: SourceMemory,
    proxy: HttpProxy | None = None,
    sender_wait_s: float | None = None,
) -> Opened:
    """Return the opened source; of RTSP without its video, if the camera allows it. `proxy`: for HTTP.

    Raises SourceError, and StoppedError soon after `stop` is set.
    """
    limit_s = _open_limit_s(config, sender_wait_s)
    rtsp_setup = memory.rtsp_setup
    if not config.address.is_rtsp:
        return _open_probing(config, deadline, stop, memory, proxy, limit_s)
    try:
        return _open(config, deadline, stop, proxy, limit_s, rtsp_setup.mode)
    except SourceError as error:
        if deadline.expired:
            rtsp_setup.toggle_audio_only()
        elif error.reason in _REFUSALS:
            for mode in rtsp_setup.others(transport_refused=error.reason is Reason.UNSUPPORTED_TRANSPORT):
                stop.wait(_FALLBACK_PAUSE_S)
                with suppress(SourceError):
                    opened = _open(config, deadline, stop, proxy, limit_s, mode)
                    rtsp_setup.accepted(mode)
                    return opened
        raise


def _open_probing(
    config: SourceConfig,
    deadline: Deadline,
    stop: threading.Event,
    memory: SourceMemory,
    proxy: HttpProxy | None,
    limit_s: float,
) -> Opened:
    """Open with a short probe; with a long one if that finds no sound and the format may bring some later."""
    long_look = ProbeLimits(config.probe_bytes, config.probe_s)
    short = ProbeLimits(min(_SHORT_LOOK.most_bytes, long_look.most_bytes), min(_SHORT_LOOK.most_s, long_look.most_s))
    read_once = config.address.path is not None and kind_of(config.address.path) is not None
    if memory.begins_late or read_once or short == long_look:
        return _open(config, deadline, stop, proxy, limit_s, RtspMode("all"), long_look)
    opened = _open(config, deadline, stop, proxy, limit_s, RtspMode("all"), short)
    if opened.container.streams.audio or not may_hold_more(opened.container):
        return opened
    opened.container.close()
    opened = _open(config, deadline, stop, proxy, limit_s, RtspMode("all"), long_look)
    memory.begins_late = bool(opened.container.streams.audio)
    return opened


def _open(
    config: SourceConfig,
    deadline: Deadline,
    stop: threading.Event,
    proxy: HttpProxy | None,
    limit_s: float,
    mode: RtspMode,
    look: ProbeLimits = _SHORT_LOOK,
) -> Opened:
    call = ffmpeg_call(config, mode, look, proxy=None if proxy is None else proxy.url)
    if config.address.scheme == "alsa":
        prepare_alsa()
    bound_allocations()
    pipe: Pipe | None = None
    deadline.limit(limit_s)
    sender: PendingSender | None = None
    if config.address.is_pushed:
        sender = deadline.on_wait = PendingSender(config.address.port or 0, deadline, config.open_timeout_s)
    with deadline, recorded() as log:
        try:
            if config.address.path is not None and kind_of(config.address.path) not in {None, "directory"}:
                pipe = Pipe(config.address.path, deadline)
            container: InputContainer = av.open(
                pipe or call.file,
                "r",
                format=call.format,
                options=call.options,
                **_TAGS,
                # behind the deadline, and what makes PyAV install the callback that the deadline uses
                timeout=(limit_s, config.read_timeout_s),
            )
        except FFMPEG_ERRORS as error:
            # breaks the cycle of traceback, frame and exception, which keeps FFmpeg's memory
            failure = error.with_traceback(None)
        else:
            # FFmpeg may have opened a part of the source after a final refusal
            if not stop.is_set() and (proxy is None or proxy.failure is None or not proxy.failure.final):
                return Opened(container, pipe)
            container.close()
            failure = OSError()
        finally:
            deadline.on_wait = None  # breaks a reference cycle
    if pipe is not None:
        pipe.close()
    # outside the handler, so that no traceback holds FFmpeg's message with the login
    if stop.is_set():
        raise StoppedError(f"source {config.name}: stopped while opening")
    circumstances = Call(
        opening=True,
        timed_out=deadline.expired,
        limit_s=limit_s,
        over_udp=mode.transport == "udp",
        log=log,
        received=0 if proxy is None else proxy.received,
    )
    raise (
        _by_sender(config, circumstances, pipe, sender)
        or proxied_failure(config, proxy)
        or classify(config, failure, circumstances)
    )


def _by_sender(config: SourceConfig, call: Call, pipe: Pipe | None, sender: PendingSender | None) -> SourceError | None:
    """Return what is wrong with the writer of a pipe, or the sender of a pushed source."""
    reason, detail = Reason.TIMEOUT, f"somebody connected to it, and pushed nothing within {config.open_timeout_s:g} s"
    hint = "see that the sender pushes by RTSP over TCP, and that nothing else connects to this port"
    if pipe is not None and pipe.received == 0 and not call.timed_out:
        reason, detail = Reason.INVALID_DATA, "it ended before anything was written to it"
        hint = "look at the program that writes"
    elif sender is None or not sender.came or not call.timed_out:
        return None
    return SourceError(config.name, config.address, reason, detail, hint)


def proxied_failure(config: SourceConfig, proxy: HttpProxy | None) -> SourceError | None:
    """Return why the source cannot be read, as far as the proxy knows; None if nothing failed behind it."""
    failure = None if proxy is None else proxy.failure
    if failure is None:
        return None
    return SourceError(config.name, config.address, failure.reason, failure.detail, failure.hint)
