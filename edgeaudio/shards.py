"""Which shard of a centre hears which source: rendezvous (highest random weight) hashing. Pure.

Owns: the share of each shard, and how a shard is written. Does not know: settings, topics, who runs the shards.

Every shard has a weight for each name, the digest of both, and the highest wins. A further shard therefore takes from
each of the others what it wins, about one name in `count`, and no name moves between two that were there before; the
last shard's names go to the others when it is taken away. The digests are BLAKE2b's, the same on every machine and in
every version: another function would move nearly all sources of a centre at an upgrade.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from edgeaudio.errors import EdgeaudioError

MAX_COUNT: Final = 1000
# among 1,000 shards a name takes 0.5 ms; asked for is each of a centre's, by two counts while those differ
_KEPT: Final = 20_000
_WRITTEN = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_ORDINAL = re.compile(r".*-([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards, by its index from 0. Raises EdgeaudioError for an index that there is not."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COUNT:
            raise EdgeaudioError(f"there are from 1 to {MAX_COUNT} shards, not {self.count}")
        if not 0 <= self.index < self.count:
            raise EdgeaudioError(f"the index of {self.count} shards is from 0 to {self.count - 1}, not {self.index}")

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse `INDEX/COUNT`, as in `0/3`. Raises EdgeaudioError."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise EdgeaudioError("write it as INDEX/COUNT, as in 0/3 for the first of three")
        return cls(int(match[1]), int(match[2]))

    def owns(self, source: str) -> bool:
        """True if a source belongs to this shard."""
        return owner_of(source, self.count) == self.index

    def took_from(self, source: str, other: int, other_count: int) -> bool:
        """True if a source belongs to this shard, and to the one of index `other` where there are `other_count`."""
        return self.owns(source) and owner_of(source, other_count) == other


@lru_cache(_KEPT)
def owner_of(source: str, count: int) -> int:
    """Return the index of the shard to which a source belongs; `count`: of shards, from 1 on."""
    name = source.encode("utf-8", "surrogatepass")
    return max(range(count), key=lambda index: _weight(index, name))


def ordinal_of(host: str) -> int | None:
    """Return the number at the end of a pod's host name, as in `edgeaudio-2`; None: it has none."""
    match = _ORDINAL.fullmatch(host.partition(".")[0])
    return None if match is None else int(match[1])


def _weight(index: int, name: bytes) -> bytes:
    return blake2b(b"%d/%b" % (index, name), digest_size=8).digest()
