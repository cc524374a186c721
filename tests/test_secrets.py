"""No four characters in a row of a password come out anywhere, however it is written, and none reach a name server."""

from __future__ import annotations

import io
import json
import logging
import socket
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.examples import examples
from support.loading import load_layers
from support.ports import free_port

from edgeaudio import api, cli
from edgeaudio.capture.config import SourceConfig
from edgeaudio.errors import EdgeaudioError
from edgeaudio.logs import setup_logging
from edgeaudio.settings.show import effective_toml
from edgeaudio.sinks.mqtt.broker import parse_broker_url
from edgeaudio.toml_writer import quoted
from edgeaudio.wiring import mqtt_config

LETTERS = "QXZJKVqxzjkv\u00c4\u00d6\u00dc\u00df\u017e\u03a9\u0416"
MARKS = "@/#?:%&=;+$!*'\"\\ .,-_~[]{}()<>"
PASSWORDS = st.text(LETTERS + MARKS, min_size=6, max_size=24).filter(
    lambda password: password.strip() and any(is_telling(part) for part in fours(password))
)

# {raw}: the password as it is typed, {coded}: percent-encoded
WELL_FORMED = [
    "{scheme}://me:{coded}@127.0.0.1:{port}",
    "{scheme}://{coded}@127.0.0.1:{port}",
    "{scheme}://{coded}:x@127.0.0.1:{port}",
    "{scheme}://:{coded}@127.0.0.1:{port}",
    "{SCHEME}://me:{coded}@LOCALHOST:{port}/",
]
SOURCES = [
    "{scheme}://127.0.0.1:{port}/user=me_password={coded}_channel=1_stream=0.sdp",
    "{scheme}://127.0.0.1:{port}/user=me&password={coded}&channel=1",
    "{scheme}://127.0.0.1:{port}/live/{coded}?channel=1",
    "{scheme}://127.0.0.1:{port}/token/{coded}",
    "{scheme}://127.0.0.1:{port}/x?loginpas={coded}&channel=1",
    "{scheme}://127.0.0.1:{port}/x?{coded}",
    "{scheme}://127.0.0.1:{port}/x?{coded}=1",
    "{scheme}://127.0.0.1:{port}/x?channel={coded}",
    "{scheme}://127.0.0.1:{port}/x?password={raw}",
    "{scheme}://127.0.0.1:{port}/x#{coded}",
    "{scheme}://127.0.0.1:{port}/user=me_password={raw}_channel=1",
]
MALFORMED = [
    "{scheme}://me:{raw}@127.0.0.1:{port}/x",
    "{scheme}://{raw}@127.0.0.1:{port}/x",
    "{scheme}://{raw}:x@127.0.0.1:{port}/x",
    "{scheme}://me:se@cret/{raw}@127.0.0.1/x",
    "{scheme}://me:12/{raw}@127.0.0.1/x",
    "{scheme}://me:{raw}",
    "{scheme}://me:{coded}",
    "{scheme}://me:{coded}%40127.0.0.1/x",
    "{scheme}://127.0.0.1:{coded}/x",
    "{scheme}://[{raw}]/x",
    "{scheme}:///me:{raw}@127.0.0.1/x",
    "{scheme}:/me:{raw}@127.0.0.1/x",
    "{scheme}:me:{raw}@127.0.0.1/x",
    "{scheme}//me:{raw}@127.0.0.1/x",
    " {scheme}://me:{raw}@127.0.0.1/x",
    '"{scheme}://me:{coded}@127.0.0.1/x"',
    "<{scheme}://me:{raw}@127.0.0.1/x>",
    "me:{raw}@127.0.0.1/x",
    "me{raw}@127.0.0.1/x",
    "{coded}@127.0.0.1/x",
    "//me:{raw}@127.0.0.1/x",
    "srt://me:{raw}@127.0.0.1/x",
    "srt://me:{coded}@127.0.0.1/x",
    "srt:me:{raw}@127.0.0.1",
    "file://me:{raw}@127.0.0.1/x",
    "alsa:me:{raw}@127.0.0.1",
    "alsa:default?{raw}",
    "alsa:default?channels={raw}",
    "udp://me:{coded}@127.0.0.1:5004",
    "rtsp+listen://me:{raw}@127.0.0.1:5004",
]


def fours(text: str) -> Iterator[str]:
    return (text[i : i + 4] for i in range(len(text) - 3))


def is_telling(part: str) -> bool:
    """True for four characters that no output has by chance."""
    return sum(character in LETTERS for character in part) >= 2


def shows(password: str, output: str) -> list[str]:
    """The parts of the password that stand in the output, as they are, encoded, or as host names are written."""
    forms = {password, quote(password, safe=""), quote(password), unicodedata.normalize("NFKC", password)}
    haystack = output.casefold()
    telling = {part for form in forms for part in fours(form) if is_telling(part)}
    return [part for part in telling if part.casefold() in haystack]


def told(error: BaseException | None) -> str:
    """All that a program could print of an exception, with those that it came from."""
    words = []
    while error is not None:
        # the lines of source code are the test's own
        frames = "".join(traceback.format_exception_only(error))
        words += [str(error), repr(error), repr(error.args), frames]
        error = error.__cause__ or error.__context__
    return "\n".join(words)


def outcome(work: Callable[[], object]) -> str:
    try:
        return str(work())
    except EdgeaudioError as error:
        return told(error)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up; FFmpeg fails, with the whole address in its words, as it does."""
    names: list[str] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> NoReturn:
        names.append(str(host))
        raise socket.gaierror(-2, "Name or service not known")

    def refuse(file: str, *_: object, **__: object) -> NoReturn:
        raise OSError(5, f"Input/output error: {file}", file)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("edgeaudio.capture.opening.av.open", refuse)
    monkeypatch.setattr("edgeaudio.capture.opening._FALLBACK_PAUSE_S", 0.0)
    return names


def command(*arguments: str) -> str:
    """What a command prints."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output), suppress(SystemExit):
        cli.main(arguments)
    return output.getvalue()


def loaded(path: Path | None, options: list[str], environ: dict[str, str]) -> str:
    settings, layers = load_layers(path, options, environ)
    shown = [str(settings), repr(settings), effective_toml(settings, layers)]
    with suppress(EdgeaudioError):
        shown.append(repr(mqtt_config(settings)))
    return "\n".join(shown)


def logged(url: str) -> str:
    if "://" not in url or len(url.split()) > 1:
        return ""  # in free text it cannot be told from other words; it is refused before anything is logged
    text = logged_as("text", url)
    lines = map(json.loads, logged_as("ecs", url).splitlines())
    return "\n".join([text, *(value for line in lines for value in [line["message"], *line.get("error", {}).values()])])


def logged_as(log_format: Literal["text", "ecs"], url: str) -> str:
    output = io.StringIO()
    setup_logging("info", output, log_format=log_format)
    log = logging.getLogger("edgeaudio.test")
    log.info("cannot open %s", url)
    log.warning("('%s', [%s], <%s>) and %r: x@example.org", url, url, url, url)
    log.error("that failed", exc_info=OSError(5, "Input/output error", url))
    return output.getvalue()


def written(form: str, scheme: str, password: str, port: int) -> str:
    if "@" not in form:
        password = password.replace("@", "/")  # else that is a login and a host, by all rules
    coded = quote(password, safe="")
    return form.format(scheme=scheme, SCHEME=scheme.upper(), raw=password, coded=coded, port=port)


THE_SAME_FIXTURES = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(40)
)


@given(
    st.sampled_from([*WELL_FORMED, *SOURCES, *MALFORMED]),
    st.sampled_from(["rtsp", "rtsps", "rtmp", "https"]),
    PASSWORDS,
)
@THE_SAME_FIXTURES
def test_no_part_of_a_sources_password_is_told(asked, tmp_path, form: str, scheme: str, password: str) -> None:
    url = written(form, scheme, password, free_port())
    path = tmp_path / "edgeaudio.toml"
    path.write_text(f"[sources.porch]\nurl = {quoted(url)}\n", encoding="utf-8")
    config = ["--config", str(path)]
    said = [
        outcome(lambda: repr(SourceConfig(name="a", url=url)) + str(SourceConfig(name="a", url=url).address)),
        outcome(lambda: list(api.listen(url))),
        outcome(lambda: loaded(path, [], {})),
        outcome(lambda: loaded(None, [], {"EDGEAUDIO_SOURCES__PORCH__URL": url})),
        outcome(lambda: loaded(None, [f"sources.porch.url={url}"], {})),
        outcome(lambda: loaded(None, [f"sources.porch.adress={url}"], {})),
        command("probe", url),
        command("score", url),
        command("picture", url),
        command("probe", *config, "porch"),
        command("score", *config, "porch"),
        command("check", *config, "--print"),
        command("score", "--model", url, "/nowhere.wav"),
        logged(url),
        *asked,
    ]
    assert [shown for text in said for shown in shows(password, text)] == []


@given(
    st.sampled_from([*WELL_FORMED, "{scheme}://127.0.0.1:{port}/x?{coded}", *MALFORMED]),
    st.sampled_from(["mqtt", "mqtts"]),
    PASSWORDS,
)
@example("{coded}@127.0.0.1/x", "mqtt", ".:::JJ")
@THE_SAME_FIXTURES
def test_no_part_of_a_brokers_password_is_told(asked, tmp_path, form: str, scheme: str, password: str) -> None:
    url = written(form, scheme, password, free_port())
    path = tmp_path / "edgeaudio.toml"
    path.write_text(f"[mqtt]\nurl = {quoted(url)}\n", encoding="utf-8")
    said = [
        outcome(lambda: repr(parse_broker_url(url))),
        outcome(lambda: loaded(path, [], {})),
        outcome(lambda: loaded(None, [], {"EDGEAUDIO_MQTT__URL": url})),
        outcome(lambda: loaded(None, [f"mqtt.url={url}"], {})),
        command("check", "--config", str(path), "--print"),
        command("demo", "--broker", url) if parse_fails(url) or "@" in url else "",
        logged(url),
        *asked,
    ]
    assert [shown for text in said for shown in shows(password, text)] == []


def parse_fails(url: str) -> bool:
    with suppress(EdgeaudioError):
        parse_broker_url(url)
        return False
    return True


@given(
    st.sampled_from([
        "[mqtt]\nusername = 'me'\npassword = {0}",
        "[mqtt]\nusername = {0}",
        "[mqtt]\npassword = {0}",
        "[mqtt]\npasswort = {0}",
        "[mqtt]\npassword_file = {0}",
        "[mqtt]\nuser = {0}",
        "[mqtt]\npassword = {0} x",
        "[mqtt]\ndiscovery = {0}",
        "[mqtt]\nusername = [{0}]",
        "[health]\ninterval_s = {0}",
        "log_level = {0}",
        "mqtt = {0}",
        "sources = {0}",
        "[sources]\nporch = {0}",
        "[sources.porch]\nurl = 'rtsp://cam/x'\nusername = 'me'\npassword = {0}",
        "[sources.porch]\nurl = 'rtsp://me@cam/x'\npassword = {0}",
        "[sources.porch]\nurl = 'rtsp://cam/x'\ntransport = {0}",
        "[sources.porch]\nurl = 'rtsp://cam/x'\nchannel = {0}",
        "[sources.porch]\nurl = 'rtsp://cam/x'\nschedule = [{0}]",
    ]),
    PASSWORDS,
)  # fmt: skip
@example("[mqtt]\nusername = 'me'\npassword = {0}", "JJJ/::")
@THE_SAME_FIXTURES
def test_no_part_of_a_password_in_a_setting_is_told(tmp_path, form: str, password: str) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text(form.format(quoted(password)), encoding="utf-8")
    said = [outcome(lambda: loaded(path, [], {})), command("check", "--config", str(path), "--print")]
    table = form.partition("]")[0].lstrip("[").replace(".", "__").upper()
    names = ("PASSWORD", "PASSWORD_FILE", "USERNAME", "PASSWORT", "DISCOVERY") if form.startswith("[") else ()
    said += [outcome(partial(loaded, None, [], {f"EDGEAUDIO_{table}__{name}": password})) for name in names]
    options = [f"mqtt.password={password}", f"mqtt.pasword={password}", password.replace("=", "")]
    said += [outcome(partial(loaded, None, [option], {})) for option in options]
    assert [shown for text in said for shown in shows(password, text)] == []
