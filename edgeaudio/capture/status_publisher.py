"""Statuses of a source's connection, published at each change of its state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypedDict

from edgeaudio.capture.admission import Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.rtsp_setup import Media, RtspSetup, Transport
from edgeaudio.capture.tracks import AudioInfo
from edgeaudio.clock import Clock
from edgeaudio.types import Reason, SourceState, SourceStatus


class _Mode(TypedDict, total=False):
    media: Media
    transport: Transport


class StatusPublisher:
    """Publishes the statuses of one source, with the time since which its state has lasted."""

    def __init__(
        self, config: SourceConfig, publish: Callable[[SourceStatus], None], rtsp_setup: RtspSetup, clock: Clock
    ) -> None:
        self._config = config
        self._publish = publish
        self._rtsp_setup = rtsp_setup
        self._clock = clock
        self._since = clock.utc()

    def restart(self) -> None:
        """Begin a state: it lasts since now."""
        self._since = self._clock.utc()

    def connecting(self, last: SourceError | None) -> None:
        """Publish that a connection is tried; `last`: why the one before failed."""
        address = self._config.address
        detail = f"waiting for a sender to push to {address}" if address.is_pushed else None
        self._without_sound(SourceState.CONNECTING, last, detail=detail)

    def listening(self, info: AudioInfo, *, pauses: bool) -> None:
        """Publish that sound comes."""
        self._publish(
            SourceStatus(
                self._config.name,
                SourceState.LISTENING,
                self._since,
                codec=info.codec,
                sample_rate=info.sample_rate,
                channels=info.channels,
                **self._mode(),
                pauses=pauses,
            )
        )

    def silent(self, state: SourceState, error: SourceError, delay_s: float | None = None) -> None:
        """Publish a state without sound, and why; `delay_s`: until the next try."""
        self._without_sound(state, error, delay_s)

    def held(self, hold: Hold) -> None:
        """Publish that the source is not opened."""
        self._publish(
            SourceStatus(
                self._config.name,
                SourceState.QUARANTINED,
                self._since,
                reason=Reason.CRASHED_THE_AGENT,
                detail=hold.detail,
                next_try=hold.until,
            )
        )

    def _without_sound(
        self, state: SourceState, error: SourceError | None, delay_s: float | None = None, detail: str | None = None
    ) -> None:
        self._publish(
            SourceStatus(
                self._config.name,
                state,
                self._since,
                reason=None if error is None else error.reason,
                detail=detail or ("" if error is None else error.explanation),
                next_try=None if delay_s is None else self._clock.utc() + timedelta(seconds=delay_s),
                **self._mode(),
            )
        )

    def _mode(self) -> _Mode:
        """How an RTSP camera is asked at present."""
        if not self._config.address.is_rtsp:
            return {}
        mode = self._rtsp_setup.mode
        return {"media": mode.media, "transport": mode.transport}
