"""Notices that only another start of the agent would bring a sound card back.

Owns: the verdict. Does not know: device files (capture/alsa_devices.py), or how the agent ends.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgeaudio.agent.source_worker import Listener
from edgeaudio.capture.alsa_devices import CardNodes
from edgeaudio.types import Reason, SourceState

PATIENCE_S = 5.0  # for udev, where device files come by themselves


class LostCards:
    """Cards that are waited for in vain."""

    def __init__(self) -> None:
        self._nodes = CardNodes()
        self._since_s: dict[str, float] = {}

    def found(self, listeners: Iterable[Listener], now_s: float) -> str | None:
        """The name of a source whose card has been back for a while, and cannot be opened by this process."""
        lost = [listener for listener in listeners if self._is_lost(listener)]
        self._since_s = {listener.name: self._since_s.get(listener.name, now_s) for listener in lost}
        return next((name for name, since_s in self._since_s.items() if now_s - since_s >= PATIENCE_S), None)

    def _is_lost(self, listener: Listener) -> bool:
        status, device = listener.health.status, listener.config.address.device
        if device is None or status.state not in {SourceState.WAITING, SourceState.CONNECTING}:
            return False
        return status.reason in {Reason.NOT_FOUND, Reason.DEVICE_GONE} and self._nodes.lacks(device)
