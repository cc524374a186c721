"""Every state and every reason, each of a real source, published by one agent to a real broker.

What is not here needs an outage in time (stalled, end of a connection: tests/chaos), a network of its own
(unreachable: tests/chaos) or a sound card that fails (device_gone: tests/capture/test_alsa.py).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.camera import RATE, Script, camera, packets_of, sine_packets
from support.media import sine, write_media
from support.ports import free_port
from support.waiting import wait_until
from support.web import make_certificate, tls_front

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]
Expected = dict[str, tuple[str, str]]  # source, in TOML -> state and reason

SECOND = np.arange(RATE) / RATE
SOUNDS = {
    ("silent", "digital_silence"): 0 * SECOND,
    # of 16 bits, one step now and then
    ("silent", "low_level"): 0.00004 * np.sin(2 * np.pi * 1000 * SECOND),
    ("clipping", "full_scale"): np.sign(np.sin(2 * np.pi * 440 * SECOND)),
    ("hum", "mains_hum"): 0.3 * np.sin(2 * np.pi * 50 * SECOND),
}


@contextlib.contextmanager
def sounds() -> Iterator[Expected]:
    """Cameras that are connected and send unusable sound."""
    with contextlib.ExitStack() as stack:
        expected: Expected = {}
        for what, wave in SOUNDS.items():
            url = stack.enter_context(camera(Script(packets=functools.partial(packets_of, wave))))
            expected[f'url = "{url}"'] = what
        yield expected


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Expected]:
    """Servers that refuse, in every way."""
    with contextlib.ExitStack() as stack:
        locked = stack.enter_context(camera(Script(refuse="401 Unauthorized")))
        gone = stack.enter_context(camera(Script(refuse="404 Not Found")))
        pictures = stack.enter_context(camera(Script(audio=False, video=True)))
        future = stack.enter_context(camera(Script(codec="FUTURE")))
        mute = stack.enter_context(camera(Script(hang_at="DESCRIBE")))
        dies = stack.enter_context(camera(Script(packets=lambda: sine_packets(60), linger=True)))
        front = stack.enter_context(tls_front(port_of(dies), make_certificate(folder).server_context()))
        taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        yield {
            f'url = "{locked}"\nusername = "user"\npassword = "wrong"': ("waiting", "unauthorized"),
            f'url = "{gone}"': ("waiting", "not_found"),
            f'url = "{pictures}"': ("waiting", "no_audio_track"),
            f'url = "{future}"': ("waiting", "unsupported_codec"),
            f'url = "{mute}"': ("waiting", "timeout"),
            f'url = "{dies}"': ("stalled", "timeout"),
            f'url = "rtsps://localhost:{front}/x"': ("waiting", "tls_untrusted"),
            f'url = "rtsp+listen://127.0.0.1:{taken.getsockname()[1]}/x"': ("waiting", "device_busy"),
        }


def others(folder: Path) -> Expected:
    """Sources without a server."""
    write_media(folder / "short.wav", "pcm_s16le", sine(1000, 8000, 0.5), 8000)
    (folder / "garbage.wav").write_bytes(b"no recording" * 100)
    later = [f"{datetime.now().astimezone() + timedelta(hours=hours):%H:00}" for hours in (2, 3)]
    nobody = f"rtsp://127.0.0.1:{free_port()}/x"
    return {
        f'url = "{nobody}"': ("waiting", "refused"),
        'url = "rtsp://nohost.invalid/x"': ("waiting", "name_not_found"),
        f'url = "{folder / "garbage.wav"}"': ("waiting", "invalid_data"),
        f'url = "{folder / "short.wav"}"': ("ended", "end_of_stream"),
        f'url = "{nobody}off"\nenabled = false': ("off", "switched_off"),
        f'url = "{nobody}night"\nschedule = ["{later[0]}-{later[1]}"]': ("off", "outside_schedule"),
    }


def port_of(url: str) -> int:
    found = re.search(r":(\d+)/", url)
    assert found
    return int(found[1])


@pytest.mark.usefixtures("model")
def test_every_state_and_reason_is_published(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    with sounds() as connected, servers(tmp_path) as refusing:
        expected = {**connected, **refusing, **others(tmp_path)}
        numbered = list(zip(itertools.count(), expected.items(), strict=False))
        run_agent(broker, "".join(f"[sources.source-{n}]\n{source}\n" for n, (source, _) in numbered)).start()
        told = {n: listener.wait_state(f"source-{n}", *what, timeout_s=40) for n, (_, what) in numbered}
        for n, (_, what) in numbered:
            wait_until(lambda: what in told_in_health(listener, f"source-{n}"), 40, f"health does not say {what}")  # noqa: B023
    for n, (source, (state, _)) in numbered:
        status = told[n]
        assert datetime.fromisoformat(status["since"]).tzinfo is not None
        assert "\n" not in status["detail"]
        assert state == "off" or status["detail"], source
        assert (status["next_try"] is not None) == (state in {"waiting", "stalled"}), source
    assert "connecting" in [status["state"] for status in listener.payloads("/status")]


def told_in_health(listener: Listener, source: str) -> set[tuple[str, str]]:
    numbers = [report["sources"][source] for report in listener.payloads("/health")]
    return {(each["state"], each["reason"]) for each in numbers}
