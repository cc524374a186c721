"""The example file and the documentation say what the code does."""

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from support.loading import load

from edgeaudio.settings import Settings
from edgeaudio.settings.schema import DashboardUserSettings, ModelSettings, SourceSettings, ThresholdSettings
from edgeaudio.settings.show import example_toml

DOCUMENT = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]*?) \|", DOCUMENT, re.MULTILINE))
COMPUTED = {"device", "state_dir"}  # these defaults are this machine's
TABLES: dict[str, type[BaseModel]] = {
    "sources.NAME.": SourceSettings,
    "models.NAME.": ModelSettings,
    "dashboard.users.NAME.": DashboardUserSettings,
    "thresholds.LABEL.": ThresholdSettings,
}


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if prefix + name in {"sources", "models", "dashboard.users"}:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


ALL = dict(settings_of(Settings)) | {
    name: field for prefix, model in TABLES.items() for name, field in settings_of(model, prefix)
}


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert set(ROWS) == set(ALL)


@pytest.mark.parametrize("name", [name for name, field in ALL.items() if field.default is not None])
def test_documented_defaults_are_the_defaults(name: str) -> None:
    field = ALL[name]
    if field.is_required():
        assert ROWS[name] == "must be set"
    elif name not in COMPUTED and field.default_factory is None:
        value = field.get_default()
        text = value.get_secret_value() if name == "mqtt.url" else value
        assert tomllib.loads(f"value = {ROWS[name].strip('`')}")["value"] == text


@pytest.mark.parametrize("name", list(ALL))
def test_documented_bounds_are_the_bounds(name: str) -> None:
    bounds = {kind: getattr(item, kind) for item in ALL[name].metadata for kind in ("ge", "le") if hasattr(item, kind)}
    if "ge" in bounds:
        row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}` |"))
        upper = "`on`" if name.endswith(".off") else str(bounds["le"])
        assert row.split("|")[3].strip() == f"{bounds['ge']} to {upper}"


def uncommented() -> str:
    return re.sub(r"^#(?=[\[\w])", "", example_toml(), flags=re.MULTILINE)


def test_the_example_as_it_is_equals_the_defaults(tmp_path) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text(example_toml())
    assert load(path, (), {}) == Settings()
    assert files("edgeaudio.settings").joinpath("example.toml").is_file()  # and it is in the package


def test_the_example_names_every_setting_with_its_default() -> None:
    table = tomllib.loads(uncommented())
    flat = dict(flattened(table))
    for name, field in ALL.items():
        keys = [key for key in flat if re.fullmatch(pattern_of(name), key)]
        assert keys, f"{name} is not in the example"
        if field.default is not None and not field.is_required() and not field.default_factory:
            default = field.get_default()
            default = default.get_secret_value() if name == "mqtt.url" else default
            assert [flat[key] for key in keys] == [default] * len(keys), name


def test_the_example_with_everything_switched_on_is_valid(tmp_path) -> None:
    path = tmp_path / "edgeaudio.toml"
    # of a secret and its file only one may stand
    text = re.sub(r"^(api_key|password|metrics_token) = .*$", "", uncommented(), flags=re.MULTILINE).replace(
        "mqtt://", "mqtts://"
    )
    for name in set(re.findall(r'_file = "(.*)"', text)):
        (tmp_path / name).write_text("secret of some length\n")
    path.write_text(text)
    settings = load(path, (), {})
    assert settings.sources["porch"].thresholds["siren"].on == 0.8
    assert settings.models["home"].groups["alarm"] == ("smoke_alarm", "co_alarm")


def flattened(table: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield f"{prefix}{name}", value
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def pattern_of(name: str) -> str:
    name = re.escape(name).replace("NAME", r"[\w-]+").replace("LABEL", r"\w+")
    return rf"(\w+\.[\w-]+\.)?{name}" if name.startswith("thresholds") else name
