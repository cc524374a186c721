"""Names on the wire: slugs, and the topic of everything that an agent says or listens to.

Owns: what makes a legal name, how a label becomes one, and where each message goes.
Does not know: payloads (messages.py), and how anything is sent (client.py).

A label is free text ("Dog bark, yip"); a topic level is not. `slugify` lower-cases, strips accents, and turns
every run of other characters into one hyphen. What leaves nothing behind (a label in Japanese) or is cut for
length gets the first eight digits of its SHA-256, so that it stays stable and distinct. Two labels of one
source that still meet in one slug are an error to be told at start: `slugs` tells it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from edgeaudio.types import EdgeaudioError

MAX_SLUG_LENGTH = 64
MAX_BASE_LENGTH = 128
_SLUG = re.compile(rf"[a-z0-9-]{{1,{MAX_SLUG_LENGTH}}}")
_BASE = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_PLAIN_BASE = re.compile(r"[a-z0-9]+")
_OTHER = re.compile(r"[^a-z0-9]+")


def is_slug(name: str) -> bool:
    """Tell whether a name may stand as a topic level: 1 to 64 of a-z, 0-9 and hyphen."""
    return _SLUG.fullmatch(name) is not None


def require_slug(name: str, what: str) -> str:
    """Hand the name back, or raise EdgeaudioError that says what is wrong with it (`what`: "source name", say)."""
    if is_slug(name):
        return name
    shown = name if len(name) <= MAX_SLUG_LENGTH else name[:MAX_SLUG_LENGTH] + "..."
    raise EdgeaudioError(
        f"{what} {shown!r} is not allowed: use 1 to {MAX_SLUG_LENGTH} of a-z, 0-9 and hyphen, as in {slugify(name)!r}"
    )


def slugify(text: str) -> str:
    """Make a topic level out of any text; see the head of this module for the rule."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    slug = _OTHER.sub("-", plain).strip("-")
    if slug and len(slug) <= MAX_SLUG_LENGTH:
        return slug
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug[: MAX_SLUG_LENGTH - 9].rstrip('-')}-{digest}".lstrip("-")


def slugs(labels: Iterable[str], what: str) -> dict[str, str]:
    """Map each label to its slug; raise EdgeaudioError naming two labels that would share one.

    `what` says whose labels these are ("model alarms", say).
    """
    by_slug: dict[str, str] = {}
    for label in labels:
        other = by_slug.setdefault(slugify(label), label)
        if other != label:
            raise EdgeaudioError(
                f"{what}: the labels {other!r} and {label!r} would share the topic level {slugify(label)!r}; rename one"
            )
    return {label: slug for slug, label in by_slug.items()}


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one agent. Raises EdgeaudioError on a base or device that cannot be one.

    `base` may have several levels (`site/edgeaudio`); `device` and the `source` arguments are slugs, and
    the `label` arguments are labels as the model has them.
    """

    base: str
    device: str

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
    def unique_name(self) -> str:
        """One name for base and device, of `a-z`, `0-9`, `-` and `_`, which no other pair of them shares.

        The first hyphen parts the two; a base with other characters than letters and digits in lower case has a digest.
        """
        name = slugify(self.root)
        if len(self.root) <= MAX_SLUG_LENGTH and _PLAIN_BASE.fullmatch(self.base):
            return name
        return f"{name}_{hashlib.sha256(self.root.encode()).hexdigest()[:8]}"

    @property
    def availability(self) -> str:
        return f"{self.root}/availability"

    @property
    def health(self) -> str:
        return f"{self.root}/health"

    @property
    def command_result(self) -> str:
        return f"{self.root}/command"

    @property
    def restart_set(self) -> str:
        return f"{self.root}/restart/set"

    def status(self, source: str) -> str:
        return f"{self.root}/{source}/status"

    def detection(self, source: str) -> str:
        return f"{self.root}/{source}/detection"

    def level(self, source: str) -> str:
        return f"{self.root}/{source}/level"

    def label(self, source: str, label: str) -> str:
        return f"{self.root}/{source}/label/{slugify(label)}"

    def threshold(self, source: str, label: str) -> str:
        return f"{self.root}/{source}/threshold/{slugify(label)}"

    def threshold_set(self, source: str, label: str) -> str:
        return f"{self.threshold(source, label)}/set"

    def enabled(self, source: str) -> str:
        return f"{self.root}/{source}/enabled"

    def enabled_set(self, source: str) -> str:
        return f"{self.enabled(source)}/set"

    def test_set(self, source: str) -> str:
        return f"{self.root}/{source}/test/set"

    def is_detection(self, topic: str) -> bool:
        """True if detections of some source are published there."""
        return topic.startswith(f"{self.root}/") and topic.endswith("/detection")

    def family(self, topic: str) -> str:
        """Return the filter of the topics that access rules are likely to treat as they treat this one.

        Of a source's topics those of all sources and labels; of other programs' topics all under their first level.
        """
        if not topic.startswith(f"{self.root}/"):
            return f"{topic.partition('/')[0]}/#"
        match topic.removeprefix(f"{self.root}/").split("/"):
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
        return (self.restart_set, f"{each}/enabled/set", f"{each}/threshold/+/set", f"{each}/test/set")
