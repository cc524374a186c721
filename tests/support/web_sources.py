"""Sources on scripted web servers, and the seconds heard or the errors."""

from collections.abc import Callable
from typing import Any

import pytest
from support.scripted_web import Answer, Asked, ok, scripted_web
from support.sources import hear

from edgeaudio.capture.errors import SourceError


def refusal(url: str, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, media=True, **{"open_timeout_s": 5, "read_timeout_s": 5, **options})
    return caught.value


def seconds(answer: Answer, path: str = "/x", **options: Any) -> float:
    """Return the seconds heard of a server with these answers."""
    with scripted_web(answer) as web:
        return hear(f"http://127.0.0.1:{web.port}{path}", media=True, open_timeout_s=5, **options).seconds


def files(**answers: bytes) -> Callable[[Asked], bytes]:
    """Return the answers of a server with these files; `_` stands for a dot in their names."""
    missing = ok(b"", status="404 Not Found")
    return lambda asked: answers.get(asked.target.strip("/").partition("?")[0].replace(".", "_"), missing)


def media_list(*entries: str, end: str = "#EXT-X-ENDLIST\n") -> bytes:
    return "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:1", *entries, end]).encode()
