"""Slugs: names that can stand as a topic level, in an id and in a file's name.

A label is free text ("Dog bark, yip"); a slug is 1 to 64 of a-z, 0-9 and hyphen. `slugify` lower-cases, strips accents,
and turns every run of other characters into one hyphen. What leaves nothing behind (a label in Japanese) or is cut for
length gets the first eight digits of its SHA-256, so that it stays stable and distinct. Two labels of one source that
still meet in one slug are an error to be told at start: `slugs` tells it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from edgeaudio.errors import EdgeaudioError

MAX_SLUG_LENGTH = 64
_SLUG = re.compile(rf"[a-z0-9-]{{1,{MAX_SLUG_LENGTH}}}")
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
    """Make a topic level out of any text."""
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
