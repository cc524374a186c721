"""`log_format = "ecs"`: a record is a line of JSON, whose fields and types are those of the Elastic Common Schema."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio import __version__, ecs
from edgeaudio.logs import setup_logging
from edgeaudio.stderr import MAX_LINE_BYTES

ROOT = Path(__file__).parents[1]
# the fields in use and their types, as ECS 9.4.0 defines them
FIELDS = {
    "@timestamp": "date",
    "ecs.version": "keyword",
    "error.message": "match_only_text",
    "error.stack_trace": "wildcard",
    "error.type": "keyword",
    "host.name": "keyword",
    "log.level": "keyword",
    "log.logger": "keyword",
    "message": "match_only_text",
    "process.pid": "long",
    "process.thread.name": "keyword",
    "service.name": "keyword",
    "service.version": "keyword",
}
OURS = {"edgeaudio.device": "keyword", "edgeaudio.source": "keyword"}
STRINGS = ("keyword", "match_only_text", "wildcard")
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # with lone surrogates


class Log:
    """A log in ECS, or in text."""

    def __init__(self, log_format: str = "ecs") -> None:
        self.stream = io.StringIO()
        setup_logging("debug", self.stream, log_format=log_format, device="attic")  # type: ignore[arg-type]

    def line(self) -> str:
        """The only line since the last call."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        assert text.endswith("\n")
        assert len(text.splitlines()) == 1
        return text[:-1]

    def fields(self) -> dict[str, Any]:
        line = self.line()
        assert line.isascii()
        assert len(line) < MAX_LINE_BYTES
        fields: dict[str, Any] = json.loads(line)
        json.dumps(fields, ensure_ascii=False).encode()  # it holds no lone surrogate
        return fields


def leaves(fields: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """The fields with their dotted names."""
    for name, value in fields.items():
        assert "." not in name
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name, value


def assert_valid(fields: dict[str, Any]) -> None:
    for name, value in leaves(fields):
        kind = (FIELDS | OURS)[name]
        if kind == "date":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(value))
        elif kind == "long":
            assert type(value) is int
        else:
            assert kind in STRINGS
            assert isinstance(value, str)
        if kind == "keyword":
            assert len(str(value).encode()) <= 1024  # longer ones are not indexed
    assert fields["ecs"]["version"] == "9.4.0"


def fail() -> None:
    raise OSError(5, "cannot open rtsp://me:hunter2@cam/live")


def test_a_line_has_the_fields_of_ecs_and_ours() -> None:
    log = Log()
    logging.getLogger("edgeaudio.capture.reader").warning("source %s: gone", "porch", extra={"source": "porch"})
    fields = log.fields()
    assert_valid(fields)
    assert fields | {"@timestamp": "", "host": {}} == {
        "@timestamp": "",
        "log": {"level": "warning", "logger": "edgeaudio.capture.reader"},
        "message": "source porch: gone",
        "ecs": {"version": ecs.ECS_VERSION},
        "service": {"name": "edgeaudio", "version": __version__},
        "host": {},
        "process": {"pid": os.getpid(), "thread": {"name": threading.current_thread().name}},
        "edgeaudio": {"device": "attic", "source": "porch"},
    }


def test_an_exception_has_fields_of_its_own_without_secrets() -> None:
    log = Log()
    try:
        fail()
    except OSError:
        logging.getLogger("edgeaudio").exception("it failed")
    fields = log.fields()
    assert_valid(fields)
    assert {name for name, _ in leaves(fields)} == set(FIELDS) | {"edgeaudio.device"}
    assert fields["error"]["type"] == "OSError"
    assert fields["error"]["message"] == "[Errno 5] cannot open rtsp://me:***@cam/live"
    assert fields["error"]["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert fields["error"]["stack_trace"].endswith("\nOSError: [Errno 5] cannot open rtsp://me:***@cam/live")
    logging.getLogger("edgeaudio").error("it failed", exc_info=json.JSONDecodeError("bad", "x", 0))
    assert log.fields()["error"]["type"] == "json.decoder.JSONDecodeError"


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_a_record_is_one_line_whatever_is_in_it(message: str, name: str, thread: str, error: str) -> None:
    log, text = Log(), Log("text")
    logging.getLogger().handlers[:] = []
    record = logging.LogRecord(f"x{name}", 30, "f.py", 1, "%s", (message,), (ValueError, ValueError(error), None))
    record.threadName = thread
    record.source = f"s{name}"
    for each in (log, text):
        setup_logging("debug", each.stream, log_format="ecs" if each is log else "text", device="attic")
        logging.getLogger().handle(record)
    fields = log.fields()
    assert_valid(fields)
    assert fields["message"] in text.stream.getvalue()  # masked and escaped in the same way


@pytest.mark.parametrize("piece", ["x", "\u00e4", "\U0001f514", "\n", "\x00", "\udc80", "rtsp://me:hunter2@cam/live "])
def test_a_huge_record_is_cut_and_stays_json(piece: str) -> None:
    log = Log()
    huge = piece * (100_000 // len(piece))
    record = logging.LogRecord(huge, 30, "f.py", 1, huge, (), (ValueError, ValueError(huge), None))
    record.threadName = record.source = huge
    logging.getLogger().handle(record)
    fields = log.fields()
    assert_valid(fields)
    assert fields["message"].endswith(" ... (cut)")
    assert len(json.dumps(fields["message"])) > ecs.MAX_TEXT_BYTES - 20
    assert "hunter" not in json.dumps(fields)


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize("log_format", ["ecs", "text"])
@pytest.mark.parametrize(
    ("message", "args", "said"),
    [
        ("%d tries at %s", ("x", "rtsp://me:hunter2@cam/live"), "%d tries at %s (not formatted: TypeError)"),
        ("%s %s", ("rtsp://me:hunter2@cam/live",), "%s %s (not formatted: TypeError)"),
        ("%s", (BrokenError(),), "%s (not formatted: RuntimeError)"),
        (BrokenError(), (), "BrokenError (not formatted: RuntimeError)"),
        ("%(a", ({"a": 1},), "%(a (not formatted: ValueError)"),
    ],
)
def test_a_record_that_cannot_be_formatted_is_not_lost(
    log_format: str, message: object, args: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(log_format)
    logging.getLogger("edgeaudio").warning(message, *args, extra={"source": "porch"})
    if log_format == "ecs":
        fields = log.fields()
        assert_valid(fields)
        assert (fields["message"], fields["log"]["level"], fields["edgeaudio"]["source"]) == (said, "warning", "porch")
    else:
        assert log.line().endswith(f"WARNING edgeaudio: {said}")
    assert capsys.readouterr().err == ""


def test_an_exception_without_words_is_not_lost() -> None:
    log = Log()
    logging.getLogger("edgeaudio").error("it failed", exc_info=BrokenError())
    fields = log.fields()
    assert_valid(fields)
    assert fields["error"]["message"] == "<exception str() failed>"
    logging.getLogger("edgeaudio").exception("no exception at all")  # noqa: LOG004 (that is what is tested)
    assert "error" not in log.fields()


@pytest.mark.parametrize("source", [5, None, {"a": 1}, b"x"])
def test_a_source_that_is_no_name_is_left_out(source: object) -> None:
    log = Log()
    logging.getLogger("elsewhere").warning("x", extra={"source": source})
    assert log.fields()["edgeaudio"] == {"device": "attic"}


def test_other_packages_warn_in_ecs_too() -> None:
    log = Log()
    for name in ("paho", "asyncio"):  # FFmpeg's are kept from every handler: capture/ffmpeg_log.py
        logging.getLogger(name).warning("trouble with %s", "rtsp://me:hunter2@cam/live")
        fields = log.fields()
        assert_valid(fields)
        assert (fields["log"]["logger"], fields["message"]) == (name, "trouble with rtsp://me:***@cam/live")


def test_the_journal_gets_the_priority_before_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        setup_logging("info", stream, log_format="ecs", device="attic")
        logging.getLogger("edgeaudio.x").warning("two\nlines")
        stream.seek(0)
        text = stream.read()
    assert text.startswith("<4>{")
    assert json.loads(text[3:])["message"] == "two\nlines"


def test_what_nobody_can_catch_is_json_too() -> None:
    program = (
        "import threading, warnings\nfrom edgeaudio.logs import log_strays, setup_logging\n"
        "setup_logging('info', log_format='ecs', device='attic')\n"
        "log_strays()\ndef fail():\n    raise OSError('cannot open rtsp://me:hunter2@cam/live')\n"
        "class Last:\n    def __del__(self):\n        fail()\n"
        "thread = threading.Thread(target=fail, name='gate')\nthread.start()\nthread.join()\n"
        "del thread\nlast = Last()\ndel last\nwarnings.warn('beware of rtsp://me:hunter2@cam/live')\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}  # as with LANG=C and Python's UTF-8 mode off
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30, env=environment
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for fields in lines:
        assert_valid(fields)
    assert [fields["log"]["logger"] for fields in lines] == ["edgeaudio.logs", "edgeaudio.logs", "py.warnings"]
    assert [fields["error"]["message"] for fields in lines[:2]] == ["cannot open rtsp://me:***@cam/live"] * 2
    assert lines[0]["process"]["thread"]["name"] == "gate"
    assert "hunter2" not in done.stderr


def test_lines_that_do_not_fit_are_counted_in_ecs_and_all_others_are_whole() -> None:
    # the thread that copies is held up, until the pipe has overflowed
    program = (
        "import logging, threading\nfrom edgeaudio.logs import setup_logging\nfrom edgeaudio.stderr import Stderr\n"
        "go = threading.Event()\nfirst = Stderr._write_out\n"
        "Stderr._write_out = lambda self, data: go.wait() and first(self, data)\nstderr = Stderr()\n"
        "setup_logging('info', stderr, log_format='ecs', device='attic')\nlog = logging.getLogger('edgeaudio')\n"
        "for number in range(200):\n    log.info('%d %s', number, 'x' * 9000)\n"
        "assert 50 < stderr.dropped < 200\ndropped = stderr.dropped\ngo.set()\nassert stderr.drain(5)\n"
        "log.info('after %d', dropped)\nassert stderr.drain(5)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    messages, torn = [], 0
    for line in done.stderr.splitlines():
        try:
            messages.append(json.loads(line)["message"])
        except json.JSONDecodeError:
            torn += 1
    dropped = int(messages[-1].removeprefix("after "))
    assert torn < 5  # one each time that the pipe was full
    assert sum(message.endswith("x") for message in messages) + dropped == 200
    assert any(f"{dropped} log lines were dropped or cut" in message for message in messages)


def test_every_line_about_a_source_names_it_in_a_field() -> None:
    found = 0
    for path in (ROOT / "edgeaudio").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and "source %s" in _first_text(call) and _is_of_log(call):
                found += 1
                assert "extra" in [keyword.arg for keyword in call.keywords], (
                    f"{path}:{call.lineno}: no extra={{source: }}"
                )
    assert found > 8


def _is_of_log(call: ast.Call) -> bool:
    target = call.func
    return (
        isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in {"log", "_log"}
    )


def _first_text(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def test_the_examples_of_the_documentation_are_valid() -> None:
    document = (ROOT / "docs" / "settings.md").read_text()
    section = document.partition("### Logs for a collector")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"```(json|yaml|toml)\n(.*?)```", section, re.DOTALL))
    assert_valid(json.loads(blocks["json"]))
    (filebeat,) = yaml.safe_load(blocks["yaml"])["filebeat.inputs"]
    assert filebeat["processors"][0]["decode_json_fields"]["target"] == ""
    vector = tomllib.loads(blocks["toml"])
    assert vector["transforms"]["edgeaudio_ecs"]["inputs"] == list(vector["sources"])
