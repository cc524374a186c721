"""Slugs: names for topic levels, ids and file names.

A label is free text ("Dog bark, yip"); a slug is 1 to 64 of a-z, 0-9 and hyphen. `slugify` lower-cases, strips accents,
and replaces every run of other characters by one hyphen. A label without any such character (in Japanese) or of more
than 64 gets the first eight digits of its SHA-256, so that its slug is stable and distinct. Two labels of one source
with the same slug are an error: `slugs` raises it.
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
# labels that are a folder's name anywhere; others are shown by their slug
_FOLDER = re.compile(r"\w[\w ,.()&'+-]{0,63}")
_MAX_BYTES = 200
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in "0123456789¹²³")})


def is_slug(name: str) -> bool:
    """True if a name is a slug: 1 to 64 of a-z, 0-9 and hyphen."""
    return _SLUG.fullmatch(name) is not None


def require_slug(name: str, what: str) -> str:
    """Return the name. Raises EdgeaudioError if it is no slug; `what` names it there ("source name")."""
    if is_slug(name):
        return name
    shown = name if len(name) <= MAX_SLUG_LENGTH else name[:MAX_SLUG_LENGTH] + "..."
    raise EdgeaudioError(
        f"{what} {shown!r} is not allowed: use 1 to {MAX_SLUG_LENGTH} of a-z, 0-9 and hyphen, as in {slugify(name)!r}"
    )


def slugify(text: str) -> str:
    """Return the slug of any text."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    slug = _OTHER.sub("-", plain).strip("-")
    if slug and len(slug) <= MAX_SLUG_LENGTH:
        return slug
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug[: MAX_SLUG_LENGTH - 9].rstrip('-')}-{digest}".lstrip("-")


def slugs(labels: Iterable[str], what: str) -> dict[str, str]:
    """Return the slug of each label. Raises EdgeaudioError if two labels share one.

    `what` names the owner of the labels in the error ("model alarms").
    """
    by_slug: dict[str, str] = {}
    for label in labels:
        other = by_slug.setdefault(slugify(label), label)
        if other != label:
            raise EdgeaudioError(
                f"{what}: the labels {other!r} and {label!r} would share the topic level {slugify(label)!r}; rename one"
            )
    return {label: slug for slug, label in by_slug.items()}


def label_folder(label: str) -> str:
    """Return the name of a label's folder, which is the label where that can be; no two labels share one.

    Names may differ by case alone: see LabelFolders.
    """
    is_name = (
        _FOLDER.fullmatch(label)
        and len(label.encode()) <= _MAX_BYTES
        and not label.endswith((" ", "."))
        and label.partition(".")[0].rstrip().lower() not in _DEVICES
    )
    return label if is_name else _digest_folder(label)


class LabelFolders:
    """Names of labels' folders for any file system: of those that one takes for the same, the first keeps its own."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}  # that have a name, by what file systems compare

    def of(self, label: str) -> str:
        name = label_folder(label)
        owner = self._labels.setdefault(unicodedata.normalize("NFKC", name).casefold(), label)
        return name if owner == label else _digest_folder(label)


def _digest_folder(label: str) -> str:
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    slug = slugify(label)[:40].strip("-")
    return digest if slug == digest else f"{slug}-{digest}"
