"""Every reason code of the standard has words and a hint of its own, in each packet in which it may come."""

from __future__ import annotations

from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode as PahoReasonCode

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import HINTS, BrokerError
from edgeaudio.sinks.mqtt.reason_codes import reason_code

DOCS = Path(__file__).parents[2] / "docs" / "mqtt.md"
PACKETS = ("CONNACK", "DISCONNECT", "PUBACK", "SUBACK")
SUBACK = {"SUBACK"}
DISCONNECT = {"DISCONNECT"}
CONNACK = {"CONNACK"}
ENDS = {"CONNACK", "DISCONNECT"}
LISTENS = {"SUBACK", "DISCONNECT"}
ALL = {*PACKETS}
# OASIS MQTT 5.0, table 2-6, whole, without the other packets
STANDARD: list[tuple[int, str, set[str]]] = [
    (0x00, "Success", {"CONNACK", "PUBACK"}),
    (0x00, "Normal disconnection", DISCONNECT),
    (0x00, "Granted QoS 0", SUBACK),
    (0x01, "Granted QoS 1", SUBACK),
    (0x02, "Granted QoS 2", SUBACK),
    (0x04, "Disconnect with Will Message", DISCONNECT),
    (0x10, "No matching subscribers", {"PUBACK"}),
    (0x11, "No subscription existed", set()),
    (0x18, "Continue authentication", set()),
    (0x19, "Re-authenticate", set()),
    (0x80, "Unspecified error", ALL),
    (0x81, "Malformed Packet", ENDS),
    (0x82, "Protocol Error", ENDS),
    (0x83, "Implementation specific error", ALL),
    (0x84, "Unsupported Protocol Version", CONNACK),
    (0x85, "Client Identifier not valid", CONNACK),
    (0x86, "Bad User Name or Password", CONNACK),
    (0x87, "Not authorized", ALL),
    (0x88, "Server unavailable", CONNACK),
    (0x89, "Server busy", ENDS),
    (0x8A, "Banned", CONNACK),
    (0x8B, "Server shutting down", DISCONNECT),
    (0x8C, "Bad authentication method", ENDS),
    (0x8D, "Keep Alive timeout", DISCONNECT),
    (0x8E, "Session taken over", DISCONNECT),
    (0x8F, "Topic Filter invalid", LISTENS),
    (0x90, "Topic Name invalid", {"CONNACK", "PUBACK", "DISCONNECT"}),
    (0x91, "Packet Identifier in use", {"PUBACK", "SUBACK"}),
    (0x92, "Packet Identifier not found", set()),
    (0x93, "Receive Maximum exceeded", DISCONNECT),
    (0x94, "Topic Alias invalid", DISCONNECT),
    (0x95, "Packet too large", ENDS),
    (0x96, "Message rate too high", DISCONNECT),
    (0x97, "Quota exceeded", ALL),
    (0x98, "Administrative action", DISCONNECT),
    # table 3-1 has it in CONNACK as well, for the will's payload
    (0x99, "Payload format invalid", {"CONNACK", "PUBACK", "DISCONNECT"}),
    (0x9A, "Retain not supported", ENDS),
    (0x9B, "QoS not supported", ENDS),
    (0x9C, "Use another server", ENDS),
    (0x9D, "Server moved", ENDS),
    (0x9E, "Shared Subscriptions not supported", LISTENS),
    (0x9F, "MqttConnection rate exceeded", ENDS),
    (0xA0, "Maximum connect time", DISCONNECT),
    (0xA1, "Subscription Identifiers not supported", LISTENS),
    (0xA2, "Wildcard Subscriptions not supported", LISTENS),
]
ROWS = [(value, name, packet) for value, name, packets in STANDARD for packet in PACKETS if packet in packets]


@pytest.mark.parametrize(("value", "name", "packet"), ROWS)
def test_a_code_of_the_standard_is_known(value: int, name: str, packet: str) -> None:
    code = reason_code(value, packet)
    assert code.value == value
    assert code.name.lower() == name.lower()
    assert "no such code" not in code.hint
    assert code.hint
    assert "\n" not in code.hint + code.name
    assert not code.hint.endswith(".")


@pytest.mark.parametrize("packet", PACKETS)
def test_no_two_codes_share_words_or_a_hint(packet: str) -> None:
    codes = [reason_code(value, row_packet) for value, _, row_packet in ROWS]
    here = [reason_code(value, packet) for value in range(256)]
    assert len({code.name for code in here}) == 256
    for code in codes:
        assert all(other.value == code.value for other in codes if other.hint == code.hint)


def test_only_the_codes_of_a_login_speak_of_one() -> None:
    speaks = {(code.value, packet) for code, packet in everything() if "password" in code.hint}
    assert speaks == {(0x86, packet) for packet in PACKETS} | {(0x87, "CONNACK")}
    unauthorized = {(c.value, packet) for c, packet in everything() if c.reason is BrokerReason.UNAUTHORIZED}
    assert unauthorized == speaks | {(0x8C, packet) for packet in PACKETS}


def test_a_client_id_is_named_with_its_setting() -> None:
    code = reason_code(0x85, "CONNACK")
    assert code.reason is BrokerReason.CLIENT_ID
    assert "edgeaudio-<device>" in code.hint
    assert "`device`" in code.hint


@pytest.mark.parametrize(
    ("packet", "reason", "word"),
    [
        ("CONNACK", BrokerReason.UNAUTHORIZED, "login"),
        ("DISCONNECT", BrokerReason.NOT_AUTHORIZED_TOPIC, "publish"),
        ("PUBACK", BrokerReason.NOT_AUTHORIZED_TOPIC, "publish"),
        ("SUBACK", BrokerReason.NOT_AUTHORIZED_TOPIC, "subscribe"),
    ],
)
def test_not_authorized_depends_on_what_was_asked_for(packet: str, reason: BrokerReason, word: str) -> None:
    code = reason_code(0x87, packet)
    assert code.reason is reason
    assert word in code.hint


def test_a_refused_subscription_says_what_is_lost() -> None:
    refused = [value for value, _, packet in ROWS if packet == "SUBACK" and value >= 0x80]
    lost = [value for value in refused if "commands" in reason_code(value, "SUBACK").hint]
    assert set(refused) - set(lost) == {0x9E, 0xA1}  # which cannot come, for nothing of the kind is asked for


def test_a_success_asks_for_nothing() -> None:
    for value, _, packet in ROWS:
        if value < 0x80 and packet != "DISCONNECT" and (value, packet) != (0x00, "SUBACK"):
            assert reason_code(value, packet).hint.startswith("nothing to do")


def test_any_other_code_is_named_by_its_number() -> None:
    known = {(value, packet) for value, _, packet in ROWS}
    unknown = [(value, packet) for packet in PACKETS for value in (0x03, 0x05, 0x7F, 0x92, 0xA3, 0xFF)]
    assert not known & set(unknown)
    for value, packet in unknown:
        code = reason_code(value, packet)
        assert code.name == f"reason code 0x{value:02X}"
        assert packet in code.hint
        assert code.reason is BrokerReason.CLOSED


def test_a_known_code_in_the_wrong_packet_keeps_its_words() -> None:
    assert reason_code(0x8E, "CONNACK").reason is BrokerReason.TAKEN_OVER
    assert reason_code(0x86, "DISCONNECT").name == "Bad user name or password"


def test_the_client_library_knows_no_code_that_this_does_not() -> None:
    for value, names in PahoReasonCode.names.items():
        for packet in PACKETS:
            if any(getattr(PacketTypes, packet) in packets for packets in names.values()):
                assert not reason_code(value, packet).name.startswith("reason code")


def test_every_reason_has_a_hint_and_is_in_the_docs() -> None:
    text = DOCS.read_text()
    for reason in BrokerReason:
        assert HINTS[reason]
        assert f"| `{reason.value}` |" in text.partition("## Reasons of the broker")[2]


def test_the_docs_name_each_code_under_its_reason() -> None:
    lines = DOCS.read_text().partition("## Reasons of the broker")[2].partition("\n## ")[0].splitlines()
    told = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    for value, _, packet in ROWS:
        if value >= 0x80:
            assert f"0x{value:02X}" in told[reason_code(value, packet).reason.value]


def test_a_hint_of_its_own_takes_the_place_of_the_general_one() -> None:
    general = BrokerError("mqtt://x", BrokerReason.BUSY, "why")
    own = BrokerError("mqtt://x", BrokerReason.BUSY, "why", "wait")
    assert (general.hint, str(general)) == (HINTS[BrokerReason.BUSY], f"broker mqtt://x: why; {general.hint}")
    assert (own.hint, str(own)) == ("wait", "broker mqtt://x: why; wait")


def everything():
    return [(reason_code(value, packet), packet) for value in range(256) for packet in PACKETS]
