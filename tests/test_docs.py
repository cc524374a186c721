"""The documents say what the program does: each command, topic, state, reason, file and number that they name."""

from __future__ import annotations

import argparse
import dataclasses
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeaudio import __version__
from edgeaudio.agent import reloader
from edgeaudio.capture import reader
from edgeaudio.cli import parser
from edgeaudio.health import report, signal_monitor
from edgeaudio.settings import Settings
from edgeaudio.shards import Shard
from edgeaudio.sinks.mqtt import commands as mqtt_commands
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Reason, SourceState
from edgeaudio.urls import holds_login
from tools import train_model

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MQTT = (ROOT / "docs" / "mqtt.md").read_text()
FOLDERS = ("deploy", "docs", "edgeaudio", "models", "tests", "tools")
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
)


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def every_parser(above: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield above
    for action in above._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from every_parser(below)


def test_every_command_is_in_the_readme_and_no_other():
    assert re.findall(r"^\| `edgeaudio ([a-z]+)", README, re.MULTILINE) == [name for name, _ in commands()]


def test_every_option_that_the_readme_names_exists():
    parsers = [*every_parser(parser()), train_model.parser()]
    known = {option for each in parsers for action in each._actions for option in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z]+", README)) <= known


def test_every_topic_is_documented():
    topics = Topics("base", "device")
    found = {
        topics.availability,
        topics.health,
        topics.command_result,
        topics.restart_set,
        topics.status("source"),
        topics.detection("source"),
        topics.label("source", "label"),
        topics.level("source"),
        topics.threshold("source", "label"),
        topics.threshold_set("source", "label"),
        topics.snooze("source", "label"),
        topics.snooze_set("source", "label"),
        topics.cooldown("source", "label"),
        topics.cooldown_set("source", "label"),
        topics.enabled("source"),
        topics.enabled_set("source"),
        topics.test_set("source"),
        topics.live("source"),
        topics.live_set("source"),
        topics.live_audio("source"),
        topics.live_audio_set("source"),
        topics.scores("source"),
        topics.transcript("source"),
        topics.clip("source"),
        topics.clip_info("source"),
        topics.image("source"),
        topics.image_info("source"),
    }
    shard = Topics("base", "device", Shard(0, 1))
    of_shards = (shard.availability, shard.health, shard.shard_count, shard.restart_set)
    found |= {topic.replace("/0/", "/index/") for topic in of_shards}
    documented = set(re.findall(r"^\| `(<base>[^`]*)`", MQTT, re.MULTILINE))
    assert {re.sub(r"<(\w+)>", r"\1", topic) for topic in documented} == found


def test_every_state_and_reason_is_documented():
    words = set(re.findall(r"`([a-z_0-9]+)`", MQTT))
    assert {state.value for state in SourceState} <= words
    assert {reason.value for reason in Reason} <= words


def test_the_numbers_of_the_wire_contract_are_the_programs():
    assert f"a number from {mqtt_commands.MIN_THRESHOLD} to {mqtt_commands.MAX_THRESHOLD}" in MQTT
    assert f"under {signal_monitor.SILENT_BELOW_DBFS:g} dBFS, until over {signal_monitor.SILENT_UNTIL_DBFS:g}" in MQTT
    assert f"more than {100 * signal_monitor.CLIPPING_FROM:g} % of the samples" in MQTT
    assert f"over {100 * signal_monitor.HUM_FROM:g} % of the energy" in MQTT
    assert MQTT.count(f"for {signal_monitor.ENTER_S:g} s") == 3
    assert f"after {reader.FIRST_DELAY_S:g} s, doubling to {reader.LAST_DELAY_S:g} s" in MQTT
    assert f"If the reason is `clock`, the delay is at most {reader.CLOCK_DELAY_S:g} s" in " ".join(MQTT.split())
    settings = Settings()
    assert f"every {settings.health.interval_s:g} s and at every change of state" in MQTT


def test_every_field_of_the_health_report_is_documented():
    words = set(re.findall(r"`([a-z_0-9]+)`", MQTT))
    for numbers in (report.AgentNumbers, report.MachineNumbers):
        assert {field.name for field in dataclasses.fields(numbers)} <= words
    for field in dataclasses.fields(report.SourceNumbers):
        assert field.name in words | {"status"}


def test_the_tree_in_the_readme_is_the_tree():
    listed = re.findall(r"^    ((?:edgeaudio|models|tools|deploy|docs|tests|examples)/[\w./]*)", README, re.MULTILINE)
    assert len(listed) > 10
    assert [path for path in listed if not (ROOT / path).exists()] == []
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    parts = {"/".join(path.split("/")[:2]) for path in tracked if path.startswith("edgeaudio/")}
    small = {"__main__.py", "version.py", "redact.py", "logs.py", "stderr.py", "spectrum.py"}
    named = {path.rstrip("/") for path in listed} | {"edgeaudio/commands"}
    assert {part for part in parts if part.removeprefix("edgeaudio/") not in small} <= named


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{document} links to {target}"


def test_the_changelog_speaks_of_this_version():
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_settings_that_need_a_restart_exist():
    assert set(reloader.AT_START) <= set(Settings.model_fields)


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_no_document_installs_from_pypi_what_has_this_name_there(document: str):
    assert not re.findall(r"pip install [^`\n]*'?\bedgeaudio(?:\[|'|`|$)", (ROOT / document).read_text(), re.MULTILINE)


def test_no_document_has_a_login_on_a_command_line():
    texts = [(ROOT / document).read_text() for document in DOCUMENTS]
    texts += [command.format_help() for _, command in commands()]
    texts += [
        path.read_text()
        for path in (ROOT / "deploy").rglob("*")
        if path.is_file() and path.suffix not in {".png", ".pyc"}
    ]
    lines = [line for text in texts for line in text.splitlines() if re.search(r"\bedgeaudio [a-z]+ |--\w+", line)]
    assert len(lines) > 50
    assert [line for line in lines if any(map(holds_login, line.split()))] == []
    step = README.index("probe --config edgeaudio.toml porch")
    assert README.index("password =") < step  # the login has its place before it is needed
