"""RTSP mode of a camera: audio only or all of its tracks, over TCP or UDP.

Owns: the mode of the next connection, learned from refusals and stalls, and whether it is worth storing.
Does not know: connections, storage. Pure: the caller passes the date.

Audio only takes a hundredth of the network, and a tenth of the time to open. Some cameras refuse it, some do not
answer, and some (UniFi) accept it and stop sending after a few seconds: all of these are asked for everything from then
on. A camera that is away proves nothing. A mode that turns out no better is reverted, and not tried again soon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

Media = Literal["audio", "all"]
Transport = Literal["tcp", "udp"]
MediaSetting = Literal["auto", "audio", "all"]
TransportSetting = Literal["auto", "tcp", "udp"]

EARLY_S = 60.0  # of sound: a stall before that counts against the mode
EARLY_STALLS = 2
_MOST_STALLS = 64  # after repeated reversals
FORGOTTEN_AFTER = timedelta(days=30)  # cameras get new firmware


@dataclass(frozen=True, slots=True)
class RtspMode:
    """Tracks and transport that a camera is asked for."""

    media: Media = "audio"
    transport: Transport = "tcp"

    def remembered(self, address: str, today: datetime) -> str:
        """Return one line that stores the mode for the camera at that address."""
        return f"{self.media} {self.transport} {today:%Y-%m-%d} {address}"

    @classmethod
    def recalled(cls, line: str, address: str, today: datetime) -> Self | None:
        """Parse a stored line; None if it is of another camera, or too old."""
        media, transport, day, of = [*line.split(" ", 3), "", "", "", ""][:4]
        try:
            age = today - datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            return None
        if of != address or age > FORGOTTEN_AFTER:
            return None
        return cls("all" if media == "all" else "audio", "udp" if transport == "udp" else "tcp")


@dataclass(frozen=True, slots=True)
class RtspSetupStore:
    """Stored mode of a camera, and the function that stores a new one."""

    recalled: RtspMode | None = None
    remember: Callable[[RtspMode | None], None] = lambda _: None  # None: forget


class RtspSetup:
    """The next connection's `mode` of one camera, and the mode worth storing, `learned`."""

    def __init__(
        self, media: MediaSetting = "auto", transport: TransportSetting = "auto", recalled: RtspMode | None = None
    ) -> None:
        first = RtspMode("all" if media == "all" else "audio", "udp" if transport == "udp" else "tcp")
        self._may_change_media = media == "auto"
        self._may_change_transport = transport == "auto"
        self._first = self.mode = first
        self.learned: RtspMode | None = None
        if recalled is not None:
            self.mode = RtspMode(
                recalled.media if self._may_change_media else first.media,
                recalled.transport if self._may_change_transport else first.transport,
            )
            self.learned = self.mode if self.mode != first else None
        self._mute = 0  # connections in a row without any sound
        self._early = 0  # stalls in a row, each soon after the beginning
        self._needed = EARLY_STALLS
        self._on_trial = False

    def others(self, *, transport_refused: bool) -> list[RtspMode]:
        """Return the modes to try at once, in order, after the camera refused `mode`."""
        other_transport: Transport = "udp" if self.mode.transport == "tcp" else "tcp"
        by_transport = [replace(self.mode, transport=other_transport)] if self._may_change_transport else []
        # some refuse audio only by answering that they do not know the transport
        by_media = [replace(self.mode, media="all")] if self._may_change_media and self.mode.media == "audio" else []
        return by_transport + by_media if transport_refused else by_media

    def accepted(self, mode: RtspMode) -> None:
        """Note that the camera accepted another mode after it refused the present one."""
        self.mode = self.learned = mode

    def toggle_audio_only(self) -> None:
        """Try the other choice of tracks after a timeout without sound: some cameras refuse audio only like that."""
        self._mute += 1
        if self._may_change_media and (self.learned is None or self.learned.media == self._first.media):
            self.mode = replace(self.mode, media="all" if self.mode.media == "audio" else "audio")

    def heard(self) -> None:
        """Note sound. After one mute try it confirms the toggled mode; after more, the camera was away."""
        if self.mode.media != self._first.media and self.learned is None and self._mute == 1:
            self.learned = self.mode
        self._mute = 0

    def ended(self, heard_s: float, *, stalled: bool) -> None:
        """Note the end of a connection that brought `heard_s` seconds of sound."""
        early = stalled and heard_s < EARLY_S
        if heard_s >= EARLY_S:
            self._early, self._on_trial = 0, False
        elif early:
            self._early += 1
        if not self._may_change_media:
            return
        if self.mode.media == "audio" and self._early >= self._needed:
            self.mode = self.learned = replace(self.mode, media="all")
            self._early, self._on_trial = 0, True
        elif self._on_trial and self._early >= EARLY_STALLS:  # the mode was not to blame
            self.mode = replace(self.mode, media="audio")
            self.learned = self.mode if self.mode != self._first else None
            self._needed = min(2 * self._needed, _MOST_STALLS)
            self._early, self._on_trial = 0, False
        elif self.mode.media != self._first.media and self.learned is None:  # sound came, for an unknown reason
            self.mode = replace(self.mode, media=self._first.media)
