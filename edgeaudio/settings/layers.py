"""Where settings come from: one layer each for the TOML file, the credentials, the environment, the command line.

Owns: how each of them names a setting, and the memory of which file, variable or option said what.
Does not know: which settings exist, or what values they take (schema.py).
"""

from __future__ import annotations

import errno
import os
import re
import select
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import open_at_once
from edgeaudio.redact import mask
from edgeaudio.toml_writer import dotted
from edgeaudio.urls import HIDDEN, holds_login

PREFIX = "EDGEAUDIO_"
CONFIG_VARIABLE = "EDGEAUDIO_CONFIG"  # names the file, and is no setting itself
MAX_FILE_BYTES = 1_000_000
MAX_SECRET_BYTES = 64 * 1024
MAX_DEPTH = 16  # of tables in tables: far beyond sources.NAME.thresholds.LABEL.on, far under Python's own limit
WRITER_WAIT_S = 10.0  # for all that is written to a pipe

_CREDENTIAL = re.compile(r"(mqtt|sources\.[^.]+)\.[^.]+")
# systemd's own, for the files of a folder: LoadCredential=edgeaudio:FOLDER
_CREDENTIAL_PREFIX = "edgeaudio_"
_SECRETS = ("password", "url", "username")
_NAMED = ("sources", "models")  # tables whose keys are slugs
_PASSWORD_LIKE = re.compile(r"pas|pwd|secret|token")
_PATHS = ("ca_file", "cert_file", "key_file", "password_file", "path", "state_dir")

Key = tuple[str, ...]


class SettingsError(EdgeaudioError):
    """Settings that cannot be used. `lines` holds one line for each fault, without secrets."""

    def __init__(self, *lines: str) -> None:
        self.lines = tuple(map(mask, lines))
        super().__init__("\n".join(self.lines))


@dataclass(slots=True)
class Layer:
    """What one source of settings says: nested tables, and for each leaf who said it."""

    name: str
    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)  # only where it differs from `name`

    def put(self, key: Key, value: object, origin: str) -> None:
        """Set one leaf. Raises SettingsError where another origin of this layer has said it, or says a table."""
        if len(key) > MAX_DEPTH:
            raise SettingsError(f"{origin[:40]}...: is deeper than any setting is: {len(key)} parts")
        table = self.table
        for depth, part in enumerate(key):
            last = depth == len(key) - 1
            if part in table and (last or not isinstance(table[part], dict)):
                other = self.origin(key[: depth + 1])
                raise SettingsError(f"{origin}: {other} sets {dotted(key[: depth + 1])} too; keep one of them")
            if last:
                table[part] = value
            else:
                table = table.setdefault(part, {})
        self.origins[key] = origin

    def origin(self, key: Key) -> str:
        """Who said this leaf, or the first leaf of this table."""
        return next((origin for at, origin in self.origins.items() if at[: len(key)] == key), self.name)

    def depth(self, key: Key) -> int:
        """How many parts of the key are there, from the left."""
        table: object = self.table
        for depth, part in enumerate(key):
            if not isinstance(table, dict) or part not in table:
                return depth
            table = table[part]
        return len(key)


def read_text(path: Path, limit_bytes: int, what: str) -> str:
    """The text of a file. Raises SettingsError that says what the file was wanted for."""
    try:
        content = read_file_or_pipe(path, limit_bytes + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {what} cannot be read: {error.strerror}") from None
    if len(content) > limit_bytes:
        raise SettingsError(f"{path}: {what} is larger than {limit_bytes} bytes")
    try:
        return content.decode().removeprefix("\ufeff")  # Windows' mark of UTF-8
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: {what} is not UTF-8 text (byte {error.start})") from None


def read_file_or_pipe(path: Path, most_bytes: int) -> bytes:
    """The first bytes of a file, or of a pipe that somebody writes to within WRITER_WAIT_S. Raises OSError."""
    with os.fdopen(open_at_once(path), "rb", buffering=0) as file:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        content = b""
        deadline_s = time.monotonic() + WRITER_WAIT_S
        while len(content) < most_bytes:
            if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
                raise TimeoutError(errno.ETIMEDOUT, f"nothing was written to it within {WRITER_WAIT_S:g} s")
            more = file.read(most_bytes - len(content))
            if more == b"":
                break
            content += more or b""
        return content


def read_secret(path: Path) -> str:
    """The secret in a file, without the newline that editors put at its end. Raises SettingsError."""
    secret = read_text(path, MAX_SECRET_BYTES, "secret file").removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SettingsError(f"{path}: secret file is empty")
    if "\n" in secret or "\0" in secret:
        raise SettingsError(f"{path}: secret file has more than one line")
    return secret


def file_layer(path: Path) -> Layer:
    """The settings in a TOML file; paths in it are relative to its folder. Raises SettingsError."""
    text = read_text(path, MAX_FILE_BYTES, "settings file")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).rpartition(" (at ")
        problem = re.sub(r"'[^']*@[^']*'", repr(HIDDEN), problem)  # names of settings; an address got there by mistake
        at = re.fullmatch(r"line (\d+), column (\d+)\)", place)
        line, column = at.groups() if at else (str(len(text.splitlines())), "end")
        raise SettingsError(f"{path}:{line}:{column}: this is not TOML: {problem}") from None
    except RecursionError:
        raise SettingsError(f"{path}: this is not TOML: nested too deep") from None
    except ValueError:
        raise SettingsError(f"{path}: this is not TOML: a number has too many digits") from None
    if not _anchor(table, path.absolute().parent):
        raise SettingsError(f"{path}: tables are nested deeper than any setting is")
    return Layer(str(path), table)


def _anchor(table: dict[str, Any], folder: Path, depth: int = 1) -> bool:
    """Make the paths in a table absolute; False where it is nested too deep."""
    if depth > MAX_DEPTH:
        return False
    for key, value in table.items():
        if isinstance(value, dict):
            if not _anchor(value, folder, depth + 1):
                return False
        elif key in _PATHS and isinstance(value, str) and value:
            table[key] = str(folder / os.path.expanduser(value))  # noqa: PTH111 (pathlib's raises for unknown users)
    return True


def credentials_layer(folder: Path) -> Layer:
    """The secrets in a systemd credentials directory: files `mqtt.password`, `sources.porch.url` and the like.

    `edgeaudio_` may stand before the names. Files of other names are somebody else's. Raises SettingsError.
    """
    layer = Layer(str(folder))
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise SettingsError(f"{folder}: credentials directory cannot be read: {error.strerror}") from None
    for path in paths:
        name = path.name.removeprefix(_CREDENTIAL_PREFIX)
        if not _CREDENTIAL.fullmatch(name):
            continue
        key = tuple(name.split("."))
        if key[-1] not in _SECRETS:
            raise SettingsError(f"{path}: unknown credential; those of {dotted(key[:-1])} are {', '.join(_SECRETS)}")
        layer.put(key, read_secret(path), str(path))
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The settings in variables such as `EDGEAUDIO_SOURCES__FRONT_DOOR__URL` (sources.front-door.url).

    Capitals do not count; empty variables count as not set. Raises SettingsError.
    """
    layer = Layer("environment")
    for name, value in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or name.upper() == CONFIG_VARIABLE or not value:
            continue
        key = name[len(PREFIX) :].lower().split("__")
        if not all(key):
            raise SettingsError(f'{name}: has an empty part; write {PREFIX}MQTT__URL for "mqtt.url"')
        if len(key) > 1 and key[0] in _NAMED:
            key[1] = key[1].replace("_", "-")
        layer.put(tuple(key), value, name)
    return layer


def options_layer(options: Iterable[str]) -> Layer:
    """The settings given as `--set KEY=VALUE`. Raises SettingsError.

    Logins are refused here, whatever the key: every user of the machine can read them in the process list.
    """
    layer = Layer("--set")
    for option in options:
        name, equals, value = option.partition("=")
        shown = f"--set {HIDDEN if '@' in name else name.strip()}"
        if not equals:
            raise SettingsError("--set: write KEY=VALUE, as in --set mqtt.url=mqtts://broker.example")
        try:
            key = tuple(_walk(tomllib.loads(f"{name.strip()} = 0")))
        except (tomllib.TOMLDecodeError, RecursionError):
            key = ()
        if not key:
            raise SettingsError(f"{shown}: not a key; write it as in TOML, as in mqtt.url")
        if holds_login(value) or _is_password(key):
            raise SettingsError(
                f"{shown}: a login here would show in the process list; use a password_file or an environment variable"
            )
        layer.put(key, value, layer.name)
    return layer


def _is_password(key: Key) -> bool:
    """True for passwords, and for names that may be meant for one."""
    return key[0] in {"mqtt", "sources"} and key[-1] != "password_file" and bool(_PASSWORD_LIKE.search(key[-1]))


def _walk(table: Mapping[str, Any]) -> Iterator[str]:
    for part, value in table.items():
        yield part
        if isinstance(value, dict):
            yield from _walk(value)


def all_layers(path: Path | None, options: Iterable[str], environ: Mapping[str, str]) -> list[Layer]:
    """Every layer that is there, the strongest first. Raises SettingsError."""
    layers = [options_layer(options), environment_layer(environ)]
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        layers.append(credentials_layer(Path(folder)))
    if path is not None:
        layers.append(file_layer(path))
    return layers


def config_path(path: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The settings file: the one named, else by EDGEAUDIO_CONFIG, else /etc/edgeaudio/edgeaudio.toml if it is there."""
    if path is not None:
        return path
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    usual = Path("/etc/edgeaudio/edgeaudio.toml")
    try:
        usual.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # told by whoever reads it
    return usual
