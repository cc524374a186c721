"""Where settings come from: the command line, the environment, systemd's credentials, a TOML file.

Owns: a source of pydantic-settings for each, and which option, variable or file set a value.
Does not know: which settings exist and what values they take (schema.py), how sources are merged (pydantic-settings).

What the library's own sources cannot do is added here: read within bounds, pipes too, and name the line of a fault;
resolve paths against the file's folder; refuse variables and credentials that no setting has; write slugs with
hyphens, which the names of variables cannot have; say who set a value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    SecretsSettingsSource,
    TomlConfigSettingsSource,
)

from edgeaudio.settings.places import CREDENTIALS_VARIABLE, NO_SETTINGS, PREFIX
from edgeaudio.settings.reading import MAX_FILE_BYTES, SettingsError, parse_toml, read_secret, read_text
from edgeaudio.toml_reader import TomlError, loads
from edgeaudio.toml_writer import dotted, quoted
from edgeaudio.urls import HIDDEN, holds_login

MAX_DEPTH = 16  # of tables in tables: far beyond sources.NAME.thresholds.LABEL.on, far under Python's own limit

_NESTED = "__"
_SHOWN_CHARACTERS = 120  # of the name of a variable
_SLUG_TABLES = ("sources", "models")
_SLUG_VARIABLES = tuple(PREFIX + table.upper() for table in _SLUG_TABLES)
_CREDENTIAL = re.compile(
    r"(mqtt|sources\.[^.]+|dashboard\.users\.[^.]+)\.[^.]+|dashboard\.metrics_token|transcripts\.[^.]+"
)
_CREDENTIAL_PREFIX = "edgeaudio_"  # added by LoadCredential=edgeaudio:FOLDER
_CREDENTIALS = ("password", "url", "username")
_PASSWORD_LIKE = re.compile(r"pas|pwd|secret|token|api_?key")
_SECRET_FILES = ("api_key_file", "key_file", "metrics_token_file", "password_file")
_PATHS = (
    "api_key_file", "ca_file", "cert_file", "folder", "key_file", "metrics_token_file", "password_file", "path",
    "state_dir",
)  # fmt: skip

Key = tuple[str, ...]


class TableSource(InitSettingsSource):
    """A table that one origin has set as a whole: the options of the command line, the draft of a settings file."""

    def __init__(self, settings_cls: type[BaseSettings], table: dict[str, Any], origin: str) -> None:
        super().__init__(settings_cls, table)
        self.name = origin

    def origin(self, key: Key) -> str:  # noqa: ARG002 (there is one)
        """Return who set the value at `key`."""
        return self.name


class EnvironmentSource(EnvSettingsSource):
    """Variables such as `EDGEAUDIO_SOURCES__FRONT_DOOR__URL` (sources.front-door.url).

    Case does not count; an empty variable counts as not set. Lists are separated by commas.
    """

    name = "environment"

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        """Read the variables. Raises SettingsError where two name one setting, or one cannot be a setting."""
        seen: dict[str, str] = {}
        for name, value in sorted(os.environ.items()):
            key = _variable_key(name)
            if not key.startswith(PREFIX) or key in NO_SETTINGS or not value:
                continue
            if any("\ud800" <= character <= "\udfff" for character in name):
                raise SettingsError(f"{_shortened(name)}: the name of this variable is not UTF-8 text")
            other = seen.setdefault(key, name)
            if other != name:
                raise SettingsError(f"{_shortened(name)}: {_shortened(other)} is set too; keep one of them")
        for key, name in seen.items():
            parts = key.split(_NESTED)
            for count in range(1, min(len(parts), MAX_DEPTH)):
                if outer := seen.get(_NESTED.join(parts[:count])):
                    raise SettingsError(f"{_shortened(name)}: {_shortened(outer)} is set too; keep one of them")
        super().__init__(settings_cls, env_prefix=PREFIX, env_nested_delimiter=_NESTED, env_ignore_empty=True)

    def __call__(self) -> dict[str, Any]:
        """Return the nested values, and those that the library leaves out: of unknown settings, below plain ones."""
        table = super().__call__()
        for name, value in self.env_vars.items():
            first, *further = name.removeprefix(PREFIX.lower()).split(_NESTED)
            if not name.startswith(PREFIX.lower()) or name.upper() in NO_SETTINGS:
                continue
            if first not in self.settings_cls.model_fields:
                table[first] = value
            elif further and value and not self.field_is_complex(self.settings_cls.model_fields[first]):
                raise SettingsError(f"{_shortened(name.upper())}: {first} has no settings in it; unset this variable")
        return table

    def explode_env_vars(self, field_name: str, field: FieldInfo, env_vars: Mapping[str, str | None]) -> dict[str, Any]:
        """Return the values of one table; slugs have hyphens where names of variables have underscores."""
        table = super().explode_env_vars(field_name, field, env_vars)
        if field_name not in _SLUG_TABLES:
            return table
        slugs: dict[str, Any] = {}
        for name, value in table.items():
            slug = name.replace("_", "-")
            known = slugs.get(slug)  # by another spelling
            slugs[slug] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
        return slugs

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401, ARG002 (the library's)
        """Return the text as it is, where the library expects JSON."""
        return value

    def origin(self, key: Key) -> str:
        """Return the variable that set the value at `key`, or the first of that table."""
        wanted = (PREFIX + _NESTED.join(key).replace("-", "_")).upper()
        names = (name for name in os.environ if f"{name.upper()}{_NESTED}".startswith(f"{wanted}{_NESTED}"))
        return _shortened(next(names, wanted))


class CredentialsSource(NestedSecretsSettingsSource):
    """Files `mqtt.password`, `sources.porch.url` and the like in systemd's credentials directory.

    `edgeaudio_` may stand before the names. Files of other names belong to others.
    """

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        self.name = str(folder)
        library_source = SecretsSettingsSource(settings_cls, folder)
        super().__init__(library_source, secrets_prefix="", secrets_nested_delimiter=".")

    def validate_secrets_path(self, path: Path) -> None:
        """Do nothing: the library bounds all files of the directory together; here each that is read is bounded."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        """Read the secrets by name. Raises SettingsError."""
        return {name: read_secret(file) for name, file in credential_files(path)}

    def origin(self, key: Key) -> str:
        """Return the file that set the value at `key`, or the first of that table."""
        (folder,) = self.secrets_paths
        files = (file for name, file in credential_files(folder) if tuple(name.split("."))[: len(key)] == key)
        return str(next(files, folder))


class FileSource(TomlConfigSettingsSource):
    """A TOML file or pipe; paths in it are relative to its folder."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        """Read the file. Raises SettingsError."""
        self.path = path
        self.name = str(path)
        super().__init__(settings_cls, path)

    def _read_files(self, files: object, deep_merge: bool = False) -> dict[str, Any]:  # noqa: ARG002 (the library's)
        table = parse_toml(read_text(self.path, MAX_FILE_BYTES, "settings file"), self.path)
        if not _resolve_paths(table, self.path.absolute().parent):
            raise SettingsError(f"{self.path}: tables are nested deeper than any setting is")
        return table

    def origin(self, key: Key) -> str:  # noqa: ARG002 (a file is one origin)
        """Return who set the value at `key`."""
        return self.name


Source: TypeAlias = TableSource | EnvironmentSource | CredentialsSource | FileSource


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source sets: its name, nested tables, and who set the value at a key."""

    name: str
    table: Mapping[str, Any]
    origin: Callable[[Key], str]

    def depth(self, key: Key) -> int:
        """Return how many parts of the key, from the left, are set here."""
        table: object = self.table
        for depth, part in enumerate(key):
            if not isinstance(table, Mapping) or part not in table:
                return depth
            table = table[part]
        return len(key)


def all_sources(settings_cls: type[BaseSettings], path: Path | None, options: Iterable[str]) -> list[Source]:
    """Return a source for each place that may hold settings, the one that wins first. Raises SettingsError."""
    sources: list[Source] = [
        TableSource(settings_cls, _options_table(options), "--set"),
        EnvironmentSource(settings_cls),
    ]
    if folder := os.environ.get(CREDENTIALS_VARIABLE):
        sources.append(CredentialsSource(settings_cls, Path(folder)))
    if path is not None:
        sources.append(FileSource(settings_cls, path))
    return sources


def _variable_key(name: str) -> str:
    """Return what two variables of one setting have in common; a hyphen of a source is written as `_` or as it is."""
    key = name.upper()
    return key.replace("-", "_") if key.partition(_NESTED)[0] in _SLUG_VARIABLES else key


def _shortened(name: str) -> str:
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}..."


def _options_table(options: Iterable[str]) -> dict[str, Any]:
    """Return the table that options KEY=VALUE make, values as text.

    Raises SettingsError where an option is no setting, or holds a login: every user can see it in the process list.
    """
    lines: list[str] = []
    table: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        shown = f"--set {HIDDEN if '@' in name else name.strip()}".strip()
        if not equals:
            raise SettingsError("--set: write KEY=VALUE, as in --set mqtt.url=mqtts://broker.example")
        try:
            key = tuple(_walk(loads(f"{name.strip()} = 0")))
        except TomlError:
            key = ()
        if not 0 < len(key) <= MAX_DEPTH:
            raise SettingsError(f"{shown[:60]}: not a key; write it as in TOML, as in mqtt.url")
        if holds_login(value) or _is_password(key):
            raise SettingsError(
                f"{shown}: a login here would show in the process list; use a password_file or an environment variable"
            )
        lines.append(f"{dotted(key)} = {quoted(value)}")
        try:
            table = loads("\n".join(lines))
        except TomlError:
            raise SettingsError(f"{shown}: another --set sets it too; keep one of them") from None
    return table


def _walk(table: Mapping[str, Any]) -> Iterator[str]:
    for part, value in table.items():
        yield part
        if isinstance(value, dict):
            yield from _walk(value)


def _is_password(key: Key) -> bool:
    """True for passwords, and for names that may be meant for one."""
    holds_logins = key[0] in {"dashboard", "mqtt", "sources", "transcripts"} and key[-1] not in _SECRET_FILES
    return holds_logins and bool(_PASSWORD_LIKE.search(key[-1]))


def credential_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name, in lower case, and the path of each credential of ours. Raises SettingsError."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise SettingsError(f"{folder}: credentials directory cannot be read: {error.strerror}") from None
    seen: dict[str, Path] = {}
    for path in paths:
        name = path.name.removeprefix(_CREDENTIAL_PREFIX).lower()
        if not _CREDENTIAL.fullmatch(name):
            continue
        *table, last = name.split(".")
        if (other := seen.setdefault(name, path)) != path:
            raise SettingsError(f"{path}: {other.name} is there too; keep one of them")
        names = _credentials_of(table)
        if last not in names:
            known = ", ".join(names)
            raise SettingsError(f"{path}: unknown credential; those of {dotted(table)} are {known}")
        yield name, path


def _credentials_of(table: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the credentials that a table has."""
    match table:
        case ["transcripts"]:
            return ("api_key", "recogniser")
        case ["dashboard"]:
            return ("metrics_token",)
        case ["dashboard", *_]:
            return ("password",)
        case _:
            return _CREDENTIALS


def _resolve_paths(table: dict[str, Any], folder: Path, depth: int = 1) -> bool:
    """Make the paths in a table absolute; return False where tables are nested too deep."""
    if depth > MAX_DEPTH:
        return False
    for key, value in table.items():
        if isinstance(value, dict):
            if not _resolve_paths(value, folder, depth + 1):
                return False
        elif key in _PATHS and isinstance(value, str) and value:
            table[key] = str(folder / os.path.expanduser(value))  # noqa: PTH111 (pathlib's raises for unknown users)
    return True
