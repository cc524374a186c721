"""What a proxy knows of the source behind it: what was read, what failed, and whether the sound is live.

Owns: failures by address and which reads clear them, and the names of servers in messages.
Does not know: sockets, the text of playlists.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edgeaudio.capture.origin import LeadError, Origin
from edgeaudio.capture.playlist import MasterPlaylist, MediaPlaylist
from edgeaudio.capture.proxy_messages import Request
from edgeaudio.types import Reason

MAX_REDIRECTS = 8  # FFmpeg's own limit
_MAX_KNOWN = 1000  # addresses that are remembered
_REFUSALS = {
    401: (Reason.UNAUTHORIZED, "refused the login", None),
    403: (Reason.UNAUTHORIZED, "forbids access", None),
    404: (Reason.NOT_FOUND, "knows no such stream", None),
    410: (Reason.NOT_FOUND, "knows no such stream", None),
    429: (Reason.SERVER_BUSY, "has had too many requests", "ask it less often"),
    503: (Reason.SERVER_BUSY, "cannot serve just now", "see what keeps it busy"),
}


@dataclass(frozen=True, slots=True)
class ProxyFailure:
    """Why something behind the proxy was not read."""

    reason: Reason
    detail: str
    hint: str | None  # None: the reason's own
    final: bool  # nothing more of the source is read


class ProxyStatus:
    """Status of one connection of a source. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._final: ProxyFailure | None = None
        self._failures: dict[str, ProxyFailure] = {}  # by URL; a later read of the same kind clears them
        self._lists: dict[str, None] = {}  # URLs that gave a playlist, in order
        self._master = ""  # URL of the master playlist
        self._redirected: dict[str, int] = {}  # URLs that redirects led to, and how many
        self._is_live: bool | None = None

    @property
    def failure(self) -> ProxyFailure | None:
        """The final failure, or else the last one that no read has cleared."""
        with self._lock:
            return self._final or next(reversed(self._failures.values()), None)

    @property
    def is_live(self) -> bool | None:
        """True for a live playlist or a body without an end, False for a recording, None: not known yet."""
        with self._lock:
            return self._is_live

    @property
    def has_playlist(self) -> bool:
        """True if a playlist was read."""
        with self._lock:
            return bool(self._lists)

    def failed(self, url: str, error: LeadError) -> None:
        """Note that `url` was not read."""
        failure = ProxyFailure(error.reason, error.detail, error.hint, error.final)
        with self._lock:
            self._failures.pop(url, None)
            if len(self._failures) < _MAX_KNOWN:
                self._failures[url] = failure
            if failure.final and self._final is None:
                self._final = failure

    def read(self, url: str, *, is_list: bool) -> None:
        """Note that `url` was read, which clears failures of its kind (playlists, or segments)."""
        with self._lock:
            self._redirected.pop(url, None)
            if is_list:
                if url not in self._lists and len(self._lists) >= _MAX_KNOWN:
                    del self._lists[next(iter(self._lists))]
                self._lists[url] = None
            self._failures = {
                other: failure
                for other, failure in self._failures.items()
                if other != url and (other in self._lists) is not is_list
            }

    def requested(self, url: str, origin: Origin) -> bool:
        """Note a request; True if a redirect led to it. Raises LeadError after too many redirects."""
        with self._lock:
            redirects = self._redirected.get(url, 0)
            self._failures.pop(url, None)
        if redirects > MAX_REDIRECTS:
            detail = f"redirected more than {MAX_REDIRECTS} times, at last to {origin}"
            raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
        return redirects > 0

    def redirected(self, url: str, target: str) -> None:
        """Note a redirect from `url`."""
        with self._lock:
            if len(self._redirected) >= _MAX_KNOWN:
                self._redirected.clear()
            self._redirected[target] = self._redirected.get(url, 0) + 1

    def found_body(self, *, is_live: bool) -> None:
        """Note a body that is no playlist; it decides only for a source without playlists."""
        with self._lock:
            if self._is_live is None and not self._lists:
                self._is_live = is_live

    def found_recording(self) -> None:
        """Note that the source is one recording."""
        with self._lock:
            self._is_live = False

    def found_playlist(self, request: Request, origin: Origin, playlist: MediaPlaylist | MasterPlaylist) -> None:
        """Note a playlist. Raises LeadError for a master playlist within another."""
        with self._lock:
            if isinstance(playlist, MasterPlaylist):
                # FFmpeg follows a master playlist within another without end, and crashes where a list becomes one
                if self._lists and request.url != self._master:
                    detail = f"{origin} gives a list of lists where a list of segments belongs"
                    raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
                self._master = request.url
                return
            self._is_live = playlist.is_live or bool(self._is_live)

    def name_of(self, request: Request, origin: Origin) -> str:
        """Return what a server is called in the message about its answer."""
        with self._lock:
            if self._lists and request.url not in self._lists:
                return f"{origin}, asked for a part of the stream,"
            if request.url in self._redirected:
                return f"{origin}, to where a redirect led,"
        return "the server"


def refusal(server: str, status: int) -> LeadError:
    """Return the error for an HTTP status of 400 and above; `server`: from `ProxyStatus.name_of`."""
    other = "refused the request" if status < 500 else "failed"
    reason, what, hint = _REFUSALS.get(status, (Reason.INVALID_DATA, other, "look at the server's log"))
    return LeadError(reason, f"{server} {what} ({status})", hint)
