"""Faults of a broker that is connected, in words for health, the log and `edgeaudio check`.

Owns: the complaints and their words.
Does not know: connections, or what is done about a fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import HINTS, BrokerError, Complaint
from edgeaudio.sinks.mqtt.detection_queue import DetectionQueue
from edgeaudio.sinks.mqtt.events import Capabilities
from edgeaudio.sinks.mqtt.quarantine import Family, Item, MessageQuarantine
from edgeaudio.sinks.mqtt.reason_codes import ReasonCode
from edgeaudio.sinks.mqtt.state_cache import StateCache

_NAMED = 2  # topics in one line


class BrokerFaults:
    """The faults on the present connection; `complaints` puts them into words."""

    def __init__(self, detections: DetectionQueue, state_cache: StateCache, quarantine: MessageQuarantine) -> None:
        self._detections = detections
        self._state_cache = state_cache
        self._quarantine = quarantine
        self.refusal: ReasonCode | None = None  # of the last message that the broker refused
        self.denied: dict[str, ReasonCode] = {}  # subscriptions
        self.oversized: dict[str, str] = {}  # topics of state that is longer than the broker takes, and by how much
        self.why: dict[Item, str] = {}  # of what is quarantined

    @property
    def refused_topics(self) -> tuple[str, ...]:
        return self._detections.refused_topics + self._state_cache.refused_topics

    def begin(self) -> None:
        """Begin a new connection: only what is quarantined stays."""
        self.refusal = None
        self.denied.clear()
        self.oversized.clear()
        quarantined = set(self._quarantine.items)
        self.why = {item: why for item, why in self.why.items() if item in quarantined}

    def complaints(self, offered: Capabilities | None) -> Iterator[Complaint]:
        """Yield every fault, one for each family of topics; `offered`: what the broker offers, if that is known."""
        if (refused := self.refused_topics) and self.refusal is not None:
            detail = f"{_more(refused)}refused: {self.refusal.name}; what is refused is kept and tried again"
            yield Complaint(self.refusal.reason, refused[0], detail, self.refusal.hint)
        yield from self._quarantined()
        for topic, why in self.oversized.items():
            yield Complaint(BrokerReason.TOO_LARGE, topic, f"not sent: {why}", HINTS[BrokerReason.TOO_LARGE])
        for topic_filter, code in self.denied.items():
            yield Complaint(code.reason, topic_filter, f"refused as a subscription: {code.name}", code.hint)
        if offered is not None and not offered.retain:
            hint = "whoever connects later learns a state only when it changes; allow retained messages in the broker"
            yield Complaint(BrokerReason.NOT_SUPPORTED, "retained messages", "are not offered", hint)
        if offered is not None and not offered.max_qos:
            hint = "no delivery is confirmed, so detections can be lost; allow QoS 1 in the broker"
            yield Complaint(BrokerReason.NOT_SUPPORTED, "QoS 1", "is not offered", hint)

    def _quarantined(self) -> Iterator[Complaint]:
        by_family: dict[Family, list[Item]] = defaultdict(list)
        for item in self._quarantine.items:
            by_family[item.family].append(item)
        for items in by_family.values():
            detail = f"{_more(items)}quarantined: {self.why.get(items[0], 'connections end while it is in flight')}"
            hint = "look at the broker's log, allow its topic, or longer messages; it is kept and tried again, alone"
            yield Complaint(BrokerReason.QUARANTINED, items[0].topic, detail, hint)


def naming_suspects(error: BrokerError, where: str, suspects: Sequence[Item]) -> BrokerError:
    """Return the error with the topics of what the connection may have ended over."""
    if not suspects:
        return error
    topics = list(dict.fromkeys(item.topic for item in suspects))
    named = " and ".join(topics[:_NAMED]) + (f" and {len(topics) - _NAMED} topics more" if topics[_NAMED:] else "")
    hint = error.hint
    if error.reason is BrokerReason.CLOSED:
        hint = (
            "look at the broker's log: it may deny a topic, take no message as long, or have another client of the "
            "same id"
        )
    return BrokerError(where, error.reason, f"{error.detail}, with {named} in flight", hint)


def _more(things: Sequence[object]) -> str:
    return "and others like it " if things[1:] else ""
