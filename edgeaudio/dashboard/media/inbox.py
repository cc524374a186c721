"""Which event a clip or a picture belongs to. Times are monotonic seconds, handed in. Pure.

Owns: what was published before a file, until the file comes. Does not know: files, MQTT.

With MQTT 5 a file has the event's id in its properties. Over MQTT 3.1.1 it has none: it belongs to the event that was
published just before it, if it has the length that was told there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edgeaudio.dashboard.media.wire import MediaInfo, MediaKind, Medium
from edgeaudio.wire.payload_fields import WireError

MAX_INFOS: Final = 10_000  # of sources
MAX_AGE_S: Final = 300.0  # in which a file follows, over a slow link


class MediaInbox:
    """The last that was published before a file, by source and kind."""

    def __init__(self) -> None:
        self._infos: dict[tuple[str, str, MediaKind], tuple[MediaInfo, float]] = {}

    def take_info(self, info: MediaInfo, now_s: float) -> None:
        key = info.device, info.source, info.kind
        self._infos.pop(key, None)  # so that the oldest is the first
        self._infos[key] = info, now_s
        if len(self._infos) > MAX_INFOS:
            del self._infos[next(iter(self._infos))]

    def assign(self, medium: Medium, now_s: float) -> tuple[Medium, tuple[float, float] | None]:
        """Return a file with the id of its event, and the plot of a picture. Raises WireError if it has no event."""
        info, told_s = self._infos.pop((medium.device, medium.source, medium.type.kind), (None, 0.0))
        if info is not None and (now_s - told_s > MAX_AGE_S or info.bytes != len(medium.content)):
            info = None
        if not medium.id:
            if info is None:
                raise WireError("comes without the id of its event: it needs MQTT 5, or a newer agent")
            medium = replace(medium, id=info.id)
        return medium, info.plot if info is not None and info.id == medium.id else None
