"""The kinds of value that settings take beyond numbers and text: slugs, masked URLs, hours, channels, lists.

Owns: how each is written, checked and shown.
Does not know: which setting is of which kind (schema.py).
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import time
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Secret,
    SecretStr,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from edgeaudio.capture.config import MAX_CHANNELS
from edgeaudio.errors import EdgeaudioError
from edgeaudio.password_hashes import PasswordHash
from edgeaudio.redact import mask_url
from edgeaudio.shards import MAX_COUNT
from edgeaudio.sinks.mqtt.broker import parse_broker_url
from edgeaudio.slugs import is_slug, slugify
from edgeaudio.urls import HIDDEN, UrlSyntaxError, is_plain, split_url

MIN_TOKEN = 16  # characters
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_FOLDER = re.compile(r"(/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")


class SecretUrl(Secret[str]):
    """URL that may hold secrets: printed, it shows none of them."""

    def _display(self) -> str:
        return mask_url(self.get_secret_value())


@dataclass(frozen=True, slots=True)
class Hours:
    """Part of every day in local time, `end` excluded; an `end` that is not later than `start` is on the next day."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: object) -> Hours:
        """Parse "22:00-06:30". Raises ValueError."""
        if isinstance(text, cls):
            return text
        match = _HOURS.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError('must be hours of the day, as in "22:00-06:30"')
        start = time(int(match[1]), int(match[2]))
        end = time(int(match[3]), int(match[4])) if match[3] else time(0)
        if start == end and end != time(0):
            raise ValueError("begins when it ends")
        return cls(start, end)

    def __str__(self) -> str:
        end = "24:00" if self.end == time(0) else f"{self.end:%H:%M}"
        return f"{self.start:%H:%M}-{end}"

    def covers(self, moment: time) -> bool:
        """True if a local time of day lies in it."""
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_HOURS.pattern}$", "examples": ["22:00-06:30"]}


def _slug(text: str) -> str:
    if "@" in text:
        raise ValueError("a name is made of a-z, 0-9 and hyphens, at most 64; this may be an address")
    if not is_slug(text):
        # of a text without any of them, the slug is a digest, which is no hint
        near = slugify(text) if re.search("[A-Za-z0-9]", text) else "front-door"
        raise ValueError(f'a name is made of a-z, 0-9 and hyphens, at most 64, as in "{near}"')
    return text


def _number(value: object) -> object:
    # for Python, true is 1 and nan is within all bounds; in a settings file both are mistakes
    if isinstance(value, bool) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("must be a number")
    return value


def _list(value: object) -> object:
    """Split the text of a variable or an option at commas; other values stay as they are."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _channel(value: object) -> object:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value in {"auto", "mix"} or (
        isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_CHANNELS
    ):
        return value
    raise ValueError(f'must be "auto", "mix" or the number of a channel, from 1 to {MAX_CHANNELS}')


def _shard_index(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:10])
    if value == "hostname" or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT):
        return value
    raise ValueError(f'must be a whole number from 0 to {MAX_COUNT - 1}, or "hostname" for the one that ends its name')


def _password(password: SecretStr) -> SecretStr:
    """Refuse what a variable can hold and no login can carry."""
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8 text") from None
    return password


def _broker_url(url: SecretUrl) -> SecretUrl:
    try:
        parse_broker_url(url.get_secret_value())
    except EdgeaudioError as error:
        raise ValueError(str(error)) from None
    return url


def _recogniser_url(url: SecretUrl) -> SecretUrl:
    from edgeaudio.speech.config import parse_address  # noqa: PLC0415 (few agents transcribe)

    try:
        parse_address(url.get_secret_value())
    except EdgeaudioError as error:
        raise ValueError(str(error)) from None
    return url


def _language(text: str) -> str:
    if not re.fullmatch("[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}", text):
        raise ValueError('must be a language\'s code, as in "en" or "pt-BR"')
    return text


def _web_url(text: str) -> str:
    """Return the address of a website's folder without a `/` at its end. Raises ValueError."""
    try:
        url = split_url(text)
    except UrlSyntaxError:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host or not url.host.isascii():
        raise ValueError("must be http:// or https:// with a host, as in https://house.example/edgeaudio")
    if url.username is not None or url.has_login:
        raise ValueError("must have no login: everybody who reads a detection reads it")
    path = url.path.rstrip("/")
    if url.query or "?" in text or not _FOLDER.fullmatch(path):
        raise ValueError("must have no query, and a plain path, as in https://house.example/edgeaudio")
    default_port = {"http": 80, "https": 443}[url.scheme]
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port in {None, default_port} else f":{url.port}"
    return f"{url.scheme}://{host}{port}{path}"


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:8420` or `[::1]:8420`. Raises ValueError."""
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("must be an address and a port, as in 127.0.0.1:8420")
    return str(ipaddress.ip_address(host)), int(port)


def _listen_address(text: str) -> str:
    try:
        split_address(text)
    except ValueError:
        raise ValueError("must be an address and a port, as in 127.0.0.1:8420") from None
    return text


def is_loopback(text: str) -> bool:
    """True if an address and port are reached from this machine alone."""
    return ipaddress.ip_address(split_address(text)[0]).is_loopback


def _password_hash(text: SecretStr) -> SecretStr:
    PasswordHash.parse(text.get_secret_value())
    return text


def _user_name(text: str) -> str:
    if not re.fullmatch("[a-z0-9._@+-]{1,64}", text):
        raise ValueError("a user's name is made of a-z, 0-9 and . _ @ + -, at most 64")
    return text


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
        if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
            # a peer with such an address is taken for the IPv4 one that it is
            network = ipaddress.ip_network((int(network[0]) & 0xFFFF_FFFF, network.prefixlen - _MAPPED.prefixlen))
    except ValueError:
        raise ValueError("must be an address or a network, as in 172.30.32.2 or 10.0.0.0/24") from None
    if not network.prefixlen:
        raise ValueError("is everybody: name the proxies alone, as in 172.30.32.2")
    return str(network)


def _host(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_-]{1,63}([.][A-Za-z0-9_-]{1,63}){0,10}", text):
        raise ValueError("must be a host name without a port, as in sounds.example.org")
    return text.lower()


def _origin(text: str) -> str:
    if text == "self":
        return "'self'"
    if text == "'self'" or re.fullmatch(r"https?://([*][.])?[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?", text):
        return text.lower()
    raise ValueError('must be "self" or the scheme and host of a page, as in https://home.example.org:8123')


def _base_path(text: str) -> str:
    if not re.fullmatch(r"(/(?![.]{1,2}(/|$))(?!api(/|$))[A-Za-z0-9._~-]{1,100}){1,10}/?", text):
        raise ValueError("must be the path of the page, as in /sounds, and not /api")
    return text.rstrip("/")


# that requests have anyway
_USUAL_HEADERS = frozenset(
    ("accept", "accept-encoding", "accept-language", "authorization", "connection", "content-length", "content-type",
     "cookie", "host", "origin", "referer", "user-agent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
)  # fmt: skip


def _header(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9-]{1,100}", text):
        raise ValueError("must be the name of a header, as in X-Remote-User-Name")
    if text.lower() in _USUAL_HEADERS or text.lower().startswith("sec-"):
        raise ValueError(f"{text} names no user; set the header in which the proxy names the user")
    return text


def _path(value: object) -> object:
    """Refuse an empty path, which would be the working directory; `~` is the home, in variables and options too."""
    if value == "":
        raise ValueError("must not be empty")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("no file can have that name")
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111 (pathlib's raises for unknown users)


def _file(path: Path) -> Path:
    return _readable(path, str(path))


def _secret_file(path: Path) -> Path:
    # a user may write the password itself here: what does not look like the name of a file is not shown
    named = "." in path.name or re.fullmatch(r"[a-z_-]+", path.name)
    folder_is_there = os.path.isdir(path.parent)  # noqa: PTH112 (pathlib's raises where a folder on the way is closed)
    parts = path.parts if named else (*(path.parts[:-1] if folder_is_there else ()), HIDDEN)
    return _readable(path, str(Path(*(part if part == "/" or is_plain(part) else HIDDEN for part in parts))))


def _readable(path: Path, shown: str) -> Path:
    try:
        # opening a pipe may block, and a pipe can be read only once
        if not (path.is_fifo() or path.is_socket() or path.is_char_device()):
            with path.open("rb"):
                return path
        reason = "it is no regular file"
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "no file can have that name"
    raise ValueError(f"{shown} cannot be read: {reason}")


Slug = Annotated[
    str, AfterValidator(_slug), WithJsonSchema({"type": "string", "pattern": "^[a-z0-9-]{1,64}$"}, mode="validation")
]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_number)]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_list), Field(min_length=1, max_length=10_000)]
Slugs = Annotated[tuple[Slug, ...], BeforeValidator(_list), Field(min_length=1, max_length=100)]
MediaKinds = Annotated[tuple[Literal["clip", "image"], ...], BeforeValidator(_list), Field(min_length=1, max_length=2)]
Schedule = Annotated[tuple[Hours, ...], BeforeValidator(_list), Field(min_length=1, max_length=100)]
Password = Annotated[SecretStr, AfterValidator(_password)]
WebUrl = Annotated[Text, AfterValidator(_web_url)]
ListenAddress = Annotated[Text, AfterValidator(_listen_address)]
PasswordHashText = Annotated[SecretStr, Field(max_length=300), AfterValidator(_password_hash)]
Token = Annotated[SecretStr, Field(min_length=MIN_TOKEN, max_length=256)]
UserName = Annotated[str, AfterValidator(_user_name)]
Networks = Annotated[
    tuple[Annotated[Text, AfterValidator(_network)], ...], BeforeValidator(_list), Field(min_length=1, max_length=100)
]
Hosts = Annotated[
    tuple[Annotated[Text, AfterValidator(_host)], ...], BeforeValidator(_list), Field(min_length=1, max_length=100)
]
Origins = Annotated[
    tuple[Annotated[Text, AfterValidator(_origin)], ...], BeforeValidator(_list), Field(min_length=1, max_length=20)
]
BasePath = Annotated[Text, AfterValidator(_base_path)]
Header = Annotated[Text, AfterValidator(_header)]
RecogniserUrl = Annotated[SecretUrl, AfterValidator(_recogniser_url)]
Language = Annotated[Text, AfterValidator(_language)]
BrokerUrl = Annotated[SecretUrl, AfterValidator(_broker_url)]
AnyPath = Annotated[
    Path,
    BeforeValidator(_path),
    WithJsonSchema({"type": "string", "format": "path", "minLength": 1}, mode="validation"),
]
ReadableFile = Annotated[AnyPath, AfterValidator(_file)]
SecretFile = Annotated[AnyPath, AfterValidator(_secret_file)]
Channel = Annotated[
    int | Literal["auto", "mix"],
    BeforeValidator(_channel),
    WithJsonSchema({"anyOf": [{"enum": ["auto", "mix"]}, {"type": "integer", "minimum": 1, "maximum": MAX_CHANNELS}]}),
]
ShardIndex = Annotated[
    int | Literal["hostname"],
    BeforeValidator(_shard_index),
    WithJsonSchema({"anyOf": [{"const": "hostname"}, {"type": "integer", "minimum": 0, "maximum": MAX_COUNT - 1}]}),
]
