"""Keys and strings as TOML writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable


def quoted(text: str) -> str:
    """Write a TOML string: its escapes are those of JSON, and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def dotted(key: Iterable[str]) -> str:
    """Write a key, each part quoted where it must be."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else quoted(part) for part in key)
