"""A fleet is upgraded device by device: two versions share a broker, and a device goes from one to the other and back.

There is no later version yet. The one here is this one with what a later version may do: payloads of the next schema,
with keys that are gone, renamed and new; topics that this one does not know; tables and columns added to the outbox.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.rtsp import push_rtsp
from support.waiting import wait_until

from edgeaudio.schema_versions import PAYLOAD_VERSION
from edgeaudio.version import __version__

OTHER = "otherbox"
OF_OTHER = {
    f"edgeaudio/{OTHER}/availability",
    f"edgeaudio/{OTHER}/health",
    f"edgeaudio/{OTHER}/porch/status",
    f"homeassistant/device/edgeaudio-{OTHER}/agent/config",
    f"homeassistant/device/edgeaudio-{OTHER}/source_porch/config",
}
END = "test/end"
LATER = """
from edgeaudio import version
version.__version__ = "9.0.0"
from edgeaudio.outbox import database
from edgeaudio.sinks.mqtt import health_payload, messages
from edgeaudio.types import Message

database._SCHEMA += (
    "CREATE TABLE clips (id TEXT PRIMARY KEY)",
    "ALTER TABLE messages ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
)
messages.SCHEMA = {"schema_version": 2}
written = messages.encode

def encode(value):
    if isinstance(value, dict) and value.get("schema_version") == 2:
        value = {"confidence" if key == "score" else key: item for key, item in value.items() if key != "host"}
        value["clip"] = {"path": ["added", 1, None]}
    return written(value)

messages.encode = encode
status = messages.status
messages.status = lambda topics, value, **more: Message(
    status(topics, value, **more).topic, written({"schema_version": 2, "state": {"name": value.state.value}}), 1, True
)
"""


def pushed(port: int) -> str:
    return f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n'


def test_a_fleet_of_two_versions_shares_a_broker(
    broker: BrokerProcess, run_agent: Callable[..., RunningAgent], model: Path, tmp_path: Path
) -> None:
    broker.start()
    ports = [free_port(), free_port()]
    (tmp_path / OTHER).mkdir()
    other = RunningAgent(tmp_path / OTHER, broker.port, pushed(ports[1]), device=OTHER)
    other.config.write_text(other.config.read_text().replace(str(tmp_path / OTHER / "test"), str(model)))
    ours = run_agent(broker, pushed(ports[0]))
    try:
        with (
            Listener(broker.port, f"edgeaudio/{DEVICE}/#") as here,
            Listener(broker.port, f"edgeaudio/{OTHER}/#") as there,
        ):
            ours.start()
            other.start(patch=LATER)
            with push_rtsp(f"rtsp://127.0.0.1:{ports[1]}/x"):
                with push_rtsp(f"rtsp://127.0.0.1:{ports[0]}/x"):
                    here.wait_detection("onset")
                    later = there.wait_detection("onset")
                assert (later["schema_version"], "confidence" in later) == (2, True)
                wait_until(lambda: versions(here) == {(__version__, PAYLOAD_VERSION)}, 20, "no health of ours")
                wait_until(lambda: versions(there) == {("9.0.0", 2)}, 20, "no health of the other")

                # a restart of ours, which looks for what an earlier process has left on the broker, leaves the other's
                wait_until(lambda: retained(broker) >= OF_OTHER, what="the other has not announced itself")
                ours.signal(signal.SIGTERM)
                assert ours.wait() == 0
                ours.start()
                here.forget()
                here.wait_state("porch", "connecting")
                assert retained(broker) >= OF_OTHER

                # the other is rolled back while a sound lasts
                other.kill()
            there.forget()
            other.start()
            offset = there.wait_detection("offset")
            assert (offset["id"], offset["schema_version"]) == (later["id"], PAYLOAD_VERSION)
            assert offset["seq_epoch"] == later["seq_epoch"]  # its outbox was gone on with
            wait_until(lambda: (__version__, PAYLOAD_VERSION) in versions(there), 20, "no health after the rollback")
            assert {health["broker"]["reason"] for health in there.payloads("/health") if "host" in health} == {None}

            # and upgraded again, with a sound that the earlier version heard
            with push_rtsp(f"rtsp://127.0.0.1:{ports[1]}/x"):
                onset = there.wait_detection("onset")
                other.kill()
            there.forget()
            other.start(patch=LATER)
            offset = there.wait_detection("offset")
            assert (offset["id"], offset["schema_version"]) == (onset["id"], 2)
            assert not list((tmp_path / OTHER / "state").glob("*damaged*"))
    finally:
        other.kill()
    assert "Traceback" not in other.log, other.log


def versions(listener: Listener) -> set[tuple[str, int]]:
    return {(health["version"], health["schema_version"]) for health in listener.payloads("/health")}


def retained(broker: BrokerProcess) -> set[str]:
    """The topics of which the broker keeps a message."""
    with Listener(broker.port, "#") as listener:
        listener.publish(END, "")  # comes behind what is retained
        wait_until(lambda: listener.of(END), what="the broker sends nothing")
        return {message.topic for message in list(listener.heard) if message.retain}
