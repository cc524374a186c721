"""A file from a web server: bounded, checked by its SHA-256, and resumed where an earlier download broke off.

Owns: which addresses and redirects are followed, what goes wrong on the way, and the part of a file that is kept for
the next try, with the server's mark of its version.
Does not know: models, or where the file goes.

Proxies are those of the environment (`https_proxy`, `http_proxy`, `no_proxy`).
"""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import IO, BinaryIO

from edgeaudio.errors import EdgeaudioError
from edgeaudio.network_errors import diagnose
from edgeaudio.redact import mask_url
from edgeaudio.tls_errors import Peer
from edgeaudio.urls import Url, UrlSyntaxError, split_url
from edgeaudio.version import __version__

STALL_S = 30.0  # without a byte
MOST_REDIRECTS = 5
_PIECE_BYTES = 1 << 16
_FOR_NOW = (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS)  # statuses that keep what came
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
_PEER = Peer("the server", "an authority of this system (or by SSL_CERT_FILE)", "the address", "")

Show = Callable[[float, float | None], None]


class DownloadError(EdgeaudioError):
    """A file that could not be had whole, or that is another than the expected one."""


class _UnusableError(DownloadError):
    """What the server sends is of no use: none of it is kept."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is wanted."""

    url: str
    most_bytes: int
    sha256: str = ""  # of the whole file; empty: any content is taken


def require_address(url: str, *, checked: bool) -> Url:
    """Return the address. Raises DownloadError for one that is not fetched.

    checked: the content is compared with a known SHA-256, and may come without TLS.
    """
    try:
        address = split_url(url)
    except UrlSyntaxError as error:
        raise DownloadError(f"that address {error}") from None
    if address.username is not None:
        raise DownloadError(f"{address}: an address with a login is not fetched; download the file by other means")
    if address.scheme not in {"https", "http"}:
        raise DownloadError(f"{address}: only https:// is fetched")
    if address.scheme == "http" and not checked and not _is_loopback(address.host):
        raise DownloadError(f"{address}: without TLS anybody on the way can change it: say its hash with --sha256 HEX")
    return address


def download(wanted: Download, part: Path, show: Show = lambda *_: None) -> None:
    """Write the whole, checked file to `part`. Raises DownloadError, and OSError if it cannot be written.

    What was received stays in `part` for the next try, where the server can go on from there; else it is removed. Also
    where this is interrupted.
    """
    address = require_address(wanted.url, checked=bool(wanted.sha256))
    mark = part.with_name(f"{part.name}.mark")
    try:
        _receive(wanted, address, part, mark, show)
    except (OSError, _UnusableError):
        _remove(part, mark)
        raise
    except BaseException:  # interrupted, for one
        if not mark.exists() or not part.exists() or not part.stat().st_size:
            _remove(part, mark)
        raise
    try:
        if wanted.sha256 and (digest := _sha256(part)) != wanted.sha256:
            part.unlink()
            raise DownloadError(
                f"{address}: its SHA-256 is {digest}, and must be {wanted.sha256}: another file, or a damaged one; it "
                "was removed"
            )
    finally:
        mark.unlink(missing_ok=True)


def _receive(wanted: Download, address: Url, part: Path, mark: Path, show: Show) -> None:
    """Write the file, or the rest of it, to `part`. Raises DownloadError, and OSError if it cannot be written."""
    done = part.stat().st_size if part.exists() else 0
    known = _read_mark(mark, wanted.url)
    if not known or done > wanted.most_bytes:
        done = 0
    headers = {"User-Agent": f"edgeaudio/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": known}
    request = urllib.request.Request(wanted.url, headers=headers)  # noqa: S310 (the scheme was checked)
    opener = urllib.request.build_opener(_Redirects(address))
    with _faults(address), opener.open(request, timeout=STALL_S) as answer:
        start, n_bytes = _extent(answer)
        if start not in {0, done}:
            raise _UnusableError(f"{address}: the server goes on at another place than asked; try again")
        if n_bytes is not None:
            _require_room(address, part.parent, (start, n_bytes, wanted.most_bytes))
        _write_mark(mark, wanted.url, answer)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            _copy(answer, file, address, (start, n_bytes, wanted.most_bytes), show)


@contextmanager
def _faults(address: Url) -> Iterator[None]:
    """Raise DownloadError for what can go wrong with a server, and on the way to it."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        lasting = error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _FOR_NOW
        said = " ".join(str(error.reason).split())
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # what was kept is removed
            said += "; try again, from the beginning"
        elif not lasting:
            said += "; try again later"
        raise (_UnusableError if lasting else DownloadError)(
            f"{address}: the server answers {error.code} {said}"
        ) from None
    except urllib.error.URLError as error:
        raise _unreachable(address, error.reason) from None
    except TimeoutError:
        raise DownloadError(f"{address}: nothing came for {STALL_S:g} s; try again") from None
    except http.client.HTTPException as error:
        raise DownloadError(f"{address}: the server's answer is not HTTP ({type(error).__name__})") from None
    except ConnectionError as error:
        raise DownloadError(f"{address}: the connection broke off: {error.strerror or error}; try again") from None
    except ValueError as error:  # urllib's, of a proxy that is no address
        raise DownloadError(f"{address}: cannot be asked for: {error}") from None


def _copy(
    answer: http.client.HTTPResponse, file: BinaryIO, address: Url, bounds: tuple[int, int | None, int], show: Show
) -> None:
    """Copy the rest of a file. bounds: bytes that are there, of all if that is known, and the most that may be."""
    done, n_bytes, most_bytes = bounds
    while True:
        try:
            piece = answer.read1(min(_PIECE_BYTES, most_bytes + 1 - done))  # what has come, without a wait for more
        except http.client.IncompleteRead as error:
            piece = error.partial
            file.write(piece)
            raise _broken_off(address, done + len(piece), n_bytes) from None
        except (ConnectionError, ssl.SSLError):
            raise _broken_off(address, done, n_bytes) from None
        if not piece:
            break
        file.write(piece)
        file.flush()  # kept even if this process is killed
        done += len(piece)
        if done > most_bytes:
            raise _UnusableError(f"{address}: is longer than the {most_bytes} bytes that are expected")
        show(float(done), None if n_bytes is None else float(n_bytes))
    if n_bytes is not None and done < n_bytes:
        raise _broken_off(address, done, n_bytes)


def _broken_off(address: Url, done: int, n_bytes: int | None) -> DownloadError:
    of = "" if n_bytes is None else f" of {n_bytes / 1e6:.1f}"
    return DownloadError(f"{address}: the connection broke off after {done / 1e6:.1f}{of} MB; try again")


def _extent(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the first byte that is given, and the length of the whole file; None if it is not known."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, answer.length
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return (int(found[1]), int(found[2]) if found[2] != "*" else None) if found else (-1, None)


def _require_room(address: Url, folder: Path, bounds: tuple[int, int, int]) -> None:
    """Raise DownloadError for a file that is longer than expected, or than the disk has room for."""
    done, n_bytes, most_bytes = bounds
    if n_bytes > most_bytes:
        raise _UnusableError(
            f"{address}: is {n_bytes} bytes long, and at most {most_bytes} are expected; it was not fetched"
        )
    if n_bytes - done > (free := shutil.disk_usage(folder).free):
        raise DownloadError(
            f"{folder}: has {free / 1e6:.1f} MB free, and {(n_bytes - done) / 1e6:.1f} MB are needed; make room"
        )


def _read_mark(mark: Path, url: str) -> str:
    """Return the server's mark of the version of which a part is kept; empty if there is none of that address."""
    try:
        of, _, version = mark.read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return version if of == url else ""


def _write_mark(mark: Path, url: str, answer: http.client.HTTPResponse) -> None:
    """Keep what a later request can prove the same version by (RFC 9110, 13.1.5); nothing if the server has none."""
    tag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    version = tag if _STRONG_TAG.fullmatch(tag) else date
    if version and version.isprintable() and version.isascii():
        mark.write_text(f"{url}\n{version}")
    else:
        mark.unlink(missing_ok=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remove(*files: Path) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects: a few, with a login in none of them, and never from TLS to plain HTTP."""

    max_redirections = MOST_REDIRECTS
    max_repeats = 2

    def __init__(self, address: Url) -> None:
        self._address = address

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            target = split_url(newurl)
        except UrlSyntaxError:
            raise DownloadError(f"{self._address}: redirects to an address that cannot be read") from None
        is_plain_too = target.scheme == "http" and self._address.scheme == "http" and req.type == "http"
        if target.username is not None or not (target.scheme == "https" or is_plain_too):
            raise DownloadError(f"{self._address}: redirects to {target}, which is not followed: it is no https://")
        if is_plain_too and _is_loopback(self._address.host) != _is_loopback(target.host):
            raise DownloadError(f"{self._address}: redirects to {target}, which is not followed: it is no https://")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unreachable(address: Url, reason: object) -> DownloadError:
    """Return the error for an address that cannot be reached, or whose proxy cannot."""
    proxy = urllib.request.getproxies().get(address.scheme, "")
    by = ""
    if proxy and not urllib.request.proxy_bypass(address.place):
        by = f" by the proxy {mask_url(proxy)} ({address.scheme}_proxy)"
    if isinstance(reason, TimeoutError):
        return DownloadError(f"{address}: does not answer{by} within {STALL_S:g} s")
    if not isinstance(reason, OSError):
        return DownloadError(f"{address}: cannot be reached{by}: {mask_url(str(reason))}")
    found = diagnose(reason, _PEER)
    words = found.words if reason.strerror or isinstance(reason, ssl.SSLError) else str(reason)
    return DownloadError(f"{address}: cannot be reached{by}: {words}{f'; {found.hint}' if found.hint else ''}")
