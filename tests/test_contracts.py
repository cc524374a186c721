"""What a schema version promises: the names of payloads, settings and manifests that were there when it began.

`tests/contracts/` has a list of names for each version. A name that is gone, renamed or of another type fails here
until the version is raised (edgeaudio/schema_versions.py); a new one is added to the list with the change that adds it.
"""

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeaudio.health.broker import BrokerReason, BrokerState, BrokerStatus
from edgeaudio.health.report import (
    AgentNumbers,
    Crash,
    CrashReason,
    HealthReport,
    MachineNumbers,
    ModelNumbers,
    RaisedThreshold,
    SinkNumbers,
    SinkState,
    SourceNumbers,
    TranscriptNumbers,
)
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.schema_versions import ANY, MANIFEST, PAYLOAD_VERSION, SETTINGS, Schema
from edgeaudio.settings.show import json_schema
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.media_messages import media_info
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import (
    ChannelLevel,
    ClipReady,
    Event,
    Level,
    LiveScores,
    OutboxStats,
    Reason,
    SourceState,
    SourceStatus,
    Transcript,
)

FOLDER = Path(__file__).parent / "contracts"
TOPICS = Topics("edgeaudio", "dock")
AT = datetime(2026, 11, 20, 12, 30, 15, 123_000, tzinfo=UTC)
STATUS = SourceStatus(
    "porch", SourceState.WAITING, AT, Reason.TIMEOUT, "x", "aac", 48_000, 2, next_try=AT, media="audio", transport="tcp"
)
CHANNEL = ChannelLevel(-20.5, -10.5, 0.1, 0.1)
BROKER = BrokerStatus(BrokerState.WAITING, AT, BrokerReason.CLOSED, "x", AT, "5", "confirmed", ("a/b",), (("a/c", 2),))
SOURCE = dataclasses.replace(
    SourceNumbers(STATUS, 1.5, 1.5, 1.5, 1.5, 1.5, 1, 1, 1, {"dog": AT}, {"snooze": 1, "cooldown": 1}),
    raised={"dog": RaisedThreshold(0.5, 0.75, AT)},
)
HEALTH = HealthReport(
    at=AT,
    agent=AgentNumbers("0.1.0", "attic", AT, 1.5, 1, 1, 1, Crash(AT, CrashReason.KILLED, "x")),
    sources=[SOURCE],
    models=[ModelNumbers("home", "1", "00", "ai-edge-litert 2", 1, 1.5, 1.5)],
    outbox=OutboxStats(1, 1, 1.5, 1, 1, "x", "x", "x"),
    broker=BROKER,
    machine=MachineNumbers(1.5, 1.5, 1.5, 1.5, throttled=True, disk_free_mb=1.5),
    sinks=[SinkNumbers("csv", SinkState.FAILED, "x", 1, 1, 1.5, 1.5)],
    transcripts=TranscriptNumbers(("porch",), "x", "x", 1, 1, 1.5, 1, 1, 1, 1, 1, 1),
)
MEMBERS = (("home", 0.9),)
EVENT = Event("e1", "onset", "porch", "home", "dog", 0.91, AT, 1.25, at_error_s=0.05, test=True, members=MEMBERS)
CLIP = ClipReady("e1", "porch", "dog", 0.91, "home", AT, Path("a.opus"), "opus", Path("a.jpg"), (0.1, 0.9))
PAYLOADS = {
    "detection": messages.detection(TOPICS, EVENT, seq_epoch="a1", seq=1, dashboard_url="https://house.example"),
    "check": messages.check(TOPICS, "porch"),
    "level": messages.level(TOPICS, Level("porch", AT, 1.5, -20.5, -10.5, 0.1, 0.1, (CHANNEL, CHANNEL))),
    "scores": messages.live_scores(TOPICS, LiveScores("porch", "home", AT, 4.0, {"dog": 0.5})),
    "status": messages.status(TOPICS, STATUS),
    "clip_info": media_info(TOPICS, CLIP, "clip", 1),
    "image_info": media_info(TOPICS, CLIP, "image", 1),
    "transcript": messages.transcript(TOPICS, Transcript("u1", "porch", AT, 2.5, "x", "en", 0.5, "small")),
    "command": messages.command_result(TOPICS, "a/set", AT, "x"),
    "health": messages.health(TOPICS, health_values(HEALTH)),
}
# objects whose keys are names of the user's
NAMED = {"sources", "models", "sinks", "quarantined", "scores", "snoozed", "raised", "members"}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_payloads_have_all_that_their_version_promises(kind: str) -> None:
    now = dict(paths_of(json.loads(PAYLOADS[kind].payload)))
    assert_promised(f"{kind}_{PAYLOAD_VERSION}.json", now)


def test_settings_have_all_that_their_version_promises() -> None:
    schema = json.loads(json_schema())
    now = dict(with_old_names(dict(settings_of(schema, schema)), SETTINGS))
    assert_promised(f"settings_{SETTINGS.version}.json", now)


def test_manifests_have_all_that_their_version_promises() -> None:
    now = dict(with_old_names(dict(fields_of(Manifest)), MANIFEST))
    assert_promised(f"manifest_{MANIFEST.version}.json", now)


def assert_promised(file: str, now: dict[str, str]) -> None:
    promised = json.loads((FOLDER / file).read_text())
    gone = {name: kind for name, kind in promised.items() if now.get(name) != kind}
    assert gone == {}, "raise the schema version, or bring these back"
    assert now.keys() - promised.keys() == set(), f"add these to tests/contracts/{file}"


def paths_of(value: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Each key of a payload, and the type of its value in JSON."""
    if isinstance(value, Mapping):
        is_named = at.rpartition(".")[2] in NAMED
        for name, item in value.items():
            yield from paths_of(item, f"{at}.{ANY if is_named else name}".lstrip("."))
    else:
        yield at, type(value).__name__


def settings_of(table: dict[str, typing.Any], schema: dict[str, typing.Any], at: str = "") -> Iterator[tuple[str, str]]:
    """Each setting, and whether it must be set."""
    for name, field in table["properties"].items():
        inner = field
        path = f"{at}{name}"
        for named in ("additionalProperties", "patternProperties"):
            if named in field:
                inner, path = field[named], f"{path}.{ANY}"
                inner = next(iter(inner.values())) if named == "patternProperties" else inner
        if "$ref" in inner:
            yield from settings_of(schema["$defs"][inner["$ref"].rpartition("/")[2]], schema, f"{path}.")
        else:
            yield path, "required" if name in table.get("required", ()) else "optional"


def fields_of(cls: type, at: str = "") -> Iterator[tuple[str, str]]:
    """Each key of a manifest, and whether it must be there."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint, path = hints[field.name], f"{at}{field.name}"
        if typing.get_origin(hint) is Mapping:
            hint, path = typing.get_args(hint)[1], f"{path}.{ANY}"
        parts = [part for part in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(part)]
        if parts:
            yield from fields_of(typing.cast("type", parts[0]), f"{path}.")
        else:
            defaults = (field.default, field.default_factory)
            yield path, "required" if set(defaults) == {dataclasses.MISSING} else "optional"


def with_old_names(names: dict[str, str], schema: Schema) -> Iterator[tuple[str, str]]:
    """The names, and those that are read for them still."""
    yield from names.items()
    for rename in schema.renames:
        yield ".".join(rename.old), names[".".join((*rename.old[:-1], rename.new))]
