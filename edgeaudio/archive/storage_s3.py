"""A bucket of S3, or of a server that speaks its protocol, as a place of recordings and results.

Owns: addresses (s3://BUCKET/PREFIX), the connection, and the words for what fails. Does not know: what objects hold.

Keys and region come from where Amazon's own tools have them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE,
AWS_REGION, ~/.aws, the machine's role), another server from AWS_ENDPOINT_URL, its authority from AWS_CA_BUNDLE; none of
it from an address. Without any key requests are not signed, as a public bucket takes them. An object is there whole or
not at all: it appears when its last part is complete.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from pyarrow import ArrowException, fs

from edgeaudio.archive.storage import Stored
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask
from edgeaudio.urls import UrlSyntaxError, split_url

SCHEME = "s3://"
CONNECT_S, REQUEST_S = 10.0, 60.0
TRIES = 4  # of Arrow's own, with a back-off
PIECE_BYTES = 8 << 20

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CODE = re.compile(r"AWS Error (\w+)")
_UNPARSED = re.compile(r"Unable to parse ExceptionName: (\w+)")  # a code that Amazon's library has no name for
_STATUS = re.compile(r"HTTP status (\d+)")  # all that there is where an answer has no body, as to HEAD
_CURL = re.compile(r"curlCode: (\d+)")
_EXPIRED = (errno.EACCES, "the session has expired, or its token is wrong; log in again")
_SLOW = (errno.EBUSY, "the server asks for fewer requests; run again with fewer workers")
_REGION = (errno.EINVAL, "it is in another region; set AWS_REGION to that of the bucket")
_CUT = (errno.ECONNRESET, "the connection broke off in the middle; run again")
_UNTRUSTED = (
    errno.EPROTO,
    "the server's certificate cannot be verified; name the authority that signed it in AWS_CA_BUNDLE",
)
_WORDS = {
    "NO_SUCH_BUCKET": (errno.ENOENT, "there is no such bucket; make it, or mend the address"),
    "ACCESS_DENIED": (errno.EACCES, "the credentials have no right to do that; give them that right, or others"),
    "INVALID_ACCESS_KEY_ID": (errno.EACCES, "the server does not know the key; look at AWS_ACCESS_KEY_ID"),
    "SIGNATURE_DOES_NOT_MATCH": (errno.EACCES, "the key's secret is wrong; look at AWS_SECRET_ACCESS_KEY"),
    "INVALID_SIGNATURE": (errno.EACCES, "the key's secret is wrong; look at AWS_SECRET_ACCESS_KEY"),
    "REQUEST_TIME_TOO_SKEWED": (errno.EACCES, "this machine's clock is wrong; set it"),
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "curl 7": (errno.EHOSTUNREACH, "the server cannot be reached; look at AWS_ENDPOINT_URL"),
    "curl 18": _CUT,  # a part is missing
    "curl 28": (errno.ETIMEDOUT, "the server does not go on with its answer; run again"),
    "curl 35": (errno.EPROTO, "the server does not speak TLS; look at AWS_ENDPOINT_URL"),
    "curl 52": _CUT,  # no answer
    "curl 56": _CUT,  # reset
    "curl 60": _UNTRUSTED,
    "NETWORK_CONNECTION": (errno.EHOSTUNREACH, "the server cannot be reached; look at AWS_ENDPOINT_URL"),
    "SLOW_DOWN": _SLOW,
    "status 301": _REGION,
    "status 400": (errno.EACCES, "the server refuses the request; look at the session, the credentials and AWS_REGION"),
    "status 429": _SLOW,
    "status 503": _SLOW,
    "QuotaExceeded": (errno.ENOSPC, "it is full"),  # Ceph
    "XMinioStorageFull": (errno.ENOSPC, "it is full"),
    "XMinioAdminBucketQuotaExceeded": (errno.ENOSPC, "it is full"),
}


class Place(NamedTuple):
    """Bucket and prefix of an address."""

    bucket: str
    prefix: str  # without slashes at its ends


def split_address(address: str) -> Place:
    """Parse s3://BUCKET/PREFIX. Raises EdgeaudioError."""
    advice = "write s3://BUCKET/PREFIX, credentials in the environment and another server in AWS_ENDPOINT_URL"
    try:
        url = split_url(address)
    except UrlSyntaxError:
        raise EdgeaudioError(f"that address of S3 cannot be read; {advice}") from None
    if url.has_login or url.query or url.port is not None or not _BUCKET.fullmatch(url.host):
        raise EdgeaudioError(f"{mask(address)}: that is no bucket; {advice}")
    return Place(url.host, url.path.strip("/"))


class Bucket:
    """Objects below a prefix; a Storage (storage.py). All methods raise OSError."""

    def __init__(self, address: str) -> None:
        """Raises EdgeaudioError for an address that is none."""
        self._bucket, prefix = split_address(address)
        self._root = f"{self._bucket}/{prefix}" if prefix else self._bucket

    def stored(self, folder: str) -> Iterator[Stored]:
        """Yield all objects below a folder."""
        base = f"{self._root}/{folder}" if folder else self._root
        try:
            with self._explained():
                found = file_system().get_file_info(fs.FileSelector(base, recursive=True))
        except FileNotFoundError as error:
            if error.strerror and error.strerror.startswith("bucket "):
                raise
            return  # nothing lies there
        for each in found:
            if each.is_file:
                yield Stored(each.path.removeprefix(f"{self._root}/"), each.size, _whole_seconds(each.mtime_ns))

    def names(self, folder: str) -> Iterator[str]:
        for each in self.stored(folder):
            yield each.name

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def head(self, name: str, size_bytes: int) -> bytes:
        """Return the beginning of an object."""
        with self._explained(), file_system().open_input_file(self._path(name)) as file:
            return cast("bytes", file.read_at(size_bytes, 0))

    def open(self, name: str) -> BinaryIO:
        with self._explained():
            return cast("BinaryIO", file_system().open_input_file(self._path(name)))

    def write(self, name: str, content: bytes) -> None:
        with self._explained(), file_system().open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def put(self, name: str, file: Path) -> None:
        with self._explained(), file.open("rb") as source:
            stream = file_system().open_output_stream(self._path(name))
            while piece := source.read(PIECE_BYTES):
                stream.write(piece)
            stream.close()
        file.unlink()

    def remove(self, name: str) -> None:
        with self._explained():
            try:
                file_system().delete_file(self._path(name))
            except FileNotFoundError:
                return

    def make(self) -> None:
        """Nothing: a prefix is there with its first object."""

    def scratch(self) -> Path | None:
        return None

    @contextmanager
    def copy(self, name: str) -> Iterator[Path]:
        """Yield a copy on this machine, with the object's time of change; it takes no room when the block ends.

        It has no name: a process that is killed leaves nothing behind. Raises EdgeaudioError where it has no room.
        """
        with tempfile.TemporaryFile() as file:
            with self._explained():
                info = file_system().get_file_info(self._path(name))
                if not info.is_file:
                    raise FileNotFoundError(errno.ENOENT, "the object is gone")
                _check_room(info.size)
                with file_system().open_input_stream(self._path(name)) as stream:
                    shutil.copyfileobj(stream, file, PIECE_BYTES)
                file.flush()
                changed_ns = _whole_seconds(info.mtime_ns)
                os.utime(file.fileno(), ns=(changed_ns, changed_ns))
            yield Path(f"/proc/self/fd/{file.fileno()}")

    @contextmanager
    def ends(self, name: str, head_bytes: int, tail_bytes: int) -> Iterator[Path]:
        """Yield a file of the object's size, of which only the first and the last bytes are fetched, as by `copy`.

        The rest is a hole, which takes no room.
        """
        with tempfile.TemporaryFile() as file:
            with self._explained(), file_system().open_input_file(self._path(name)) as source:
                size = source.size()
                file.truncate(size)
                for begin, end in ((0, min(head_bytes, size)), (max(0, size - tail_bytes), size)):
                    file.seek(begin)
                    for at in range(begin, end, PIECE_BYTES):
                        file.write(source.read_at(min(PIECE_BYTES, end - at), at))
                file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise OSError with words and what to do."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ArrowException) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> OSError:
        text = str(error)
        code = _CODE.search(text)
        if code is None:
            return error if isinstance(error, OSError) else OSError(errno.EIO, mask(" ".join(text.split())))
        number, words = _reason(text, code[1])
        if _endpoint() is None:
            words = words.replace("look at AWS_ENDPOINT_URL", "look at the network, or name yours in AWS_ENDPOINT_URL")
        return OSError(number, f"bucket {self._bucket}: {words}")


def _reason(text: str, code: str) -> tuple[int, str]:
    """Return what an error of Arrow means: the first that is known of its code, curl's, and the status of HTTP."""
    if "the bucket is located in" in text:
        return _REGION
    unparsed, status, curl = _UNPARSED.search(text), _STATUS.search(text), _CURL.search(text)
    names = [f"curl {curl[1]}" if curl else "", unparsed[1] if unparsed else "", code]
    names += [f"status {status[1]}" if status and not unparsed else ""]
    found = next((_WORDS[name] for name in names if name in _WORDS), None)
    if found is not None:
        return found
    shown = unparsed[1] if unparsed else f"HTTP status {status[1]}" if status and code == "UNKNOWN" else code
    return errno.EIO, f"the server answers {shown}"


@contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """Yield a copy of an object on this machine. Raises OSError, EdgeaudioError."""
    folder, _, name = address.rpartition("/")
    with Bucket(folder).copy(name) as path:
        yield path


@contextmanager
def local_ends(address: str, head_bytes: int, tail_bytes: int) -> Iterator[Path]:
    """Yield the ends of an object on this machine. Raises OSError, EdgeaudioError."""
    folder, _, name = address.rpartition("/")
    with Bucket(folder).ends(name, head_bytes, tail_bytes) as path:
        yield path


def _endpoint() -> str | None:
    """Return the server that the environment names; None: Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


@functools.cache
def file_system() -> Any:  # noqa: ANN401 (Arrow ships no types)
    """Return the connection of this process; it is made at the first request."""
    options: dict[str, Any] = {}
    if endpoint := _endpoint():
        try:
            url = split_url(endpoint)
        except UrlSyntaxError:
            raise EdgeaudioError("AWS_ENDPOINT_URL is no address; write https://HOST:PORT") from None
        if url.scheme not in {"http", "https"} or url.has_login or not url.host:
            raise EdgeaudioError("AWS_ENDPOINT_URL is no address of a server; write https://HOST:PORT")
        options = {"endpoint_override": url.place, "scheme": url.scheme}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        options["region"] = region
    if authorities := os.environ.get("AWS_CA_BUNDLE"):
        if not os.access(authorities, os.R_OK):
            raise EdgeaudioError(f"AWS_CA_BUNDLE: {authorities} cannot be read; name a file of certificates (PEM)")
        options["tls_ca_file_path"] = authorities
    try:
        return fs.S3FileSystem(
            connect_timeout=CONNECT_S,
            request_timeout=REQUEST_S,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
            **options,
        )
    except TypeError:  # tls_ca_file_path is newer than the rest
        raise EdgeaudioError("AWS_CA_BUNDLE is not known to this pyarrow; install a newer one") from None


def _whole_seconds(time_ns: int | None) -> int:
    return (time_ns or 0) // 10**9 * 10**9


def _check_room(size_bytes: int) -> None:
    """Raise EdgeaudioError if a copy would fill the disk."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size_bytes > free:
        raise EdgeaudioError(
            f"its {size_bytes / 1e9:.1f} GB do not fit into {folder}, which has {free / 1e9:.1f} GB; set TMPDIR to a "
            "folder with room"
        )
