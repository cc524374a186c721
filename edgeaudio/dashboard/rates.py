"""How often somebody may ask: a token bucket for each address. Pure: times are monotonic seconds, handed in.

Owns: the buckets, bounded in number. Does not know: what is asked.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

_MAX_KEYS: Final = 4096


class Buckets:
    """By key: at most `burst` at once, and one more every `every_s` seconds.

    Of more than `max_keys` keys the one that asked least recently is forgotten, so its bucket is full again.
    """

    def __init__(self, burst: int, every_s: float, max_keys: int = _MAX_KEYS) -> None:
        self._burst = burst
        self._every_s = every_s
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were that many

    def take(self, key: str, now_s: float) -> float:
        """Take one; return 0, or the seconds until there is one."""
        tokens = self._tokens(key, now_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) * self._every_s
        self._put(key, tokens if wait_s else tokens - 1, now_s)
        return wait_s

    def give_back(self, key: str, now_s: float) -> None:
        """Undo a `take`."""
        self._put(key, min(self._tokens(key, now_s) + 1, self._burst), now_s)

    def _tokens(self, key: str, now_s: float) -> float:
        tokens, at_s = self._buckets.get(key, (float(self._burst), now_s))
        return min(tokens + (now_s - at_s) / self._every_s, self._burst)

    def _put(self, key: str, tokens: float, now_s: float) -> None:
        self._buckets[key] = tokens, now_s
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)


def bucket_of(address: str) -> str:
    """Return the key of an address: of IPv6 the network of 64 bits, in which one host has as many as it wants."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
