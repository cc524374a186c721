"""Films on their way to servers: real ones that take them, and those that are gone, mute, slow, or refuse them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.film_clicks import feed_step, planes_of, seen_in
from support.film_servers import ffmpeg_listener, gst_record_server, nginx_rtmp_server
from support.ports import free_port
from support.processes import children_of, command_line_of
from support.serving import serving
from support.waiting import wait_until
from support.web import make_certificate, tls_front

from edgeaudio.film.output import FilmError, FilmFormat, open_output
from edgeaudio.film.push_output import Limits, PushOutput
from edgeaudio.film.targets import push_target
from edgeaudio.media.film_encoder import VIDEO_ENCODERS
from edgeaudio.media.film_form import PictureForm, SoundForm

FORM = FilmFormat(160, 96, 15, 16_000, 1)
QUICK = Limits(connect_s=1.0, stalled_s=1.0, first_retry_s=0.1, last_retry_s=0.3, end_s=1.0)
START_S = 0.1  # of a connection, which may begin within a click
TESTS = Path(__file__).parents[1]


def pushed(url: str, limits: Limits | None = None, encoders: tuple[str, ...] = VIDEO_ENCODERS) -> PushOutput:
    target = push_target(url, None)
    assert target is not None
    return PushOutput(
        target,
        FORM,
        SoundForm.of("aac", FORM, live=True),
        PictureForm(None, 4_000_000),
        encoders=encoders,
        limits=limits,
    )


class Player:
    """Gives an output a film as it would be live, and knows how long a call took at most."""

    def __init__(self, output: PushOutput) -> None:
        self.output = output
        self.number = 0
        self.longest_s = 0.0
        self._began_s = time.monotonic()

    def step(self) -> None:
        begin_s = time.monotonic()
        feed_step(self.output, FORM, self.number)
        self.longest_s = max(self.longest_s, time.monotonic() - begin_s)
        self.number += 1
        time.sleep(max(0.0, self._began_s + self.number / FORM.frame_rate - time.monotonic()))

    def until(self, condition: Callable[[], object], timeout_s: float = 15.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, self.output.counts
            self.step()

    def seconds(self, seconds: float) -> None:
        end = self.number + round(seconds * FORM.frame_rate)
        self.until(lambda: self.number >= end)


@contextlib.contextmanager
def playing(output: PushOutput) -> Iterator[Player]:
    try:
        yield Player(output)
    finally:
        output.close()


def test_nginx_gets_a_film_whose_sound_fits_before_and_after_an_outage(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    port = free_port()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        server = first.enter_context(nginx_rtmp_server(tmp_path, port=port))
        player = stack.enter_context(playing(pushed(server.url, QUICK)))
        player.until(lambda: player.output.is_open)
        player.seconds(1.7)
        before = seen_in(server.film)
        first.close()
        player.until(lambda: not player.output.is_open)
        stack.enter_context(nginx_rtmp_server(tmp_path, port=port))
        player.until(lambda: player.output.is_open)
        player.seconds(1.7)
        player.output.close()
        wait_until(lambda: seen_in(server.film).sound_s > 1.3)
        after = seen_in(server.film)
    for seen in (before, after):
        assert max(map(abs, seen.apart_s(skip_s=START_S))) < 0.04
    assert player.output.counts.connections == 2
    assert player.output.counts.unsent > 0
    assert player.longest_s < 1.0
    assert "the film is sent again, after" in caplog.text


def test_gstreamer_gets_a_film_by_rtsp_whose_sound_fits_with_a_login_that_shows_nowhere(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with gst_record_server(tmp_path / "film.mkv", login=("user", "hunter2")) as server:
        url = server.url.replace("rtsp://", "rtsp://user:hunter2@")
        with playing(pushed(url, QUICK)) as player:
            player.until(lambda: player.output.is_open)
            assert player.output.pid is not None
            shown = command_line_of(player.output.pid)
            environment = Path(f"/proc/{player.output.pid}/environ").read_text()
            player.seconds(2.5)
        wait_until(lambda: seen_in(server.film).sound_s > 1.5)
    assert max(map(abs, seen_in(server.film).apart_s(skip_s=START_S))) < 0.04
    assert "film_pusher" in shown
    assert "hunter2" not in shown + environment + caplog.text + repr(player.output._target)


def test_ffmpeg_that_listens_gets_mpeg4_where_there_is_no_x264(tmp_path):
    with ffmpeg_listener(tmp_path / "film.mkv", "rtsp") as server:
        with playing(pushed(server.url, QUICK, encoders=("no-x264", "mpeg4"))) as player:
            player.until(lambda: player.output.is_open)
            player.seconds(1.7)
        server.process.wait(10)
    assert max(map(abs, seen_in(server.film).apart_s(skip_s=START_S))) < 0.04


def test_a_film_that_can_wait_begins_with_its_connection_and_loses_nothing(tmp_path):
    samples = np.zeros((16_000, 1), np.float32)
    samples[800:864] = samples[8000:8064] = 0.8  # at 0.05 s, before the first picture is handed in, and at 0.5 s
    with nginx_rtmp_server(tmp_path) as server:
        output = open_output(server.url, FORM, wait=threading.Event())
        assert isinstance(output, PushOutput)
        assert output.is_open
        for number in range(15):
            begin, end = (16_000 * at // 15 for at in (number, number + 1))
            output.sound(begin, samples[begin:end])
            output.picture(number, planes_of(FORM, bright=False))
            time.sleep(1 / 15)
        output.close()
        wait_until(lambda: seen_in(server.film).sound_s > 0.9)
        seen = seen_in(server.film)
    assert (output.counts.unsent, seen.pictures, seen.begin_s) == (0, 15, 0.0)
    assert seen.clicks == pytest.approx([0.05, 0.5], abs=0.005)


def test_a_film_that_can_wait_does_not_wait_for_a_server_that_is_not_there_or_a_user_who_is_gone():
    begin_s = time.monotonic()
    output = open_output(f"rtmp://127.0.0.1:{free_port()}/live/film", FORM, wait=threading.Event())
    output.close()
    stopped = threading.Event()
    stopped.set()
    with serving(hold) as port:
        open_output(f"rtmp://127.0.0.1:{port}/live/film", FORM, wait=stopped).close()
    assert time.monotonic() - begin_s < 10


def test_rtmp_needs_h264():
    with pytest.raises(
        FilmError, match=r"rtmp://host/live/film: this build of FFmpeg .* cannot encode the film's picture"
    ):
        pushed("rtmp://host/live/film", encoders=("no-x264",))


def refused(url: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    with playing(pushed(url, QUICK)) as player:
        player.until(lambda: words in caplog.text)
        assert player.output.counts.connections == 0
    assert "hunter2" not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_server_that_is_not_there_is_tried_again_and_again(caplog):
    url = f"rtmp://name:hunter2@127.0.0.1:{free_port()}/live/film"
    with playing(pushed(url, QUICK)) as player:
        first = player.output.pid
        player.until(lambda: "nothing listens on that port" in caplog.text)
        player.until(lambda: player.output.pid not in {None, first})
        assert player.longest_s < 1.0
    # a fault that lasts is said once
    assert caplog.text.count("nothing listens") == 1
    assert "rtmp://name:***@127.0.0.1" in caplog.text


def test_a_host_that_has_no_address_is_said(caplog):
    refused("rtsp://name:hunter2@nowhere.invalid/film", "the host name is not known", caplog)


@pytest.mark.parametrize(
    ("login", "path", "words"),
    [("user:hunter2", "none", "the server has no such path"), ("user:wrong", "film", "the server refuses the login")],
)
def test_what_an_rtsp_server_refuses_is_said(tmp_path, caplog, login, path, words):
    with gst_record_server(tmp_path / "film.mkv", login=("user", "hunter2")) as server:
        url = server.url.replace("rtsp://", f"rtsp://{login}@").replace("/film", f"/{path}")
        refused(url, words, caplog)


def test_rtsps_takes_a_server_whose_certificate_is_trusted_and_no_other(tmp_path, caplog, monkeypatch):
    certificate = make_certificate(tmp_path)
    with gst_record_server(tmp_path / "film.mkv") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with tls_front(port, certificate.server_context()) as front:
            url = f"rtsps://localhost:{front}/film"
            refused(url, "the server's certificate is not trusted", caplog)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
            with playing(pushed(url, QUICK)) as player:
                player.until(lambda: player.output.is_open)


def hold(connection: socket.socket, ended: threading.Event) -> None:
    with connection:
        ended.wait()


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp"])
def test_a_server_that_never_answers_is_left_and_holds_up_nothing(scheme, caplog):
    with serving(hold) as port:
        url = f"{scheme}://127.0.0.1:{port}/live/film"
        with playing(pushed(url, QUICK)) as player:
            first = player.output.pid
            player.until(lambda: "did not take the stream within 1 s" in caplog.text)
            assert player.longest_s < 0.5
        assert first is not None
        assert not Path(f"/proc/{first}").exists()


def test_a_server_that_stalls_has_what_waits_dropped_is_left_and_gets_the_film_again(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    limits = Limits(stalled_s=0.5, queue_s=0.3, first_retry_s=0.1, last_retry_s=0.3, end_s=1.0)
    with nginx_rtmp_server(tmp_path) as server, playing(pushed(server.url, limits)) as player:
        player.until(lambda: player.output.is_open)
        # what the pusher has no room for stays here, as with a server that takes nothing
        process = player.output.pid
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        player.until(lambda: "the server took nothing for 0.5 s" in caplog.text)
        player.until(lambda: player.output.counts.connections == 2)
        assert player.longest_s < 0.5
    assert not Path(f"/proc/{process}").exists()


def test_a_line_that_is_too_slow_has_the_oldest_dropped_and_said(tmp_path, caplog):
    limits = Limits(stalled_s=60.0, queue_bytes=50_000)
    with nginx_rtmp_server(tmp_path) as server, playing(pushed(server.url, limits)) as player:
        player.until(lambda: player.output.is_open)
        assert player.output.pid is not None
        os.kill(player.output.pid, signal.SIGSTOP)
        output = player.output
        for _ in range(3000):  # as fast as it goes: the pipe is full before the pusher is missed
            feed_step(output, FORM, player.number)
            player.number += 1
            if output.counts.dropped:
                break
        dropped = output.counts.dropped
        assert dropped > 0
        for _ in range(5):  # what comes next waits again, though one packet is half in the pipe
            feed_step(output, FORM, player.number)
            player.number += 1
        assert output.counts.dropped == dropped
        os.kill(player.output.pid, signal.SIGCONT)
        assert "pictures and their sound were dropped" in caplog.text


@pytest.mark.parametrize("scheme", ["rtsp"])
def test_when_the_program_is_killed_its_pusher_goes_too(scheme):
    script = (
        "import sys, time\n"
        "from edgeaudio.film.output import FilmFormat, open_output\n"
        "output = open_output(sys.argv[1], FilmFormat(160, 96, 15, 16_000, 1))\n"
        "print(output.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with serving(hold) as port:
        command = [sys.executable, "-c", script, f"{scheme}://127.0.0.1:{port}/film"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
        )
        try:
            assert process.stdout is not None
            pid = int(process.stdout.readline())
            wait_until(lambda: _connected(pid))
        finally:
            process.kill()
            process.communicate()
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_dead(pid))
        assert not children_of(pid)


def _connected(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return any(os.readlink(entry).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())  # noqa: PTH115
    return False


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_open_output_pushes(tmp_path):
    output = open_output(f"rtmp://127.0.0.1:{free_port()}/live/film", FORM)
    assert isinstance(output, PushOutput)
    output.close()
    assert output.pid is None
