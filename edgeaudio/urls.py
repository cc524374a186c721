"""Parser and redaction of URLs: of sources, of brokers, and in the messages of libraries.

Owns: the one parser, what makes a URL ambiguous, and which parts may be shown.
Does not know: which schemes have which use (capture/schemes.py, sinks/mqtt/broker.py), settings.

A raw "@", "/", "?" or "#" in a password moves the borders of a URL: a part of the password would be taken for a host
name, sent to a name server, and shown. So an ambiguous URL is refused, and no part of it is shown. Of other URLs only
harmless parts are shown: parameters with values of a known shape, path segments that read as words, and a user name
that reads as one.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

HIDDEN = "***"
ADVICE = (
    "percent-encode special characters of a login (write %23 for #, %40 for @, %2F for /, %3F for ?, %20 for a space), "
    "or give username and password as settings"
)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_PLACE = re.compile(r"(?:\[(?P<ipv6>[^\[\]@]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")
_NEVER = '"\\<>`'  # never part of an address: shells and messages end it there
_MAX_PORT = 65535

# parameters of many cameras and servers, by the shape of values that are no secrets
_NUMBERS = {
    "audio", "camera", "cam", "ch", "channel", "channels", "chn", "fps", "id", "index", "profile", "stream", "streamid",
    "subtype", "track", "trackid", "unicast", "video",
}  # fmt: skip
_WORDED = {
    "audio", "codec", "profile", "proto", "stream", "streamtype", "transport", "transportmode", "unicast", "video",
    "videocodec",
}  # fmt: skip
_WORDS = {
    "aac", "false", "g711", "h264", "h265", "main", "mp3", "multicast", "no", "off", "on", "onvif", "opus", "sub",
    "tcp", "true", "udp", "unicast", "yes",
}  # fmt: skip
_RATES = {"bitrate", "sample_rate", "samplerate"}
_SIZES = {"resolution"}
# parameters whose names are shown and whose values are hidden, so that the place of a login is visible
_LOGINS = {
    "access_token", "api_key", "apikey", "auth", "key", "login", "loginpas", "loginuse", "pass", "passwd", "password",
    "pwd", "secret", "sig", "signature", "token", "user", "username", "usr",
}  # fmt: skip
_LOGIN_LIKE = re.compile(r"pass|pwd|psw|secret|token|auth|api_?key|^key$|^sig|login|cred", re.IGNORECASE)
_PARAMETERS = re.compile(r"[&;]")

_PLAIN = re.compile(r"[A-Za-z0-9._~,+-]{0,64}")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_HEXADECIMAL = re.compile(r"(?=.*[0-9])(?=.*[a-f])[0-9a-f]{16,}", re.IGNORECASE)
_THREE_KINDS = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z]).{14,}")
_UNSPEAKABLE = re.compile(r"[b-df-hj-np-tv-xz]{5}|[0-9]{11}|[a-z]{21}", re.IGNORECASE)
_USER = re.compile(r"[a-z][a-z0-9._-]{0,15}")


class UrlSyntaxError(ValueError):
    """Text that is no URL, or an ambiguous one; the message holds no part of it."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL in its parts. `str()` and `repr()` hide its secrets."""

    scheme: str  # in small letters
    host: str = ""  # without brackets
    port: int | None = None
    path: str = field(default="", repr=False)  # as written
    query: str = field(default="", repr=False)  # as written, without "?"
    username: str | None = field(default=None, repr=False)  # decoded
    password: str | None = field(default=None, repr=False)  # decoded

    @property
    def place(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def rest(self) -> str:
        """Path and query as written."""
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def has_login(self) -> bool:
        """True if it holds a user name, or a parameter with the name of a login."""
        names = (name.partition("=")[0] for name in re.split(r"[?&;/_]", self.rest) if "=" in name)
        return self.username is not None or any(map(_LOGIN_LIKE.search, names))

    def with_login(self) -> str:
        """The whole URL, its login percent-encoded. Secret."""
        login = ""
        if self.username is not None:
            password = "" if self.password is None else f":{quote(self.password, safe='')}"
            login = f"{quote(self.username, safe='')}{password}@"
        return f"{self.scheme}://{login}{self.place}{self.rest}"

    def __str__(self) -> str:
        login = "" if self.username is None else f"{HIDDEN}@"
        if self.username and self.password is not None and _USER.fullmatch(self.username) and is_plain(self.username):
            login = f"{self.username}:{HIDDEN}@"
        # the key of an object is its name, and no secret; a signed address has a query
        is_key = self.scheme == "s3" and not self.query and not self.has_login
        return f"{self.scheme}://{login}{self.place}{self.rest if is_key else shown_rest(self.rest)}"


def split_url(text: str) -> Url:
    """Parse `scheme://[user[:password]@]host[:port][/path][?query]`. Raises UrlSyntaxError."""
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise UrlSyntaxError("does not begin with its kind, as in rtsp://")
    if any(character.isspace() for character in rest):
        raise UrlSyntaxError(f"has a space; {ADVICE}")
    if any(character in _NEVER or unicodedata.category(character).startswith("C") for character in rest):
        raise UrlSyntaxError(f"has a character that no address can hold; {ADVICE}")
    if "#" in rest:
        raise UrlSyntaxError(f"has a raw '#'; {ADVICE}")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "@" in tail or authority.count("@") > 1:
        raise UrlSyntaxError(f"has a raw '@' that may be part of a login; {ADVICE}")
    login, _, place = authority.rpartition("@")
    found = _PLACE.fullmatch(place)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port or 0) > _MAX_PORT or set(login) & set("[]"):
        raise UrlSyntaxError(f"has no host and port that can be read; {ADVICE}")
    host = found["host"] if found["ipv6"] is None else found["ipv6"]
    if not (_is_name(host) if found["ipv6"] is None else _is_ipv6(host)):
        raise UrlSyntaxError(f"has a host that cannot be one; {ADVICE}")
    path, _, query = tail.partition("?")
    user, colon, password = login.partition(":")
    return Url(
        scheme.lower(),
        host.lower(),
        port,
        path,
        query,
        username=unquote(user) if login else None,
        password=unquote(password) if colon else None,
    )


def is_path(text: str) -> bool:
    """True if the text can only be a path; a single dot may begin a password."""
    return text.startswith(("/", "./", "../"))


def holds_login(text: str) -> bool:
    """True if an address holds a login, or may hold one: it must not be on a command line."""
    if "://" not in text:
        before, at, _ = text.rpartition("@")
        return bool(at) and ":" in before and not is_path(text)
    try:
        return split_url(text.strip()).has_login
    except UrlSyntaxError:
        return "@" in text


def is_plain(text: str) -> bool:
    """True if the text reads as words and numbers, and may be shown; False if it may be a token."""
    if not _PLAIN.fullmatch(text) or _HEXADECIMAL.fullmatch("".join(_PIECE.findall(text))):
        return False
    return all(map(_reads_as_words, _PIECE.findall(text)))


def _reads_as_words(piece: str) -> bool:
    runs = _RUN.findall(piece)
    mixed = len(piece) >= 8 and len(piece) < 2.5 * len(runs)
    return not mixed and not _THREE_KINDS.fullmatch(piece) and not any(map(_UNSPEAKABLE.search, runs))


def _is_name(host: str) -> bool:
    return all(character.isalnum() or character in "-._" for character in host)


def _is_ipv6(host: str) -> bool:
    address, _, zone = host.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return not zone or is_plain(zone)


def shown_rest(rest: str) -> str:
    """Return a path and query without their secrets."""
    path, _, query = rest.partition("?")
    return _shown_path(path) + (f"?{_shown_query(query)}" if query else "")


def _shown_path(path: str) -> str:
    segments = path.split("/")
    # some paths hold a login as segments: /token/hunter2/live
    named = [False, *(segment.lower() in _LOGINS for segment in segments)]
    return "/".join(HIDDEN if after else _shown_segment(each) for each, after in zip(segments, named, strict=False))


def _shown_segment(segment: str) -> str:
    """Return a segment without its secrets, also one with parameters (/user=admin_password=x_channel=1.sdp)."""
    if "=" not in segment:
        return segment if segment == HIDDEN or is_plain(segment) else HIDDEN
    segment, dot, ending = segment.rpartition(".") if segment.endswith(".sdp") else (segment, "", "")
    separator = "&" if "&" in segment else "_"
    return _joined([_shown_parameter(each) for each in segment.split(separator)], separator) + dot + ending


def _shown_query(query: str) -> str:
    return _joined([_shown_parameter(each) for each in _PARAMETERS.split(query)], "&")


def _shown_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    known = name.lower()
    if not equals or known not in _NUMBERS | _WORDED | _RATES | _SIZES | _LOGINS:
        return HIDDEN
    harmless = (
        (known in _NUMBERS and re.fullmatch(r"[0-9]{1,3}", value))
        or (known in _WORDED and value.lower() in _WORDS)
        or (known in _RATES and re.fullmatch(r"[0-9]{1,6}", value))
        or (known in _SIZES and re.fullmatch(r"[0-9]{2,4}x[0-9]{2,4}", value))
    )
    return f"{name}={value if harmless else HIDDEN}"


def _joined(shown: list[str], separator: str) -> str:
    """Join parameters, and merge consecutive hidden ones."""
    kept = [each for before, each in zip(["", *shown], shown, strict=False) if each != HIDDEN or HIDDEN not in before]
    return separator.join(kept)
