"""How an RTSP camera is asked: for its sound alone or for all that it sends, over TCP or UDP.

Owns: the choice for the next connection, learned from refusals and stalls, and what of it is worth remembering.
Does not know: connections, where it is remembered. Pure: the date is handed in.

Sound alone costs a hundredth of the network, and a tenth of the time to open. Some cameras refuse it, some answer
nothing, and some (UniFi) agree, send for a few seconds and then no more: all of these are asked for everything from
then on. Nothing is concluded from a camera that is away; a choice that turns out no better is taken back, and not made
again so soon.
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

EARLY_S = 60.0  # of sound: one who stalls before is suspected, one who lasts is not
EARLY_STALLS = 2
_MOST_STALLS = 64  # where the choice was taken back again and again
FORGOTTEN_AFTER = timedelta(days=30)  # cameras get new firmware


@dataclass(frozen=True, slots=True)
class RtspMode:
    """How a camera is asked."""

    media: Media = "audio"
    transport: Transport = "tcp"

    def remembered(self, address: str, today: datetime) -> str:
        """One line to remember it by, for the camera at that address."""
        return f"{self.media} {self.transport} {today:%Y-%m-%d} {address}"

    @classmethod
    def recalled(cls, line: str, address: str, today: datetime) -> Self | None:
        """What was remembered; None where that was of another camera, or long ago."""
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
    """What is known of a camera from before, and where to put what is learned."""

    recalled: RtspMode | None = None
    remember: Callable[[RtspMode | None], None] = lambda _: None  # None: forget


class RtspSetup:
    """The way that one camera is asked next, `mode`, and what is worth remembering of it, `learned`."""

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
        self._mute = 0  # connections in a row that brought nothing at all
        self._early = 0  # stalls in a row, each soon after the beginning
        self._needed = EARLY_STALLS
        self._on_trial = False

    def others(self, *, transport_refused: bool) -> list[RtspMode]:
        """Ways to try at once, in order, after the camera refused `mode`."""
        other_transport: Transport = "udp" if self.mode.transport == "tcp" else "tcp"
        by_transport = [replace(self.mode, transport=other_transport)] if self._may_change_transport else []
        # some refuse sound alone by saying that they do not know the transport
        by_media = [replace(self.mode, media="all")] if self._may_change_media and self.mode.media == "audio" else []
        return by_transport + by_media if transport_refused else by_media

    def accepted(self, mode: RtspMode) -> None:
        """The camera took another way, having refused the present one."""
        self.mode = self.learned = mode

    def toggle_audio_only(self) -> None:
        """Neither an answer nor a sound came in time: some refuse sound alone like that, so try the other way."""
        self._mute += 1
        if self._may_change_media and (self.learned is None or self.learned.media == self._first.media):
            self.mode = replace(self.mode, media="all" if self.mode.media == "audio" else "audio")

    def heard(self) -> None:
        """Sound comes. After one mute try for sound alone that is evidence; after more, the camera was away."""
        if self.mode.media != self._first.media and self.learned is None and self._mute == 1:
            self.learned = self.mode
        self._mute = 0

    def ended(self, heard_s: float, *, stalled: bool) -> None:
        """A connection ended that had brought sound for that long."""
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
        elif self._on_trial and self._early >= EARLY_STALLS:  # it was not that
            self.mode = replace(self.mode, media="audio")
            self.learned = self.mode if self.mode != self._first else None
            self._needed = min(2 * self._needed, _MOST_STALLS)
            self._early, self._on_trial = 0, False
        elif self.mode.media != self._first.media and self.learned is None:  # heard, and not known why
            self.mode = replace(self.mode, media=self._first.media)
