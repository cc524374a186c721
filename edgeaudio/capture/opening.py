"""Opens a source in FFmpeg, with the retries that belong to it: the other ways to ask a camera that refuses one.

Owns: the call to `av.open`, its limit, and what one connection remembers for the next.
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

# tags in an old encoding must not make a recording unreadable; from 19 on PyAV sees to that itself
_TAGS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
# one who listens for a push waits; PyAV asks no clock where there is no limit at all
LISTEN_S = 86400.0
# a card's first samples, for which FFmpeg asks without a pause; opened without them, it is waited for while it is read
_CARD_S = 1.0
# cameras serve few sessions at once, and need a moment to end the one that was refused
_FALLBACK_PAUSE_S = 0.5
# what a camera that refuses to set up audio alone may answer; a login or a path that is wrong
# stays wrong with the full stream
_REFUSALS = {Reason.INVALID_DATA, Reason.TIMEOUT, Reason.END_OF_STREAM, Reason.UNSUPPORTED_TRANSPORT}
_MOST_TRIES = 3


@dataclass(slots=True)
class SourceMemory:
    """What one connection learned that helps the next one of the same source."""

    rtsp_setup: RtspSetup = field(default_factory=RtspSetup)
    epoch: int = -1  # of the last Block; epochs count on over connections
    heard_until_s: float = float("-inf")  # end of the last live Block: what is older than that was heard
    no_pause_until_s: float = float("-inf")  # a silence was waited out for nothing; monotonic
    pauses: bool = False  # the sender sends nothing while it is quiet: it has come back from such a pause
    played_s: float = 0.0  # of a recording that was not heard to its end
    heard: HeardSegments = field(default_factory=HeardSegments)  # of live HLS playlists
    received: Callable[[], int] | None = None  # bytes, by the present connection, where somebody counts them
    begins_late: bool = False  # its sound was not within the short look at it

    @classmethod
    def of(cls, config: SourceConfig, recalled: RtspMode | None = None, heard: HeardSegments | None = None) -> Self:
        """Nothing learned yet, but what was remembered of how to ask, and of what was heard."""
        asked = config.address.is_rtsp
        rtsp_setup = RtspSetup(config.media, config.transport, recalled) if asked else RtspSetup("all", "tcp")
        return cls(rtsp_setup, heard=HeardSegments() if heard is None else heard)


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened source."""

    container: InputContainer
    pipe: Pipe | None  # that it is read from, to be closed after it


# enough to see most streams, in which FFmpeg looks for tracks that may never come: its 5 MB and 5 s make opening slow
_SHORT_LOOK = ProbeLimits(1_000_000, 2.0)


def longest_open_s(config: SourceConfig, sender_wait_s: float | None) -> float:
    """Seconds that an open may take, the resolver's own time for names apart."""
    if config.address.is_pushed or not config.address.is_network:
        return _open_limit_s(config, sender_wait_s)
    tries = _MOST_TRIES if config.address.is_rtsp else 2  # the second with a longer look
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
    """The opened source; of RTSP without its video, if the camera allows that (see asking.py). `proxy`: for HTTP.

    Raises SourceError, and StoppedError soon after `stop` is set.
    """
    limit_s = _open_limit_s(config, sender_wait_s)
    rtsp_setup = memory.rtsp_setup
    if not config.address.is_rtsp:
        return _look(config, deadline, stop, memory, proxy, limit_s)
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


def _look(
    config: SourceConfig,
    deadline: Deadline,
    stop: threading.Event,
    memory: SourceMemory,
    proxy: HttpProxy | None,
    limit_s: float,
) -> Opened:
    """Open, with a short look at what comes; with a longer one where no sound was in it that may yet come."""
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
    visitor: PendingSender | None = None
    if config.address.is_pushed:
        visitor = deadline.on_wait = PendingSender(config.address.port or 0, deadline, config.open_timeout_s)
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
            # its traceback holds this frame, which holds it: a circle that keeps FFmpeg's memory until it is found
            failure = error.with_traceback(None)
        else:
            # FFmpeg is content with the part of a source that it could have
            if not stop.is_set() and (proxy is None or proxy.failure is None or not proxy.failure.final):
                return Opened(container, pipe)
            container.close()
            failure = OSError()
        finally:
            deadline.on_wait = None  # a circle otherwise
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
        _by_who_sends(config, circumstances, pipe, visitor)
        or proxied_failure(config, proxy)
        or classify(config, failure, circumstances)
    )


def _by_who_sends(
    config: SourceConfig, call: Call, pipe: Pipe | None, visitor: PendingSender | None
) -> SourceError | None:
    """What is known of the other end of a pipe, or of the port of a source that is pushed."""
    reason, detail = Reason.TIMEOUT, f"somebody connected to it, and pushed nothing within {config.open_timeout_s:g} s"
    hint = "see that the sender pushes by RTSP over TCP, and that nothing else connects to this port"
    if pipe is not None and pipe.received == 0 and not call.timed_out:
        reason, detail = Reason.INVALID_DATA, "it ended before anything was written to it"
        hint = "look at the program that writes"
    elif visitor is None or not visitor.came or not call.timed_out:
        return None
    return SourceError(config.name, config.address, reason, detail, hint)


def proxied_failure(config: SourceConfig, proxy: HttpProxy | None) -> SourceError | None:
    """Why the source cannot be read, as far as the proxy knows; None where nothing failed behind it."""
    failure = None if proxy is None else proxy.failure
    if failure is None:
        return None
    return SourceError(config.name, config.address, failure.reason, failure.detail, failure.hint)
