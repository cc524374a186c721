"""A sound card that is plugged in again in a container, where only a restart brings its device file."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from support.agents import RunningAgent
from support.brokers import BrokerProcess
from support.waiting import wait_until

# in the child process alone: folders like the kernel's
_FOLDERS = """
from pathlib import Path
from edgeaudio.agent import lost_cards
from edgeaudio.capture import reader, alsa_devices
lost_cards.UDEV_GRACE_S = 0.5
reader.FIRST_DELAY_S = 0.2
alsa_devices.KERNEL = Path("{folder}/sound")
alsa_devices.DEVICES = Path("{folder}/snd")
"""


def test_the_agent_ends_once_for_a_card_that_has_no_device_file(
    run_agent: Callable[..., RunningAgent], broker: BrokerProcess, tmp_path: Path
):
    card = tmp_path / "sound" / "card1"
    (tmp_path / "snd").mkdir()
    (tmp_path / "sound").mkdir()
    agent = run_agent(broker.start(), '[sources.reef]\nurl = "alsa:plughw:CARD=Mic,DEV=0"\n')
    patch = _FOLDERS.replace("{folder}", str(tmp_path))
    agent.start(patch=patch)
    wait_until(lambda: "source reef" in agent.log, 20, "the card is not missed")
    card.mkdir()
    (card / "id").write_text("Mic\n")
    (tmp_path / "sound" / "controlC1").touch()
    assert agent.wait(20) == 0
    assert "source reef: its sound card is back, and this container has no device file for it" in agent.log
    agent.log_file.unlink()
    agent.start(patch=patch)
    wait_until(lambda: agent.log.count("source reef") and "connected, MQTT" in agent.log, 20, "it is not tried")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "its sound card is back" not in agent.log
