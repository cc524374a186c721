"""The sender against real brokers: everything arrives, in order, whatever happens to the broker."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.brokers import BrokerProcess, Certificates, MosquittoFactory, Subscriber, config_for
from support.certificates import authority, issue, names
from support.delivery import DETECTION, TOPICS, RunningSender, detections
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerReason, BrokerState
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.events import Capabilities
from edgeaudio.types import Message

Run = Callable[..., RunningSender]


def numbers(payloads: list[bytes]) -> list[int]:
    return [int(payload) for payload in payloads]


def without_repeats(values: list[int]) -> list[int]:
    return list(dict.fromkeys(values))


def test_detections_arrive_in_order_and_leave_the_outbox(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running = run_sender(config_for(any_broker))
        running.outbox.add(detections(0, 200))
        subscriber.wait_for(lambda _: len(subscriber.of(DETECTION)) >= 200)
        running.wait_empty()
        assert numbers(subscriber.of(DETECTION)) == list(range(200))


def test_speaks_5_and_falls_back_to_311(
    any_broker: BrokerProcess, run_sender: Run, request: pytest.FixtureRequest
) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    running.wait_connected()
    expected = "5" if "mosquitto" in request.node.callspec.id else "3.1.1"
    assert running.sender.status.protocol == expected
    assert {status.state for status in running.statuses} == {BrokerState.CONNECTED}  # no failure on the way


def test_a_broker_that_is_absent_at_boot(any_broker: BrokerProcess, run_sender: Run) -> None:
    running = run_sender(config_for(any_broker))
    running.outbox.add(detections(0, 3))
    wait_until(lambda: running.sender.status.reason is BrokerReason.REFUSED)
    assert running.sender.status.next_try is not None
    any_broker.start()
    running.wait_empty()


def test_birth_farewell_and_no_will_after_a_farewell(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running = run_sender(config_for(any_broker))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online"])
        running.end()
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online", b"offline"])
    with Subscriber(any_broker.port) as later:
        later.wait_for(lambda _: later.of(TOPICS.availability)[-1:] == [b"offline"])
        assert later.heard[0].retain


SENDER_PROGRAM = """
import sys, threading
from pathlib import Path
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
config = MqttConfig("127.0.0.1", int(sys.argv[1]), "edgeaudio-dock")
Sender(config, Outbox(Path(sys.argv[2])), Topics("edgeaudio", "dock"), stop=threading.Event()).run()
"""


def test_the_will_is_sent_when_the_process_is_killed(any_broker: BrokerProcess, tmp_path: Path) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        command = [sys.executable, "-c", SENDER_PROGRAM, str(any_broker.port), str(tmp_path / "outbox.db")]
        process = subprocess.Popen(command)
        try:
            subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online"])
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(5)
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online", b"offline"])


def test_a_broker_killed_in_the_middle_of_the_drain(any_broker: BrokerProcess, tmp_path: Path) -> None:
    """And begun again with an empty session: what it had not acknowledged comes again, in order, under the same id."""
    total = 400
    received: list[bytes] = []
    any_broker.start()
    with (
        Subscriber(any_broker.port) as first,
        RunningSender(config_for(any_broker, rate_per_s=400.0), tmp_path) as running,
    ):
        running.outbox.add(detections(0, total))
        first.wait_for(lambda _: len(first.of(DETECTION)) > 50)
        any_broker.kill()
        # the new broker gets its subscriber before the sender finds it
        running.end()
        running.outbox.close()
        received += first.of(DETECTION)
    left = total - len(set(received))
    any_broker.start()
    with Subscriber(any_broker.port) as second, RunningSender(config_for(any_broker), tmp_path) as running:
        assert 0 < running.outbox.stats().depth <= left + 20
        running.wait_empty()
        second.wait_for(lambda _: second.of(DETECTION)[-1:] == [b"%d" % (total - 1)])
        received += second.of(DETECTION)
    got = numbers(received)
    assert without_repeats(got) == sorted(set(got))
    # what the killed broker had acknowledged and not yet passed on died with it, and only that
    assert len(set(range(total)) - set(got)) <= 20


def test_a_frozen_broker_is_given_up_and_found_again(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker, timeout_s=0.6))
    running.wait_told()
    broker.freeze()
    running.outbox.add(detections(0, 1))
    wait_until(lambda: running.sender.status.reason is BrokerReason.TIMEOUT)
    broker.thaw()
    running.wait_empty()


def test_a_line_that_is_dead_is_noticed_though_nothing_is_sent(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker, keepalive_s=1))
    running.wait_told()
    broker.freeze()
    wait_until(lambda: running.sender.status.reason is BrokerReason.TIMEOUT)
    assert running.sender.status.detail == "the broker no longer answers"
    assert time.monotonic() - running.sender.last_progress < 8  # it goes round, whatever the broker does
    broker.thaw()
    running.wait_connected()


def test_stopping_takes_about_a_second_at_most_though_the_broker_is_dead(
    broker: BrokerProcess, run_sender: Run
) -> None:
    broker.start()
    running = run_sender(config_for(broker))
    running.wait_told()
    broker.freeze()
    running.outbox.add(detections(0, 5))
    wait_until(lambda: running.sender._dispatcher.in_flight)
    began = time.monotonic()
    running.end()
    assert time.monotonic() - began < 1.9
    assert running.sender.status.state is BrokerState.STOPPED
    assert running.outbox.stats().depth == 5  # for the next start


def test_a_message_longer_than_the_broker_takes_holds_up_no_other(
    mosquitto: MosquittoFactory, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto("max_packet_size 400").start()
    running = run_sender(config_for(broker))
    running.sender.put(Message(TOPICS.health, b"x" * 1000, 1, retain=True))
    running.outbox.add([Message(DETECTION, b"x" * 1000, 1), *detections(0, 5)])
    wait_until(lambda: running.outbox.stats().depth == 1)
    wait_until(lambda: running.sender.status.quarantined == ((DETECTION, 1),))
    length = len(DETECTION) + 1000
    assert f"{DETECTION} quarantined: {length} bytes, where the broker takes packets of 400" in caplog.text
    wait_until(lambda: f"{TOPICS.health} not sent: " in caplog.text, what="nothing was said of the health")
    assert {status.state for status in running.statuses} == {BrokerState.CONNECTED}  # the broker was not annoyed


def test_what_comes_first_is_all_sent_in_order(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    with Subscriber(any_broker.port, "a/#") as subscriber:
        running.sender.put_first([Message("a/b", payload, 1) for payload in (b"1", b"2", b"3")])
        running.sender.put(Message("a/c", b"4", 1))
        subscriber.wait_for(lambda _: len(subscriber.heard) == 4)
        assert [message.payload for message in subscriber.heard] == [b"1", b"2", b"3", b"4"]


def test_forgotten_state_is_not_sent_again(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=True))
    running.wait_told()
    running.sender.forget(TOPICS.label("porch", "dog"))
    with Subscriber(broker.port) as subscriber:
        running.sender.put(messages.label_state(TOPICS, "porch", "cat", on=True))
        running.sender.resend()
        subscriber.wait_for(lambda _: len(subscriber.of(TOPICS.availability)) == 2)
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "cat")))
        assert not subscriber.of(TOPICS.label("porch", "dog"))


def test_the_window_is_never_exceeded(mosquitto: MosquittoFactory, run_sender: Run) -> None:
    broker = mosquitto("max_inflight_messages 7").start()
    running = run_sender(config_for(broker, timeout_s=30.0))
    running.wait_told()
    broker.freeze()
    running.outbox.add(detections(0, 100))
    wait_until(lambda: running.sender._dispatcher.in_flight == 7)  # what the broker announced, less than our own 20
    time.sleep(0.3)  # and that was all
    assert running.sender._dispatcher.in_flight == 7
    broker.thaw()
    running.wait_empty()


def test_the_drain_keeps_its_pace(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker, rate_per_s=100.0))
    running.wait_connected()
    began = time.monotonic()
    running.outbox.add(detections(0, 120))
    running.wait_empty()
    assert 0.9 < time.monotonic() - began < 3  # 20 at once, 100 at 100 a second


def test_state_is_told_to_a_new_broker_the_newest_only_and_no_old_levels(
    any_broker: BrokerProcess, run_sender: Run
) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    running.sender.put(messages.enabled(TOPICS, "porch", on=True))
    running.wait_connected()
    any_broker.kill()
    wait_until(lambda: running.sender.status.state is BrokerState.WAITING)
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=True))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=False))
    running.sender.put_transient(Message(TOPICS.level("porch"), b"old"))
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running.wait_connected()
        running.sender.resend()  # should the sender have been quicker than the subscriber
        running.sender.put_transient(Message(TOPICS.level("porch"), b"new"))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.level("porch")))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")))
        assert set(subscriber.of(TOPICS.label("porch", "dog"))) == {b"OFF"}
        assert subscriber.of(TOPICS.level("porch")) == [b"new"]
        assert set(subscriber.of(TOPICS.enabled("porch"))) == {b"ON"}


def test_a_cleared_topic_is_gone_from_the_broker(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    running.sender.put(messages.enabled(TOPICS, "porch", on=True))
    with Subscriber(any_broker.port) as subscriber:
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")) == [b"ON"])
        running.sender.put(messages.cleared(TOPICS.enabled("porch")))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")) == [b"ON", b""])
    wait_until(lambda: TOPICS.enabled("porch") not in running.sender._state_cache._messages)
    with Subscriber(any_broker.port, TOPICS.enabled("porch"), TOPICS.availability) as later:
        later.wait_for(lambda heard: heard)
        assert not later.of(TOPICS.enabled("porch"))


def test_commands_are_handed_on_and_retained_ones_are_not(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as other:
        other.publish(TOPICS.enabled_set("porch"), "OFF", retain=True)
        running = run_sender(config_for(any_broker), listen_to=["homeassistant/status"])
        running.wait_connected()
        other.wait_for(lambda _: other.of(TOPICS.availability) == [b"online"])
        other.publish(TOPICS.enabled_set("porch"), b"x" * 5000)
        other.publish(TOPICS.threshold_set("porch", "dog"), "0.7")
        other.publish("homeassistant/status", "online")
        other.publish(TOPICS.restart_set, "PRESS")
        wait_until(lambda: len(running.commands) >= 3)
    assert running.commands == [
        (TOPICS.threshold_set("porch", "dog"), b"0.7"),
        ("homeassistant/status", b"online"),
        (TOPICS.restart_set, b"PRESS"),
    ]


def test_a_refused_login_is_told_and_tried_again(
    mosquitto: MosquittoFactory, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto(users={"porch": "right"}).start()
    running = run_sender(config_for(broker, username="porch", password="wr0ng-secret"))
    running.outbox.add(detections(0, 1))
    wait_until(lambda: running.sender.status.reason is BrokerReason.UNAUTHORIZED)
    wait_until(lambda: running.sender._report.failures >= 3)
    assert running.outbox.stats().depth == 1
    told = [record for record in caplog.records if "refused the connection" in record.getMessage()]
    assert len(told) == 1  # a burst is one line
    assert "wr0ng-secret" not in caplog.text + repr(running.statuses)


ACL = "user edge\ntopic readwrite edgeaudio/dock/#\n"
ACL_WITHOUT_PORCH = """user edge
topic deny edgeaudio/dock/porch/detection
topic readwrite edgeaudio/dock/#

user owner
topic readwrite #
"""


def test_a_topic_refused_by_access_rules_waits_without_holding_up_the_others(
    mosquitto: MosquittoFactory, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    users = {"edge": "e", "owner": "o"}
    broker = mosquitto(users=users, acl=ACL_WITHOUT_PORCH).start()
    running = run_sender(config_for(broker, username="edge", password="e"))
    yard = TOPICS.detection("yard")
    running.outbox.add([m for n in range(30) for m in (*detections(n, 1), *detections(n, 1, yard))])
    with Subscriber(broker.port, username="owner", password="o") as subscriber:
        wait_until(lambda: running.outbox.stats().depth == 30)
        wait_until(lambda: running.sender.status.refused_topics == (DETECTION,))
        assert running.sender.status.reason is BrokerReason.NOT_AUTHORIZED_TOPIC
        assert running.sender.status.detail == (
            f"{DETECTION} refused: Not authorized; what is refused is kept and tried again"
        )
        assert running.sender.status.state is BrokerState.CONNECTED
        acl = next(broker._log.parent.glob("acl"))
        acl.write_text(ACL + "\nuser owner\ntopic readwrite #\n")
        broker.reload()
        running.wait_empty()
        wait_until(lambda: running.sender.status.reason is None)
        subscriber.wait_for(lambda _: len(subscriber.of(DETECTION)) == 30)
        assert numbers(subscriber.of(DETECTION)) == list(range(30))
        assert numbers(subscriber.of(yard))[-1] == 29
    assert len([record for record in caplog.records if f"{DETECTION} refused" in record.getMessage()]) == 1


def test_over_311_a_message_denied_by_access_rules_is_acknowledged_and_lost(
    mosquitto: MosquittoFactory, tmp_path: Path
) -> None:
    """What MQTT 3.1.1 does, and why 5 is tried first: nobody can tell such a loss from a success."""
    broker = mosquitto(users={"edge": "e"}, acl=ACL_WITHOUT_PORCH).start()
    running = RunningSender(config_for(broker, username="edge", password="e"), tmp_path)
    running.sender._known.learn(Capabilities(protocol="3.1.1"), time.monotonic())
    with running:
        running.outbox.add(detections(0, 1))
        running.wait_empty()
        assert running.sender.status.protocol == "3.1.1"
        assert running.sender.status.refused_topics == ()


def test_an_expiry_is_handed_on_to_the_broker(mosquitto: MosquittoFactory, run_sender: Run) -> None:
    broker = mosquitto().start()  # MQTT 3.1.1 knows no expiry
    running = run_sender(config_for(broker), expiry_s=3600.0)
    running.outbox.add(detections(0, 1))
    running.wait_empty()
    assert "error" not in broker.log().lower()


def test_home_assistants_birth_brings_back_what_is_not_retained(
    broker: BrokerProcess, run_sender: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._RESEND_AFTER_S", (0.2,))
    broker.start()
    running = run_sender(config_for(broker))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=True))
    running.sender.put(messages.enabled(TOPICS, "porch", on=True))
    running.wait_told()
    with Subscriber(broker.port) as subscriber:  # as Home Assistant, which was not there when the states were sent
        assert not subscriber.of(TOPICS.label("porch", "dog"))
        running.sender.resend()
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")) == [b"ON", b"ON"])
        # retained state: once on subscribing, once again
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")) == [b"ON", b"ON"])


def test_what_is_not_retained_is_said_again_to_those_who_come_back_later_than_we_do(
    broker: BrokerProcess, run_sender: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._RESEND_AFTER_S", (0.5, 1.0))
    broker.start()
    running = run_sender(config_for(broker))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=False))
    running.wait_told()
    with Subscriber(broker.port) as subscriber:
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")) == [b"OFF", b"OFF"])
        running.sender.schedule_resend_unretained()
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")) == [b"OFF"] * 4)


def test_a_clock_that_is_behind_is_waited_for_a_few_seconds_at_a_time(
    mosquitto: MosquittoFactory, run_sender: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.tls_errors.why_behind", lambda: "was not synchronised since its start")
    ca = authority()
    soon = issue("server", ca, extensions=[names("localhost")], first_day=timedelta(seconds=2)).write(
        tmp_path, "server"
    )
    files = Certificates(ca.write(tmp_path, "ca")[0], *soon, *soon)
    broker = mosquitto(tls=files).start()
    config = config_for(broker, host="localhost", tls=True, ca_file=files.ca, retry_min_s=60.0, retry_max_s=600.0)
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._CLOCK_S", 0.2)
    running = run_sender(config)
    wait_until(lambda: running.sender.status.reason is BrokerReason.CLOCK)
    running.wait_connected()
