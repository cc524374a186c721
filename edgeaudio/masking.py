"""Takes the passwords out of text that people will read: URLs alone, and URLs anywhere in a line.

Owns: what counts as a secret in a URL, and how it is hidden.
Does not know: settings, logging, or any protocol; every part of the project may use it.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
# Cameras take logins as parameters too, in the query and (the XM family) in the path: /user=admin_password=x_channel=1
_PARAMETER = re.compile(
    r"((?:[a-z0-9-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key)|(?<![a-z0-9])(?:pass|pwd|psw|auth|signature|sig|key))=)"
    r"(?:(?!_[a-z]+=)[^&;/?#\s\"'])+",
    re.IGNORECASE,
)


def mask_url(url: str) -> str:
    """The same URL with its password, and parameters that look like one, replaced by `***`.

    A login whose password holds `/`, `?` or `#` unencoded is no valid URL, yet is hidden too: where the
    text before the first slash ends in something that is no port, all up to the last `@` is taken for it.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    cut = next((i for i, character in enumerate(rest) if character in "/?#"), len(rest))
    authority, tail = rest[:cut], rest[cut:]
    user, colon, port = authority.partition(":")
    if "@" in authority:
        login, _, host = authority.rpartition("@")
        user, colon, _ = login.partition(":")
        authority = f"{user}{colon}{HIDDEN if colon else ''}@{host}"
    elif "@" in tail and colon and not port.isdigit() and not user.startswith("["):
        authority, tail = f"{user}:{HIDDEN}@{tail.rpartition('@')[2]}", ""
    return f"{scheme}://{authority}" + _PARAMETER.sub(rf"\g<1>{HIDDEN}", tail)


def mask(text: str) -> str:
    """`text` with the secrets of every URL in it hidden."""
    return _URL.sub(lambda match: mask_url(match.group()), text)
