"""HTTP proxy on loopback that every HTTP connection of a source passes through, and that keeps the source's promises.

Owns: the proxy's threads, what it lets through, and the evidence of what went wrong behind it.
Does not know: how a server is reached (origin.py), the text of playlists (playlist.py), logins (FFmpeg makes them).

FFmpeg follows redirects and playlists to any host, and its HLS reader verifies no certificate of the connections that
come after the first. So FFmpeg speaks plain HTTP to this proxy and no TLS at all: the proxy makes the connections, to
addresses of the kind that the source's own host has (this machine, the local network, the internet) and no other,
verifies each certificate, and never leads from https to http. It bounds heads, redirects and playlists. One proxy
serves one connection of one source; what it refuses for good ends that connection.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urljoin, urlsplit

from edgeaudio.capture.auth_schemes import explain_login
from edgeaudio.capture.cookies import CookieJar
from edgeaudio.capture.heard_segments import HeardSegments, digest
from edgeaudio.capture.http_message import (
    BrokenOffError,
    Head,
    HeadTooLargeError,
    MessageError,
    body_of,
    length_of,
    read_head,
)
from edgeaudio.capture.live_playlists import BegunAnewError, EndOfPlaylistError, LivePlaylists, StaleError
from edgeaudio.capture.origin import CONNECT_S, HOST, Dialler, LeadError, Origin, hide_exemptions
from edgeaudio.capture.playlist import (
    MAX_BYTES,
    MasterPlaylist,
    MediaPlaylist,
    PlaylistError,
    PlaylistTooLargeError,
    parse_playlist,
)
from edgeaudio.capture.proxy_messages import Request, joined, send, send_list, split_list
from edgeaudio.capture.schemes import SCHEMES
from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.capture.whole_recording import (
    MAX_WHOLE_BYTES,
    TooLongError,
    WholeRecording,
    gives_ranges,
    index_is_last,
    read_front,
)
from edgeaudio.types import Reason

MAX_REDIRECTS = 8  # FFmpeg's own limit
_MAX_CONNECTIONS = 80  # at once; FFmpeg has one for each list that it reads
_BURST = 200  # requests at once; opening a list of lists takes a few for each of them
_REQUESTS_PER_S = 50  # after that
_MAX_KNOWN = 1000  # servers and addresses that are remembered
_MAX_INTERIM = 8  # responses (1xx) before the response
_RELOAD_S = 1.0  # between two askings for a playlist that has nothing new
_MAX_TRACKED = 100  # segments at the end of a live playlist; FFmpeg asks for no others
_ENDLESS_BYTES = 1 << 40  # what a server says that must name a length, and has none
_WAIT_S = 0.2
_PIECE_BYTES = 65536
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class ProxyFailure:
    """Why something behind the proxy was not read."""

    reason: Reason
    detail: str
    hint: str | None  # None: the reason's own
    final: bool  # nothing more of the source is read


class HttpProxy:
    """A way to the servers that `url` leads to. Use it in a `with` block; raises OSError where it cannot listen."""

    def __init__(
        self, url: SourceUrl, *, tls_verify: bool, ca_file: Path | None, heard: HeardSegments | None = None
    ) -> None:
        self._encrypted = url.is_tls
        self._has_login = url.username is not None
        self._dialler = Dialler(url.host or "", tls_verify=tls_verify, ca_file=ca_file)
        first = Origin((url.host or "").lower(), url.server_port, url.is_tls)
        self._tls_origins = {(first.host, first.port)} if first.tls else set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.received = 0  # bytes, from whatever the source led to
        self._fault: Exception | None = None  # that nobody expected, in a thread of ours
        self._closed = threading.Event()
        self._lock = threading.Lock()  # over all that follows
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._final: ProxyFailure | None = None
        self._failures: dict[str, ProxyFailure] = {}  # by URL; what was read of its kind since then removes it
        self._lists: dict[str, None] = {}  # URLs that gave a playlist, in order
        self._master = ""  # URL of the list of lists
        self._redirected: dict[str, int] = {}  # URLs that redirects led to, and how many
        self._is_live: bool | None = None
        self._whole: WholeRecording | None = None  # of a server that gives no parts
        self._tokens, self._paced_s = float(_BURST), time.monotonic()
        self._heard = HeardSegments() if heard is None else heard
        self._live = LivePlaylists(self._heard)
        self._cookies = CookieJar()

    @property
    def is_live(self) -> bool | None:
        """True for a live playlist or a body without an end, False for a recording, None: not known yet."""
        with self._lock:
            return self._is_live

    @property
    def finding(self) -> ProxyFailure | None:
        """Why the source cannot be read on, as far as the proxy knows; None where nothing failed, or it was mended."""
        with self._lock:
            return self._final or next(reversed(self._failures.values()), None)

    @property
    def has_live_playlist(self) -> bool:
        """True if what is read is a live playlist, of which nothing comes twice."""
        with self._lock:
            return bool(self._is_live and self._lists)

    @property
    def live_began_s(self) -> float | None:
        """The monotonic moment before which the first sound of a live playlist was made; None: none is read."""
        return self._live.began_s

    @property
    def stall_timeout_s(self) -> float:
        """How long it may take without sound until a playlist that is no longer updated shows as such."""
        return self._live.stall_timeout_s

    def sound(self) -> None:
        """Note that sound comes of what is read: what was passed on is heard."""
        self._heard.sound()

    def __enter__(self) -> Self:
        hide_exemptions()
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """Close all. Raises what nobody expected in a thread of the proxy, whatever else became of that."""
        self._close()
        with self._lock:
            threads = self._threads
        self._server.close()
        self._heard.end()
        for thread in threads:
            thread.join(_WAIT_S)  # one may hang in the resolver; it ends when that does
        if self._fault is not None:
            raise self._fault  # in the thread of whoever reads the source

    def _close(self) -> None:
        self._closed.set()
        with self._lock:
            for end in (self._server, *self._ends):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 (raised again where the connection is closed)
                self._fault = error
                self._close()

        thread = threading.Thread(target=guarded, name="proxy", daemon=True)
        with self._lock:
            thread.start()
            self._threads = [thread, *(other for other in self._threads if other.is_alive())]

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            if len(self._threads) > _MAX_CONNECTIONS:
                near.close()
            else:
                self._begin(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        # what fails is closed without an answer: the evidence is in `finding`
        with _Ends(self._ends, self._lock, self._closed) as ends, contextlib.suppress(OSError, ValueError):
            ends.add(near)
            near.settimeout(CONNECT_S)
            head, _ = read_head(lambda: near.recv(_PIECE_BYTES))
            near.settimeout(None)  # how long FFmpeg does not read is its own affair
            request = Request.parse(head)
            if self._closed.wait(self._wait_s()):
                return
            try:
                self._exchange(request, near, ends)
            except LeadError as error:
                self._failed(request.url, error)
            except HeadTooLargeError as error:
                refused = LeadError(Reason.TOO_LARGE, f"{request.where} answers with more than fits: {error}", "")
                self._failed(request.url, refused)
            except MessageError:
                self._failed(request.url, LeadError(Reason.INVALID_DATA, f"{request.where} does not speak HTTP"))
            except BrokenOffError as error:
                self._failed(request.url, LeadError(Reason.END_OF_STREAM, f"{request.where} broke off: {error}", ""))
            except MemoryError:  # FFmpeg keeps what comes, and here is where no more can be had
                detail = f"{request.where} sends more than there is memory for"
                self._failed(request.url, LeadError(Reason.TOO_LARGE, detail, "", final=True))

    def _wait_s(self) -> float:
        """How long a request has to wait: FFmpeg runs through any number of segments that are empty or missing."""
        with self._lock:
            now_s = time.monotonic()
            self._tokens = min(_BURST, self._tokens + _REQUESTS_PER_S * (now_s - self._paced_s)) - 1
            self._paced_s = now_s
            return max(0.0, -self._tokens / _REQUESTS_PER_S)

    def _failed(self, url: str, error: LeadError) -> None:
        finding = ProxyFailure(error.reason, error.detail, error.hint, error.final)
        with self._lock:
            self._failures.pop(url, None)
            if len(self._failures) < _MAX_KNOWN:
                self._failures[url] = finding
            if finding.final and self._final is None:
                self._final = finding
        if finding.final:
            self._close()

    def _read(self, url: str, *, is_list: bool) -> None:
        """Note that `url` is read: what failed of the kind is mended."""
        with self._lock:
            self._redirected.pop(url, None)
            if is_list:
                if url not in self._lists and len(self._lists) >= _MAX_KNOWN:
                    del self._lists[next(iter(self._lists))]
                self._lists[url] = None
            self._failures = {
                other: finding
                for other, finding in self._failures.items()
                if other != url and (other in self._lists) is not is_list
            }

    # one request and its response

    def _exchange(self, request: Request, near: socket.socket, ends: _Ends) -> None:
        origin = self._origin(request)
        if self._whole is not None and self._whole.url == request.url:
            self._whole.send(near, request.offset)
            return
        with self._lock:
            redirects = self._redirected.get(request.url, 0)
            self._failures.pop(request.url, None)
        if redirects > MAX_REDIRECTS:
            detail = f"redirected more than {MAX_REDIRECTS} times, at last to {origin}"
            raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
        while (wait_s := self._ask(request, origin, near, ends, redirected=redirects > 0)) is not None:
            self._wait(near, wait_s)

    def _ask(
        self, request: Request, origin: Origin, near: socket.socket, ends: _Ends, *, redirected: bool
    ) -> float | None:
        """Make the connection and pass the response on; or return after how many seconds to ask again."""
        try:
            far, proxy = self._dialler.connect(origin, ends.add)
        except LeadError as error:
            if redirected and not error.final:
                error.detail += ", to where a redirect led"
            raise
        with ends.until_closed(far):
            far.sendall(request.head_for(origin, proxy, self._cookies.header(origin, request.target)))
            far.settimeout(0)
            waiting = select.poll()
            for end in (near, far):
                waiting.register(end, select.POLLIN)

            def receive() -> bytes:
                return self._receive(near, far, waiting)

            try:
                response, rest = read_head(receive)
            except BrokenOffError:
                detail = f"{origin} closed the connection without an answer"
                raise LeadError(Reason.INVALID_DATA, detail, "") from None
            for _ in range(_MAX_INTERIM):
                if response.status // 100 != 1:
                    break
                response, rest = read_head(receive, rest)
            for name, value in response.headers:
                if name.lower() == "set-cookie":
                    self._cookies.take(origin, request.target, value)
            response.headers = response.without("set-cookie")
            return self._respond(request, origin, response, body_of(response, rest, receive), near)

    def _called(self, request: Request, origin: Origin) -> str:
        """What a server is called whose answer is told."""
        with self._lock:
            if self._lists and request.url not in self._lists:
                return f"{origin}, asked for a part of the stream,"
            if request.url in self._redirected:
                return f"{origin}, to where a redirect led,"
        return "the server"

    def _wait(self, near: socket.socket, wait_s: float) -> None:
        """Wait before the server is asked again. Raises ConnectionError when nobody waits for its answer any longer."""
        waiting = select.poll()
        waiting.register(near, select.POLLIN)
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._closed.is_set() or waiting.poll(min(left_s, _WAIT_S) * 1000):
                raise ConnectionAbortedError

    def _respond(
        self, request: Request, origin: Origin, response: Head, body: Iterator[bytes], near: socket.socket
    ) -> float | None:
        status = response.status
        if status // 100 == 3 and (location := response.get("location")):
            led = self._redirect(request, origin, location)
            response.headers = [*response.without("location", "content-length"), ("Location", led)]
        if status >= 400:
            called = self._called(request, origin)
            refusal = _refusal(called, status)
            if status == 401 and called == "the server":
                challenges = [value for name, value in response.headers if name.lower() == "www-authenticate"]
                refusal = LeadError(*explain_login(challenges, given=self._has_login))
            self._failed(request.url, refusal)
        if request.method == "HEAD" or status // 100 == 3 or status == 204:
            send(near, response, iter(()), chunks=False)
        elif status // 100 == 2:
            return self._pass(request, origin, response, body, near)
        else:
            send(near, response, body, chunks=False)
        return None

    def _origin(self, request: Request) -> Origin:
        with self._lock:
            tls = (request.host, request.port) in self._tls_origins
        origin = Origin(request.host, request.port, tls)
        if self._encrypted and not tls:
            detail = f"led from https to {origin}, which is not encrypted; not followed"
            raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
        return origin

    def _receive(self, near: socket.socket, far: socket.socket, waiting: select.poll) -> bytes:
        """The next bytes of `far`. Raises ConnectionError when nobody waits for them any longer."""
        while not self._closed.is_set():
            try:
                data = far.recv(_PIECE_BYTES)
                self.received += len(data)  # by several threads now and then: it need not be exact
                return data  # noqa: TRY300 (nothing above raises but recv)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError as error:
                raise BrokenOffError(error.strerror) from None
            # FFmpeg sends nothing after its request: what can be read of it is its end
            if near.fileno() in (end for end, _ in waiting.poll(_WAIT_S * 1000)):
                break
        raise ConnectionAbortedError

    def _redirect(self, request: Request, origin: Origin, location: str) -> str:
        led = self._lead(urljoin(_absolute(origin, request.target), location.strip()), origin)
        key = Request.url_of(urlsplit(led))
        with self._lock:
            if len(self._redirected) >= _MAX_KNOWN:
                self._redirected.clear()
            self._redirected[key] = self._redirected.get(request.url, 0) + 1
        return led

    def _lead(self, uri: str, base: Origin) -> str:
        """The address that FFmpeg is given for one in a playlist or a redirect.

        An https address becomes one of http with its port, which the proxy knows for TLS. Of other schemes there is
        nothing to be had: their addresses become names beside the list.
        """
        if uri.startswith("//"):
            uri = f"{'https' if base.tls else 'http'}:{uri}"
        match = _SCHEME.match(uri)
        if match is None:
            return uri
        scheme = SCHEMES.get(match[1].lower())
        try:
            parts = urlsplit(uri)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return f"./{uri}"
        if scheme is None or scheme.family != "http" or not HOST.fullmatch(host):
            return f"./{uri}"
        origin = Origin(host, port or scheme.port or 0, scheme.tls)
        if origin.tls:
            with self._lock:
                if len(self._tls_origins) >= _MAX_KNOWN:
                    raise LeadError(Reason.TOO_LARGE, f"led to more than {_MAX_KNOWN:,} servers", "", final=True)
                self._tls_origins.add((origin.host, origin.port))
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return parts._replace(scheme="http", netloc=f"{login}{origin}", fragment="").geturl()

    # bodies

    def _pass(
        self, request: Request, origin: Origin, response: Head, body: Iterator[bytes], near: socket.socket
    ) -> float | None:
        start, is_list = split_list(body) if request.from_start else (b"", False)
        if is_list:
            playlist = self._admitted(request, origin, start, body)
            shown = playlist if isinstance(playlist, MasterPlaylist) else self._shown(request, origin, playlist)
            if shown is None:
                return _RELOAD_S
            self._read(request.url, is_list=True)
            send_list(near, response, shown.text().encode("latin-1"))
            return None
        if request.from_start and not gives_ranges(response):
            start = read_front(start, body)
            if not self._lists and index_is_last(start):
                self._send_whole(request, origin, response, joined(start, body), near)
                return None
        with self._lock:
            if self._is_live is None and not self._lists:
                icy = any(name.lower().startswith("icy-") for name, _ in response.headers)
                length = length_of(response)
                self._is_live = icy or length is None or length >= _ENDLESS_BYTES
        self._read(request.url, is_list=False)
        self._live.begin((request.url, request.offset))
        send(near, response, joined(start, body), chunks=request.knows_chunks)
        return None

    def _send_whole(
        self, request: Request, origin: Origin, response: Head, body: Iterator[bytes], near: socket.socket
    ) -> None:
        """Pass a recording on, and keep it, so that FFmpeg may ask for parts of it. Raises LeadError."""
        try:
            whole = WholeRecording(request.url, response, body)
        except TooLongError:
            detail = (
                f"the recording has its index at its end, and {origin} gives no parts of it (byte ranges):"
                f" it is read up to {MAX_WHOLE_BYTES >> 20} MiB"
            )
            hint = "put the index in front: ffmpeg -i IN -c copy -movflags +faststart OUT"
            raise LeadError(Reason.TOO_LARGE, detail, hint, final=True) from None
        with self._lock:
            self._is_live = False
            self._whole = whole
        self._read(request.url, is_list=False)
        whole.send(near, 0)

    def _shown(self, request: Request, origin: Origin, playlist: MediaPlaylist) -> MediaPlaylist | None:
        """What FFmpeg is given of a playlist; None where it has nothing new. Raises LeadError."""
        name = digest(request.target.partition("?")[0])  # whichever of its hosts it came from
        try:
            shown = self._live.show(name, playlist)
        except StaleError as error:
            raise LeadError(Reason.PLAYLIST_STALE, str(error), "check what feeds the server", final=True) from None
        except BegunAnewError:
            detail = "the server began its playlist anew"
            raise LeadError(Reason.END_OF_STREAM, detail, "", final=True) from None
        except EndOfPlaylistError:
            detail = "the stream has ended, and was heard to its end"
            raise LeadError(Reason.END_OF_STREAM, detail, "", final=True) from None
        if shown is not None and not shown.segments:
            # an audio track of none, beside a variant of some, is a NULL pointer to FFmpeg
            raise LeadError(Reason.INVALID_DATA, f"the playlist of {origin} has no segments", "")
        if shown is None:
            self._failed(request.url, LeadError(Reason.TIMEOUT, "the playlist has nothing new as yet"))
        elif shown.is_live or shown is not playlist:
            base = f"http://{origin}{request.target}"
            for segment in shown.segments[-_MAX_TRACKED:]:
                address = Request.url_of(urlsplit(urljoin(base, segment.uri)))
                self._live.track(name, (address, segment.byte_range[1] if segment.byte_range else 0), segment)
        return shown

    def _admitted(
        self, request: Request, origin: Origin, start: bytes, body: Iterator[bytes]
    ) -> MediaPlaylist | MasterPlaylist:
        """The playlist, if it is one that may be passed on. Raises LeadError."""
        data = bytearray(start)
        for piece in body:
            data += piece
            if len(data) > MAX_BYTES:
                detail = f"the playlist of {origin} is larger than {MAX_BYTES >> 20} MiB"
                raise LeadError(Reason.TOO_LARGE, detail, "", final=True)
        try:
            playlist = parse_playlist(bytes(data), lambda uri: self._lead(uri, origin), len(request.url))
        except PlaylistTooLargeError as error:
            detail = f"the playlist of {origin} is not read: {error}"
            raise LeadError(Reason.TOO_LARGE, detail, "", final=True) from None
        except PlaylistError as error:
            detail = f"the playlist of {origin} is not read: {error}"
            raise LeadError(Reason.INVALID_DATA, detail, "", final=True) from None
        self._admit(request, origin, playlist)
        return playlist

    def _admit(self, request: Request, origin: Origin, playlist: MediaPlaylist | MasterPlaylist) -> None:
        """Hold the playlists of a connection to what FFmpeg can bear. Raises LeadError."""
        with self._lock:
            if isinstance(playlist, MasterPlaylist):
                # FFmpeg follows a master playlist within another without end, and crashes where a list becomes one
                if self._lists and request.url != self._master:
                    detail = f"{origin} gives a list of lists where a list of segments belongs"
                    raise LeadError(Reason.INVALID_DATA, detail, "", final=True)
                self._master = request.url
                return
            self._is_live = playlist.is_live or bool(self._is_live)


class _Ends:
    """The sockets of one exchange: shut down when the proxy closes, closed when the exchange is over."""

    def __init__(self, everybodys: set[socket.socket], lock: threading.Lock, closed: threading.Event) -> None:
        self._everybodys = everybodys
        self._lock = lock
        self._closed = closed
        self._own: list[socket.socket] = []

    def add(self, end: socket.socket) -> None:
        self._own.append(end)
        with self._lock:
            if self._closed.is_set():
                raise ConnectionAbortedError
            self._everybodys.add(end)

    @contextlib.contextmanager
    def until_closed(self, end: socket.socket) -> Iterator[None]:
        """Close that one, and what it was made of, before the others."""
        try:
            yield
        finally:
            with self._lock:
                self._everybodys.difference_update(self._own[1:])
            end.close()
            del self._own[1:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._everybodys.difference_update(self._own)
        for end in self._own:
            end.close()


def _absolute(origin: Origin, target: str) -> str:
    return f"{'https' if origin.tls else 'http'}://{origin}{target}"


_REFUSALS = {
    401: (Reason.UNAUTHORIZED, "refused the login", None),
    403: (Reason.UNAUTHORIZED, "forbids access", None),
    404: (Reason.NOT_FOUND, "knows no such stream", None),
    410: (Reason.NOT_FOUND, "knows no such stream", None),
    429: (Reason.SERVER_BUSY, "has had too many requests", "ask it less often"),
    503: (Reason.SERVER_BUSY, "cannot serve just now", "see what keeps it busy"),
}


def _refusal(who: str, status: int) -> LeadError:
    other = "refused the request" if status < 500 else "failed"
    reason, what, hint = _REFUSALS.get(status, (Reason.INVALID_DATA, other, "look at the server's log"))
    return LeadError(reason, f"{who} {what} ({status})", hint)
