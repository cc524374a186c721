"""The topic of everything that an agent publishes or subscribes to.

Owns: the topic of each message.
Does not know: payloads (messages.py), and how anything is sent (client.py).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from edgeaudio.errors import EdgeaudioError
from edgeaudio.shards import MAX_COUNT, Shard
from edgeaudio.slugs import MAX_SLUG_LENGTH, is_slug, require_slug, slugify

MAX_BASE_LENGTH = 128
_BASE = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_PLAIN_BASE = re.compile(r"[a-z0-9]+")
_SHARDS = "_shard"  # no slug, so that no source has its topics
_SHARD_KINDS = ("count", "availability")  # retained ones come in this order where a broker keeps that of subscriptions
_SHARD_TOPIC = re.compile(rf"{_SHARDS}/([^/]*)/(availability|count)")
_SHARD_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_DISCOVERY_OF_SOURCE = re.compile(r"source_([a-z0-9-]+)(_[0-9]+)?/config")


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one agent. Raises EdgeaudioError on a base or device that cannot be one.

    `base` may have several levels (`site/edgeaudio`); `device` and the `source` arguments are slugs, and
    the `label` arguments are labels as the model has them. `shard`: of a centre; the agents of all of its shards are
    one device, and each has topics of its own for what it says of itself.
    """

    base: str
    device: str
    shard: Shard | None = None

    def __post_init__(self) -> None:
        if len(self.base) > MAX_BASE_LENGTH or not _BASE.fullmatch(self.base):
            raise EdgeaudioError(
                f"MQTT base topic {self.base[:MAX_BASE_LENGTH]!r} is not allowed: "
                f"use levels of letters, digits, '_', '.' and '-', parted by '/', up to {MAX_BASE_LENGTH} characters"
            )
        require_slug(self.device, "device name")

    @property
    def root(self) -> str:
        return f"{self.base}/{self.device}"

    @property
    def own_root(self) -> str:
        """Where the agent publishes what it says of itself."""
        return self.root if self.shard is None else self._of_shard(self.shard.index)

    @property
    def client_id(self) -> str:
        """The agent's client id; a digest that ends a unique name has eight digits, so no other agent has this one."""
        return self.unique_name if self.shard is None else f"{self.unique_name}_shard_{self.shard.index}"

    @property
    def unique_name(self) -> str:
        """The name of base and device, of `a-z`, `0-9`, `-` and `_`, which no other pair of them shares.

        The first hyphen separates the two; a base with other characters than `a-z` and `0-9` adds a digest.
        """
        name = slugify(self.root)
        if len(self.root) <= MAX_SLUG_LENGTH and _PLAIN_BASE.fullmatch(self.base):
            return name
        return f"{name}_{hashlib.sha256(self.root.encode()).hexdigest()[:8]}"

    @property
    def availability(self) -> str:
        return f"{self.own_root}/availability"

    @property
    def availabilities(self) -> tuple[str, str]:
        """The filters of the availability of every agent of this device: without a shard, and of each shard."""
        return f"{self.root}/availability", f"{self.root}/{_SHARDS}/+/availability"

    @property
    def health(self) -> str:
        return f"{self.own_root}/health"

    @property
    def shard_count(self) -> str:
        """Where a shard publishes how many there are."""
        return f"{self.own_root}/count"

    @property
    def shard_filters(self) -> tuple[str, ...]:
        """The subscriptions by which the shards of a centre know each other."""
        return () if self.shard is None else tuple(f"{self.root}/{_SHARDS}/+/{kind}" for kind in _SHARD_KINDS)

    def shard_topic(self, topic: str) -> tuple[int | None, str] | None:
        """Return the index and the kind (`availability`, `count`) of a topic of some shard; None: it is none.

        An index that no shard can have, as another client may publish it, is None.
        """
        match = _SHARD_TOPIC.fullmatch(topic.removeprefix(f"{self.root}/"))
        if match is None:
            return None
        return int(match[1]) if _SHARD_INDEX.fullmatch(match[1]) and int(match[1]) < MAX_COUNT else None, match[2]

    def retained_of_shard(self, index: int, discovery_prefix: str | None) -> tuple[str, ...]:
        """Return all that a shard retains of itself, what Home Assistant reads first."""
        own = tuple(f"{self._of_shard(index)}/{kind}" for kind in ("availability", "health", "count"))
        if discovery_prefix is None:
            return own
        return (f"{discovery_prefix}/device/{self.unique_name}/shard_{index}/config", *own)

    def _of_shard(self, index: int) -> str:
        return f"{self.root}/{_SHARDS}/{index}"

    @property
    def command_result(self) -> str:
        return f"{self.root}/command"

    @property
    def restart_set(self) -> str:
        return f"{self.own_root}/restart/set"

    @property
    def restart_all_set(self) -> str:
        """The command that all shards of a centre take."""
        return f"{self.root}/restart/set"

    def status(self, source: str) -> str:
        return f"{self.root}/{source}/status"

    def detection(self, source: str) -> str:
        return f"{self.root}/{source}/detection"

    def level(self, source: str) -> str:
        return f"{self.root}/{source}/level"

    def live(self, source: str) -> str:
        return f"{self.root}/{source}/live"

    def live_set(self, source: str) -> str:
        return f"{self.live(source)}/set"

    def live_audio(self, source: str) -> str:
        return f"{self.live(source)}/audio"

    def live_audio_set(self, source: str) -> str:
        return f"{self.live_audio(source)}/set"

    def scores(self, source: str) -> str:
        return f"{self.root}/{source}/scores"

    def transcript(self, source: str) -> str:
        return f"{self.root}/{source}/transcript"

    def clip(self, source: str) -> str:
        return f"{self.root}/{source}/clip"

    def clip_info(self, source: str) -> str:
        return f"{self.clip(source)}/info"

    def image(self, source: str) -> str:
        return f"{self.root}/{source}/image"

    def image_info(self, source: str) -> str:
        return f"{self.image(source)}/info"

    def label(self, source: str, label: str) -> str:
        return f"{self.root}/{source}/label/{slugify(label)}"

    def threshold(self, source: str, label: str) -> str:
        return f"{self.root}/{source}/threshold/{slugify(label)}"

    def threshold_set(self, source: str, label: str) -> str:
        return f"{self.threshold(source, label)}/set"

    def snooze(self, source: str, label: str) -> str:
        return f"{self.root}/{source}/snooze/{slugify(label)}"

    def snooze_set(self, source: str, label: str) -> str:
        return f"{self.snooze(source, label)}/set"

    def cooldown(self, source: str, label: str) -> str:
        return f"{self.root}/{source}/cooldown/{slugify(label)}"

    def cooldown_set(self, source: str, label: str) -> str:
        return f"{self.cooldown(source, label)}/set"

    def enabled(self, source: str) -> str:
        return f"{self.root}/{source}/enabled"

    def enabled_set(self, source: str) -> str:
        return f"{self.enabled(source)}/set"

    def test_set(self, source: str) -> str:
        return f"{self.root}/{source}/test/set"

    def source_of(self, topic: str) -> str | None:
        """Return the source that a topic of this device, or a topic of its discovery, is about; None: it has none."""
        if topic.startswith(f"{self.root}/"):
            name, _, rest = topic.removeprefix(f"{self.root}/").partition("/")
            return name if rest and is_slug(name) else None
        _, is_discovery, rest = topic.partition(f"/device/{self.unique_name}/")
        match = _DISCOVERY_OF_SOURCE.fullmatch(rest) if is_discovery else None
        return None if match is None else match[1]

    def is_detection(self, topic: str) -> bool:
        """True if detections of some source are published there."""
        return topic.startswith(f"{self.root}/") and topic.endswith("/detection")

    def family(self, topic: str) -> str:
        """Return the filter of the topics that access rules are likely to treat like this one.

        For a source's topics: those of all sources and labels; for other programs' topics: all under the first level.
        """
        if not topic.startswith(f"{self.root}/"):
            return f"{topic.partition('/')[0]}/#"
        match topic.removeprefix(f"{self.root}/").split("/"):
            case [name, *_] if name == _SHARDS:
                return topic
            case [_, kind]:
                return f"{self.root}/+/{kind}"
            case [_, kind, _]:
                return f"{self.root}/+/{kind}/+"
            case _:
                return topic

    @property
    def command_filters(self) -> tuple[str, ...]:
        """The subscriptions that catch every command, and nothing that the agent itself publishes."""
        each = f"{self.root}/+"
        kinds = ("enabled", "threshold/+", "snooze/+", "cooldown/+", "test", "live", "live/audio")
        sources = (f"{each}/{kind}/set" for kind in kinds)
        return (*dict.fromkeys((self.restart_set, self.restart_all_set)), *sources)
