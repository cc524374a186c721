"""Log lines: masked, with UTC times, or with priorities for the journal."""

import io
import logging
import os
import re
import subprocess
import sys

from edgeaudio.logs import in_journal, setup_logging


def fail() -> None:
    raise OSError("cannot open rtsp://me:hunter2@cam/live")


def test_lines_have_utc_times_and_no_passwords() -> None:
    stream = io.StringIO()
    setup_logging("info", stream)
    log = logging.getLogger("edgeaudio.capture.connection")
    log.debug("not shown")
    log.info("opening %s", "rtsp://me:hunter2@cam/live")
    try:
        fail()
    except OSError:
        log.exception("it failed")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "not shown" not in text
    assert re.match(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    edgeaudio\.capture\.connection: opening rtsp://me:\*\*\*@cam/live\n",
        text,
    )
    assert "OSError: cannot open rtsp://me:***@cam/live" in text


def test_lines_hold_nothing_that_a_terminal_would_obey() -> None:
    stream = io.StringIO()
    setup_logging("info", stream)
    logging.getLogger("edgeaudio").info("label %s", "\x1b[2J")
    assert stream.getvalue().endswith("label \\u001b[2J\n")


def test_other_packages_are_heard_only_when_they_warn() -> None:
    stream = io.StringIO()
    setup_logging("debug", stream)
    logging.getLogger("elsewhere").info("chatter")
    logging.getLogger("elsewhere").warning("trouble")
    assert "chatter" not in stream.getvalue()
    assert "trouble" in stream.getvalue()


def test_the_journal_gets_priorities_and_keeps_the_time_itself(tmp_path, monkeypatch) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        setup_logging("info", stream)
        logging.getLogger("edgeaudio.x").warning("two\nlines")
        logging.getLogger("edgeaudio.x").error("bad")
        logging.getLogger("edgeaudio.x").log(25, "between")
        stream.seek(0)
        assert stream.read() == "<4>edgeaudio.x: two\n<4>lines\n<3>edgeaudio.x: bad\n<6>edgeaudio.x: between\n"


def test_only_the_journals_own_stream_is_the_journal(tmp_path) -> None:
    with (tmp_path / "file").open("w") as stream:
        assert in_journal(stream, {"JOURNAL_STREAM": "1:2"}) is False
        assert in_journal(stream, {}) is False
    assert in_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"}) is False


def test_what_nobody_can_catch_is_logged_and_masked() -> None:
    program = (
        "import threading, warnings\nfrom edgeaudio.logs import log_strays, setup_logging\nsetup_logging('info')\n"
        "log_strays()\ndef fail():\n    raise OSError('cannot open rtsp://me:hunter2@cam/live')\n"
        "class Last:\n    def __del__(self):\n        fail()\n"
        "thread = threading.Thread(target=fail, name='gate')\nthread.start()\nthread.join()\n"
        "del thread\nlast = Last()\ndel last\nwarnings.warn('beware of rtsp://me:hunter2@cam/live')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert "hunter2" not in done.stderr
    assert "an exception ended gate\n" in done.stderr
    # Python 3.14 has other words for it
    assert "ERROR   edgeaudio.logs: Exception ignored " in done.stderr or "an exception was ignored" in done.stderr
    assert "beware of rtsp://me:***@cam/live" in done.stderr
    assert done.stderr.count("OSError: cannot open rtsp://me:***@cam/live") == 2
