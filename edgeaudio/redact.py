"""Redaction: secrets of URLs are masked, in a URL and in free text.

Owns: finding URLs in free text. Does not know: which parts of a URL are secret (urls.py).
"""

from __future__ import annotations

import re

from edgeaudio.urls import HIDDEN, UrlSyntaxError, is_path, shown_rest, split_url

# up to the next blank: a quotation mark can be part of a password. One slash is enough: `Path` makes one of two
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30}):/+\S+")
_TO_LAST_AT = re.compile(r".*@\S*")  # in the same line
_CLOSING = "'\",;:.!?)}>"
_MOST_CLOSING = 3  # punctuation marks behind a URL in brackets and quotes; more of them may belong to a password


def mask_url(url: str) -> str:
    """Return the URL with `***` for all that may be secret; an ambiguous URL is masked as a whole.

    The path of a file is returned as it is, unless it could be an address without its scheme.
    """
    scheme, separator, _ = url.partition("://")
    if (is_path(url) and not url.startswith("//") and not separator) or url.lower().startswith("file:///"):
        return url
    if separator:
        try:
            return str(split_url(url))
        except UrlSyntaxError:
            return f"{scheme if re.fullmatch('[A-Za-z+]{1,12}', scheme) else HIDDEN}://{HIDDEN}"
    if "@" in url:
        return f"{HIDDEN}@{shown_rest(url.rpartition('@')[2])}"
    if re.match(r"[a-z]+:", url):  # alsa:plughw:CARD=mic
        device, _, query = url.partition("?")
        return device + (shown_rest(f"?{query}") if query else "")
    return shown_rest(url) if "=" in url or "?" in url else url


def mask(text: str) -> str:
    """Return the text with the secrets of every URL in it masked."""
    masked, done = [], 0
    while found := _URL.search(text, done):
        masked.append(text[done : found.start()])
        url = found.group()
        closing = _closing(url)
        line = text[found.end() :].partition("\n")[0]
        shown = _shown(url.removesuffix(closing), found["scheme"], line)
        masked.append(shown or f"{found['scheme']}://{HIDDEN}{closing}")
        done = found.end()
        # a password may contain a blank, and then continues behind it
        if shown is None and (more := _TO_LAST_AT.match(text, done)):
            done = more.end()
        elif shown is not None:
            masked.append(closing)
    return "".join([*masked, text[done:]])


def _closing(url: str) -> str:
    """Return the punctuation behind a URL that belongs to the sentence."""
    for end in range(len(url), max(len(url) - _MOST_CLOSING, 0), -1):
        unopened = url[end - 1] == "]" and url.count("[", 0, end) < url.count("]", 0, end)
        if url[end - 1] not in _CLOSING and not unopened:
            return url[end:]
    return url[-_MOST_CLOSING:]


def _shown(url: str, scheme: str, line: str) -> str | None:
    """Return the URL with its secrets masked, None if it is ambiguous. line: the rest of the line."""
    if "://" not in url:
        return None if "@" in url or "@" in line else url
    if url == f"{scheme}://{HIDDEN}":
        return url
    try:
        return str(split_url(url))
    except UrlSyntaxError:
        return None
