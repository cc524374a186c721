"""What the shards of a centre do about each other on the broker: no retained topic is left stale. Pure.

Owns: how many shards each of them runs with, and what follows when one of them goes.
Does not know: connections (sender.py), which sources there are.

A source moves when the number of shards changes, and the agents change it one after the other. So for a while the old
and the new owner of a source may both publish its state, and whoever is last wins. The old owner never clears what it
left to another shard (discovery_state.py), and its last message is `offline`, by itself or as its will. When that
arrives, the new owner publishes again all that it retains of the sources that were the other's: nothing of the old
owner can come after it.

A shard beyond the count does not come back. When it is offline, the first shard clears what it retained. Where that was
a mistake, for the agents change one after the other, it sees its availability cleared, and publishes everything again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgeaudio.shards import MAX_COUNT
from edgeaudio.sinks.mqtt.messages import OFFLINE, ONLINE
from edgeaudio.sinks.mqtt.topics import Topics

_MAX_DIGITS: Final = 9
_ROLLOUT_S: Final = 900.0  # for which shards may run with different numbers before that is said


@dataclass(frozen=True, slots=True)
class PeerNews:
    """What a message of a shard asks for: topics to be published again, and topics to be cleared."""

    resend: Callable[[str], bool] | None = None  # None: none
    clear: tuple[str, ...] = ()
    is_foreign: bool = False  # no shard publishes such a message, another client did


class ShardPeers:
    """What one shard knows of all shards."""

    def __init__(self, topics: Topics, discovery_prefix: str | None) -> None:
        """`topics`: of a shard; `discovery_prefix`: None without Home Assistant's discovery."""
        if topics.shard is None:
            raise ValueError("an agent without a shard has no peers")
        self._topics = topics
        self._shard = topics.shard
        self._discovery_prefix = discovery_prefix
        self._counts: dict[int, int] = {}  # by index
        self._online: set[int] = set()
        self._differ_since_s: float | None = None  # monotonic

    def read(self, topic: str, payload: bytes) -> PeerNews | None:
        """Note a message, and return what it asks for; None: it is of no shard."""
        found = self._topics.shard_topic(topic)
        if found is None:
            return None
        index, kind = found
        if index is None or (kind == "availability" and payload not in {ONLINE, OFFLINE, b""}):
            return PeerNews(is_foreign=True)
        if kind == "count":
            return PeerNews(is_foreign=not self._note_count(index, payload))
        (self._online.add if payload == ONLINE else self._online.discard)(index)
        if index == self._shard.index:
            return PeerNews() if payload else PeerNews(resend=lambda _topic: True)
        if payload != OFFLINE:
            return PeerNews()
        is_no_more = index >= self._shard.count and self._shard.index == 0
        clear = self._topics.retained_of_shard(index, self._discovery_prefix) if is_no_more else ()
        return PeerNews(self._taken_from(index), clear)

    def complaint(self, now_s: float) -> str | None:
        """Return a line about a shard that runs with another number than this one, for longer than a rollout takes.

        Then some sources have two shards or none. `now_s`: monotonic; call it about once a second.
        """
        others = [
            index for index in sorted(self._online) if self._counts.get(index, self._shard.count) != self._shard.count
        ]
        if not others:
            self._differ_since_s = None
            return None
        if self._differ_since_s is None:
            self._differ_since_s = now_s
        if now_s - self._differ_since_s < _ROLLOUT_S:
            return None
        return (
            f"shard {others[0]} runs as one of {self._counts[others[0]]} shards, and this one as one of "
            f"{self._shard.count}: some sources are heard twice or by nobody; start all with the same number"
        )

    def _note_count(self, index: int, payload: bytes) -> bool:
        """Return False for what is no count; an empty one says that the shard is no more."""
        if payload.isdigit() and len(payload) <= _MAX_DIGITS and index < int(payload) <= MAX_COUNT:
            self._counts[index] = int(payload)
            return True
        self._counts.pop(index, None)
        return not payload

    def _taken_from(self, index: int) -> Callable[[str], bool] | None:
        """Return which topics are about sources that were that shard's and are this one's; None: there are none."""
        count, shard = self._counts.get(index), self._shard
        if count == shard.count:
            return None

        def is_meant(topic: str) -> bool:
            source = self._topics.source_of(topic)
            return source is not None and (count is None or shard.took_from(source, index, count))

        return is_meant
