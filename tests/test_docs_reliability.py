"""docs/reliability.md says what the program does: its numbers are the code's, and each proof has its place in it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from chaos.__main__ import DOCS, PROOFS

from edgeaudio import clock, throttled_log
from edgeaudio.agent import agent, mqtt_runner, reloader, supervisor
from edgeaudio.capture import (
    http_message,
    live_playlists,
    network_probe,
    pipe,
    playlist_parser,
    proxy_status,
    reader,
    request_pace,
)
from edgeaudio.capture.config import SourceConfig
from edgeaudio.commands import check, onvif, waiting
from edgeaudio.health import signal_monitor
from edgeaudio.outbox import database
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.settings import Settings, reading
from edgeaudio.sinks.mqtt import detection_queue, dispatcher, known_capabilities, pace, quarantine, sender
from edgeaudio.sinks.mqtt.broker import MqttConfig

TEXT = " ".join((DOCS / "reliability.md").read_text().split())
ROOT = Path(__file__).parents[1]


def test_the_numbers_of_a_source():
    config = SourceConfig(name="x", url="file:///x")
    assert f"may take {config.open_timeout_s:g} s to open" in TEXT
    assert f"no samples come for {config.read_timeout_s:g} s" in TEXT
    assert reader.JITTER == 0.25
    assert (
        f"after {reader.FIRST_DELAY_S:g} s, doubling to {reader.LAST_DELAY_S:g} s, plus or minus a quarter; "
        f"{reader.PROVEN_S:g} s of sound reset the delay"
    ) in TEXT
    assert f"need {signal_monitor.ENTER_S:g} s of evidence, and {signal_monitor.LEAVE_S:g} s to leave" in TEXT
    assert f"then one every {throttled_log.REPEAT_S / 60:g} minutes" in TEXT
    assert f"of {clock.STEP_S:g} s or more is counted" in TEXT


def test_the_numbers_of_a_command():
    assert f"| {SourceConfig(name='x', url='/x').open_timeout_s:g} s a try" in TEXT
    assert f"looking for the cause takes up to {network_probe.PROBING_S:g} s" in TEXT
    assert f"a program that writes to a pipe | {waiting.SENDER_WAIT_S:g} s" in TEXT
    assert f"one's answer to a question | {onvif.SEARCH_S:g} s; {onvif.ANSWER_S:g} s |" in TEXT
    longest_s, shortest_s = (
        live_playlists.SLACK_S + s for s in (live_playlists.MAX_STALE_S, live_playlists.MIN_STALE_S)
    )
    assert f"target durations and {live_playlists.SLACK_S:g} s ({shortest_s:g} to {longest_s:g} s), from a pipe" in TEXT
    assert f"from a pipe {pipe.STALL_S:g} s" in TEXT
    assert f"`check` ({check.LISTEN_S:g} s)" in TEXT
    assert f"four times its length, and {waiting.SLACK_S:g} s" in TEXT
    assert f"the name server | {waiting.HANG_S:g} s; {waiting.INTERRUPT_S:g} s after Ctrl-C" in TEXT
    assert f"a settings file that is a pipe | {reading.WRITER_WAIT_S:g} s" in TEXT


def test_the_numbers_of_what_comes_by_http():
    assert f"At most {proxy_status.MAX_REDIRECTS} redirects" in TEXT
    assert f"heads of {http_message.MAX_HEAD_BYTES >> 10} KiB and {http_message.MAX_HEADERS} headers" in TEXT
    assert f"playlists of {playlist_parser.MAX_BYTES >> 20} MiB and {playlist_parser.MAX_SEGMENTS:,} segments" in TEXT
    assert f"at most {playlist_parser.MAX_LISTS} lists in a list of lists" in TEXT
    assert f"{request_pace.BURST} requests at once, then {request_pace.REQUESTS_PER_S} a second" in TEXT
    assert live_playlists.FIRST_SEGMENTS == live_playlists.STALE_TARGETS == 3
    assert f"at most the last {live_playlists.CATCH_UP_S:g} s" in TEXT
    stale = f"at least {live_playlists.MIN_STALE_S:g} s, at most {live_playlists.MAX_STALE_S:g} s"
    assert f"for three of its target durations ({stale})" in TEXT


def test_the_numbers_of_the_outbox():
    settings = Settings()
    config = MqttConfig("x", 1, "x")
    assert f"At most {config.window} messages are in flight" in TEXT
    assert f"does not come within {config.timeout_s:g} s ends the connection" in TEXT
    assert f"after {config.retry_min_s:g} s, doubling to {config.retry_max_s:g} s, each shortened at random by" in TEXT
    assert f"{sender._STEADY_S:g} s of connection reset the delay" in TEXT
    assert f"is the cause (`clock`), the delay is at most {sender._CLOCK_S:g} s" in TEXT
    assert config.rate_per_s == settings.mqtt.rate_per_s
    assert f"at most {config.rate_per_s:g} messages a second" in TEXT
    assert f"waits ({detection_queue._HOLD_MIN_S:g} s, doubling to {detection_queue._HOLD_MAX_S:g} s" in TEXT
    assert f"{settings.outbox.max_messages:,} messages or {settings.outbox.max_bytes / 2**20:g} MiB" in TEXT
    retry_s = inspect.signature(Outbox).parameters["retry_s"].default
    assert f"tried again every {retry_s:g} s" in TEXT
    assert database._DAMAGED_KEPT == 3
    assert f"{settings.outbox_path.name}.damaged-" in TEXT
    assert known_capabilities.KNOWN_S == 3600
    assert f"lost connection for {MqttConfig('', 0, '').session_expiry_s / 60:g} minutes" in TEXT
    assert (
        f"{pace._START_PER_S:g} messages a second at the beginning of each connection, doubling with each second"
        in TEXT
    )
    assert (pace._DOUBLING_S, pace._CEILING_RISE, pace._CEILING_RISE_S) == (1.0, 1.1, 600.0)
    assert dispatcher._STATE_TURN == 8
    assert f"after {quarantine._RETRY_MIN_S:g} s, doubling to {quarantine._RETRY_MAX_S / 3600:g} hours" in TEXT
    assert (quarantine._STRIKES, throttled_log.REPEAT_S) == (2, 600)


def test_the_numbers_of_the_process():
    assert agent.TICK_S == 1
    assert "checks each second that the others made progress" in TEXT
    assert (
        f"recogniser within {supervisor.RECOGNISER_STALL_TIMEOUT_S:g} s, "
        f"the MQTT sink within {mqtt_runner.SINK_STALL_TIMEOUT_S:g} s, "
        f"the sender within {mqtt_runner.SENDER_STALL_TIMEOUT_S:g} s" in TEXT
    )
    assert f"a turn that takes {agent.MAIN_STALL_TIMEOUT_S:g} s" in TEXT
    assert f"an end that takes {agent.SHUTDOWN_STALL_TIMEOUT_S:g} s" in TEXT
    *most, last = [f"`{name}`" for name in reloader.AT_START]
    assert f"{', '.join(most)} and {last} take effect at the next start" in TEXT
    assert "SIGTERM ends the process within 2 s" in TEXT
    assert agent.RECOGNISER_JOIN_S + agent.FINAL_DRAIN_S + agent.SENDER_JOIN_S < 2


@pytest.mark.parametrize("page", sorted({proof.page for proof in PROOFS.values()}))
def test_every_proof_has_its_place_and_no_other(page):
    text = (DOCS / page).read_text()
    here = [name for name, proof in PROOFS.items() if proof.page == page]
    assert re.findall(r"<!-- measured: (\w+) -->", text) == here
    assert text.count("<!-- /measured -->") == len(here)


@pytest.mark.parametrize("page", sorted({proof.page for proof in PROOFS.values()}))
def test_every_table_says_when_and_on_what_it_was_measured(page):
    parts = re.findall(r"<!-- measured: (\w+) -->(.*?)<!-- /measured -->", (DOCS / page).read_text(), re.DOTALL)
    for name, part in parts:
        told = rf"`make faults FAULTS={name}`, 20\d\d-\d\d-\d\d, in \d+ min on \d+ shared cores \(.*:$"
        assert bool(re.search(told, part, re.MULTILINE)) is ("|" in part), name
