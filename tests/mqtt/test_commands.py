from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.sinks.mqtt.commands import (
    MAX_COOLDOWN_S,
    MAX_SNOOZE_S,
    MAX_THRESHOLD,
    MIN_THRESHOLD,
    Command,
    CommandError,
    Restart,
    SendTest,
    SetAudio,
    SetCooldown,
    SetEnabled,
    SetLive,
    SetSnooze,
    SetThreshold,
    parse_command,
    send_test,
)
from edgeaudio.sinks.mqtt.topics import Topics

TOPICS = Topics("edgeaudio", "dock")
LABELS = {"porch": ("Dog bark", "siren"), "yard": ()}


def parse(topic: str, payload: bytes) -> Command:
    return parse_command(TOPICS, topic, payload, LABELS)


def test_every_command() -> None:
    assert parse(TOPICS.threshold_set("porch", "Dog bark"), b"0.7") == SetThreshold("porch", "Dog bark", 0.7)
    assert parse(TOPICS.snooze_set("porch", "Dog bark"), b"604800") == SetSnooze("porch", "Dog bark", 604_800)
    assert parse(TOPICS.cooldown_set("porch", "siren"), b"1.5") == SetCooldown("porch", "siren", 1.5)
    assert parse(TOPICS.enabled_set("yard"), b"OFF") == SetEnabled("yard", on=False)
    assert parse(TOPICS.enabled_set("porch"), b"ON") == SetEnabled("porch", on=True)
    assert parse(TOPICS.test_set("porch"), b"Dog bark") == SendTest("porch", "Dog bark")
    assert parse(TOPICS.test_set("porch"), b"dog-bark") == SendTest("porch", "Dog bark")
    assert parse(TOPICS.live_set("yard"), b"30") == SetLive("yard", 30.0)
    assert parse(TOPICS.live_audio_set("yard"), b"30") == SetAudio("yard", 30.0)
    assert parse(TOPICS.restart_set, b"PRESS") == Restart()


@pytest.mark.parametrize("payload", [b"0.01", b".5", b"0.99", b"1", b"1.0", b"5e-1", b"0.30000000000000004"])
def test_numbers_that_are_thresholds(payload: bytes) -> None:
    command = parse(TOPICS.threshold_set("porch", "siren"), payload)
    assert isinstance(command, SetThreshold)
    assert command.value == float(payload)


NO_THRESHOLDS = [
    *(b"", b" 0.5", b"0.5\n", b"nan", b"inf", b"-0.5", b"+0.5", b"0", b"1.001", b"0.009", b"2", b"1_0", b"0,5", b"0x1"),
    *(b"0.5" * 20, b"null", b"[0.5]", b"\xff", b".", b"e-1", b"0." + b"5" * 40, b"1e99"),
    "\N{ARABIC-INDIC DIGIT ZERO}.\N{ARABIC-INDIC DIGIT FIVE}".encode(),
]


@pytest.mark.parametrize("payload", NO_THRESHOLDS)
def test_a_payload_that_is_no_threshold_is_refused(payload: bytes) -> None:
    with pytest.raises(CommandError, match=r"a threshold is a number from 0\.01 to 1, not "):
        parse(TOPICS.threshold_set("porch", "siren"), payload)


@pytest.mark.parametrize("payload", [b"0", b"0.0", b"60", b"60.0", b"1", b"2.5", b"1e1", b".5"])
def test_numbers_that_are_leases(payload: bytes) -> None:
    assert parse(TOPICS.live_set("porch"), payload) == SetLive("porch", float(payload))
    assert parse(TOPICS.live_audio_set("porch"), payload) == SetAudio("porch", float(payload))


NO_LEASES = [
    *(
        b"",
        b" 30",
        b"30\n",
        b"nan",
        b"inf",
        b"-1",
        b"+1",
        b"61",
        b"60.001",
        b"1000000",
        b"1e6",
        b"9e99",
        b"0x1",
        b"3_0",
    ),
    *(b"30" * 500, b"null", b"[30]", b"30s", b"ON", b"\xff", b"e1", b"0" * 40, "\N{ARABIC-INDIC DIGIT THREE}".encode()),
]


@pytest.mark.parametrize("topic", [TOPICS.live_set("porch"), TOPICS.live_audio_set("porch")])
@pytest.mark.parametrize("payload", NO_LEASES)
def test_a_payload_that_is_no_lease_is_refused(payload: bytes, topic: str) -> None:
    with pytest.raises(CommandError, match=r"^live takes seconds, a number from 0 to 60, not ") as refusal:
        parse(topic, payload)
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("payload", NO_LEASES)
def test_a_payload_that_is_no_snooze_and_no_cooldown_is_refused(payload: bytes) -> None:
    if payload in {b"61", b"60.001"}:
        payload += b"e9"
    with pytest.raises(CommandError, match=r"^snooze takes seconds, a number from 0 to 604800, not "):
        parse(TOPICS.snooze_set("porch", "siren"), payload)
    with pytest.raises(CommandError, match=r"^cooldown takes seconds, a number from 0 to 86400, not "):
        parse(TOPICS.cooldown_set("porch", "siren"), payload)


@pytest.mark.parametrize(
    ("topic", "payload", "message"),
    [
        ("edgeaudio/dock/porch/snooze/cat/set", b"60", "source porch has no label 'cat'"),
        ("edgeaudio/dock/roof/snooze/siren/set", b"60", "there is no source 'roof'"),
        ("edgeaudio/dock/porch/cooldown/sirn/set", b"60", "source porch has no label 'sirn'; did you mean \"siren\"?"),
        (
            "edgeaudio/dock/porch/snooze/siren/set",
            b"604801",
            "snooze takes seconds, a number from 0 to 604800, not '604801'",
        ),
        (
            "edgeaudio/dock/porch/cooldown/siren/set",
            b"86401",
            "cooldown takes seconds, a number from 0 to 86400, not '86401'",
        ),
        ("edgeaudio/dock/restart/set", b"restart", "restart takes PRESS, not 'restart'"),
        ("edgeaudio/dock/porch/enabled/set", b"on", "enabled takes ON or OFF, not 'on'"),
        ("edgeaudio/dock/porch/test/set", b"\xff", "source porch has no label '\\ufffd'"),
        ("edgeaudio/dock/roof/test/set", b"siren", "there is no source 'roof'"),
        ("edgeaudio/dock/roof/enabled/set", b"ON", "there is no source 'roof'"),
        ("edgeaudio/dock/roof/live/set", b"30", "there is no source 'roof'"),
        ("edgeaudio/dock/roof/live/audio/set", b"30", "there is no source 'roof'"),
        ("edgeaudio/dock/roof/threshold/siren/set", b"0.5", "there is no source 'roof'"),
        ("edgeaudio/dock/porch/threshold/cat/set", b"0.5", "source porch has no label 'cat'"),
        ("edgeaudio/dock/porch/status", b"x", "'edgeaudio/dock/porch/status' is no command"),
        ("edgeaudio/other/restart/set", b"PRESS", "'edgeaudio/other/restart/set' is no command"),
        ("", b"", "'' is no command"),
    ],
)
def test_refusals_say_why(topic: str, payload: bytes, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(topic, payload)
    assert str(caught.value) == message


LEVELS = st.sampled_from(
    [
        "edgeaudio",
        "dock",
        "porch",
        "yard",
        "threshold",
        "snooze",
        "cooldown",
        "enabled",
        "restart",
        "set",
        "siren",
        "",
        "#",
    ]
)


@given(
    st.lists(LEVELS | st.text(max_size=4), max_size=7).map("/".join) | st.text(),
    st.binary(max_size=40) | st.text().map(str.encode) | st.floats().map(lambda number: str(number).encode()),
)
def test_anything_is_either_a_command_or_one_short_line(topic: str, payload: bytes) -> None:
    try:
        outcome: Command | CommandError = parse(topic, payload)
    except CommandError as error:
        outcome = error
    if isinstance(outcome, CommandError):
        assert len(str(outcome)) < 300
        assert str(outcome).isprintable()
    if isinstance(outcome, SetThreshold):
        assert MIN_THRESHOLD <= outcome.value <= MAX_THRESHOLD
        assert outcome.label in LABELS[outcome.source]
    if isinstance(outcome, SetSnooze):
        assert 0 <= outcome.duration_s <= MAX_SNOOZE_S
    if isinstance(outcome, SetCooldown):
        assert 0 <= outcome.cooldown_s <= MAX_COOLDOWN_S


def test_a_question_that_is_not_utf8_is_refused() -> None:
    """An argument of `edgeaudio test` that is not UTF-8 arrives as lone surrogates."""
    with pytest.raises(CommandError, match=r"^source porch has no label '\?'$"):
        send_test("porch", "\udcff", {"porch": ["dog"]})
    with pytest.raises(CommandError, match=r"^there is no source '\?'$"):
        send_test("\udcff", "dog", {"porch": ["dog"]})
