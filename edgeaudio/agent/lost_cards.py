"""Detects sound cards that only a restart of the agent would bring back: in a container without their device files."""

from __future__ import annotations

from collections.abc import Iterable

from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.capture.alsa_devices import CardNodes
from edgeaudio.types import Reason, SourceState

UDEV_GRACE_S = 5.0  # for udev, which brings device files where it runs


class LostCards:
    """Cards that are plugged in and cannot be opened by this process."""

    def __init__(self) -> None:
        self._nodes = CardNodes()
        self._since_s: dict[str, float] = {}

    def found(self, workers: Iterable[SourceWorker], now_s: float) -> str | None:
        """Return a source whose card has been back for UDEV_GRACE_S and has no device file; None: there is none."""
        lost = [worker for worker in workers if self._is_lost(worker)]
        self._since_s = {worker.name: self._since_s.get(worker.name, now_s) for worker in lost}
        return next((name for name, since_s in self._since_s.items() if now_s - since_s >= UDEV_GRACE_S), None)

    def _is_lost(self, worker: SourceWorker) -> bool:
        status, device = worker.health.status, worker.config.address.device
        if device is None or status.state not in {SourceState.WAITING, SourceState.CONNECTING}:
            return False
        return status.reason in {Reason.NOT_FOUND, Reason.DEVICE_GONE} and self._nodes.lacks(device)
