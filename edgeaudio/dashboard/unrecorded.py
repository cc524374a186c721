"""Detections that somebody else stores: what the recorder needs to know of them, in memory.

Owns: which detections were seen lately, and the sequences of devices since the start. Does not know: where they are
stored, MQTT. Called by one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from edgeaudio.dashboard.history import MAX_DEVICES, Written
from edgeaudio.dashboard.sequence import Sequence as DeviceSequence
from edgeaudio.wire.payloads import Detection

MAX_SEEN: Final = 20_000  # detections that are known again


class Unrecorded:
    """A store that keeps nothing."""

    is_damaged: Final = False

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str, str], None] = OrderedDict()
        self._sequences: dict[str, DeviceSequence] = {}

    def open(self) -> None:
        """Do nothing: there is nothing to open."""

    def sequences(self) -> dict[str, DeviceSequence]:
        """Return the sequence of every device."""
        return dict(self._sequences)

    def write(self, detections: Sequence[Detection], now_s: float) -> Written:
        """Note a batch in the order of its arrival."""
        new, changed = [], {}
        for detection in detections:
            old = self._sequences.get(detection.counter)
            if old is not None:
                self._sequences[detection.counter] = old.received(detection.seq_epoch, detection.seq, now_s)
            elif len(self._sequences) < MAX_DEVICES:
                self._sequences[detection.counter] = DeviceSequence.begin(detection.seq_epoch, detection.seq)
            if sequence := self._sequences.get(detection.counter):
                changed[detection.counter] = sequence
            key = (detection.device, detection.source, detection.id, detection.kind)
            if key not in self._seen:
                self._seen[key] = None
                new.append(detection)
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return Written(tuple(new), changed)
