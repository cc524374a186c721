"""Servers that films are pushed to: GStreamer's (RTSP, RECORD), nginx with its RTMP module, FFmpeg as it listens."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port
from support.programs import RTMP_MODULE, SYSTEM_PYTHON, require_gstreamer, require_program, require_rtmp_module
from support.rtsp import running
from support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class FilmServer:
    """A running server; kill or stop `process` to see what happens."""

    url: str
    process: subprocess.Popen[str]
    film: Path  # what it received; of nginx, of the last connection


@contextlib.contextmanager
def gst_record_server(file: Path, *, port: int = 0, login: tuple[str, str] | None = None) -> Iterator[FilmServer]:
    """GStreamer's RTSP server; skips the test where it is not installed."""
    require_gstreamer()
    script = Path(__file__).parent / "gst_record.py"
    command = [SYSTEM_PYTHON, "-W", "ignore", str(script), str(file), str(port), *(login or ())]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the RTSP server did not start"
        yield FilmServer(url, process, file)


@contextlib.contextmanager
def nginx_rtmp_server(folder: Path, *, port: int | None = None) -> Iterator[FilmServer]:
    """nginx, which records what comes; skips the test where its RTMP module is not installed."""
    require_rtmp_module()
    port = port or free_port()
    config = folder / "nginx-rtmp.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"load_module {RTMP_MODULE};\n{user}daemon off; master_process off; pid {folder}/nginx.pid;\n"
        f"error_log {folder}/nginx-rtmp.log warn;\nevents {{}}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; record all; record_path {folder}; "
        "record_suffix .flv; } } }\n"
    )
    with running(
        [require_program("nginx"), "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, (folder / "nginx-rtmp.log").read_text()
        yield FilmServer(f"rtmp://127.0.0.1:{port}/live/film", process, folder / "film.flv")


@contextlib.contextmanager
def ffmpeg_listener(file: Path, scheme: str) -> Iterator[FilmServer]:
    """FFmpeg, which waits for one sender and stores what it gets; skips the test where it is not installed."""
    url = f"{scheme}://127.0.0.1:{free_port()}/live/film"
    listening = ["-rtsp_flags", "listen"] if scheme == "rtsp" else ["-listen", "1"]
    command = [
        require_program("ffmpeg"),
        "-v",
        "error",
        "-nostdin",
        "-y",
        *listening,
        "-i",
        url,
        "-c",
        "copy",
        str(file),
    ]
    with running(command, stderr=subprocess.DEVNULL) as process:
        yield FilmServer(url, process, file)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
