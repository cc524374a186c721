"""Cards that the kernel has and this process has no device file for, in folders as the kernel makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeaudio.capture import alsa_devices
from edgeaudio.capture.alsa_devices import CardNodes


class Machine:
    """A kernel's list of cards, and the device files of a container."""

    def __init__(self, folder: Path) -> None:
        self._kernel, self._devices = folder / "sound", folder / "snd"
        self._kernel.mkdir()
        self._devices.mkdir()

    def plug(self, number: int, name: str, *, node: bool) -> None:
        (self._kernel / f"card{number}").mkdir()
        (self._kernel / f"card{number}" / "id").write_text(f"{name}\n")
        (self._kernel / f"controlC{number}").touch()
        if node:
            (self._devices / f"controlC{number}").touch()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(alsa_devices, "KERNEL", tmp_path / "sound")
    monkeypatch.setattr(alsa_devices, "DEVICES", tmp_path / "snd")
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("device", "lacks"),
    [
        ("plughw:CARD=Mic,DEV=0", True),
        ("sysdefault:CARD=Mic", True),
        ("hw:Mic", True),
        ("hw:2,0", True),
        ("plughw:CARD=Mi,DEV=0", False),
        ("plughw:CARD=HDMI,DEV=0", False),  # was never given to the container
        ("plughw:CARD=Line,DEV=0", False),  # has its file
        ("default", False),
    ],
)
def test_a_card_that_came_without_its_device_file(device: str, lacks: bool, machine: Machine):
    machine.plug(0, "HDMI", node=False)
    nodes = CardNodes()
    assert not nodes.lacks(device)
    machine.plug(1, "Line", node=True)
    machine.plug(2, "Mic", node=False)
    assert nodes.lacks(device) is lacks
    assert not CardNodes().lacks(device)


def test_a_process_without_any_device_files_waits_for_none(machine: Machine, tmp_path: Path):
    (tmp_path / "snd").rmdir()
    nodes = CardNodes()
    machine._kernel.joinpath("controlC1").touch()
    assert not nodes.lacks("hw:1,0")
