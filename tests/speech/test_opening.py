"""Addresses of recognisers, what is refused before anybody is asked, and what is loaded for each."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgeaudio.extras import installing
from edgeaudio.speech.config import parse_address
from edgeaudio.speech.opening import RecogniserConfig, open_recogniser
from edgeaudio.speech.recogniser import RecogniserError

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("wyoming://whisper", "wyoming://whisper:10300"),
        ("WYOMING://Whisper:1/", "wyoming://whisper:1"),
        ("http://whisper/v1", "http://whisper:80"),
        ("https://api.openai.com/v1", "https://api.openai.com:443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("funasr+ws://asr", "funasr+ws://asr:10095"),
        ("funasr+wss://asr:1/x?mode=2pass", "funasr+wss://asr:1"),
        (f"https://me:{SECRET}@whisper/{SECRET}?key={SECRET}", "https://whisper:443"),
    ],
)
def test_an_address_is_known_by_its_host_and_port(url: str, where: str) -> None:
    assert parse_address(url).where == where
    open_recogniser(RecogniserConfig(url))


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "must begin with wyoming://"),
        ("whisper:10300", "must begin with wyoming://"),
        (f"tcp://me:{SECRET}@whisper", "must begin with wyoming://"),
        ("ws://funasr:10095", "must begin with wyoming://"),
        (f"https://me:{SECRET}@", "names no host"),
        ("http:///v1", "names no host"),
        (f"https://me:{SECRET}#@whisper/v1", "raw '#'"),
        ("http://whis per/v1", "has a space"),
        ("http://whisper:70000/v1", "no host and port"),
        ("http://whisper:0/v1", "has port 0; leave it out for 80"),
        ("http://münchen/v1", "must be ASCII"),
        ("http://whisper/vé1", "a character that no path can hold"),
        ("wyoming://whisper/x", "goes on after the port"),
        ("wyoming://whisper?x=1", "goes on after the port"),
        (f"wyoming://me:{SECRET}@whisper", "takes no login"),
        ("funasr+ws://asr?mode=online", "must be offline or 2pass"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_secrets(url: str, what: str) -> None:
    with pytest.raises(RecogniserError) as caught:
        open_recogniser(RecogniserConfig(url))
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"model": ""}, "the model"),
        ({"model": "a\nb"}, "the model"),
        ({"language": "e" * 300}, "the language"),
        ({"api_key": f"{SECRET}\n"}, "API key must be ASCII without blanks"),
        ({"api_key": f"{SECRET}é"}, "API key must be ASCII without blanks"),
        ({"timeout_s": 0.0}, "time limit"),
        ({"timeout_s": float("nan")}, "time limit"),
    ],
)
def test_a_value_that_no_protocol_can_carry_is_refused(settings: dict[str, object], what: str) -> None:
    with pytest.raises(RecogniserError, match=what) as caught:
        open_recogniser(RecogniserConfig("http://whisper/v1", **settings))  # type: ignore[arg-type] # as each case has it
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["https://me:x@whisper/v1", "funasr+ws://me:x@asr"])
def test_two_logins_are_refused(url: str) -> None:
    with pytest.raises(RecogniserError, match="leave one out"):
        open_recogniser(RecogniserConfig(url, api_key=SECRET))


def test_what_a_protocol_has_no_place_for_is_refused() -> None:
    with pytest.raises(RecogniserError, match="Wyoming has none"):
        open_recogniser(RecogniserConfig("wyoming://whisper", api_key=SECRET))
    with pytest.raises(RecogniserError, match="the model it was started with"):
        open_recogniser(RecogniserConfig("funasr+ws://asr", "paraformer"))


def test_a_configuration_shows_no_secret() -> None:
    config = RecogniserConfig(f"https://me:{SECRET}@whisper/v1", api_key=SECRET)
    assert SECRET not in repr(config)
    assert SECRET not in repr(parse_address(config.url))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("url", "library"), [("wyoming://whisper", "wyoming"), ("http://whisper/v1", ""), ("funasr+ws://asr", "websockets")]
)
def test_the_library_of_the_one_protocol_is_loaded_and_no_other(url: str, library: str) -> None:
    code = f"""
import sys, threading
from edgeaudio.speech.opening import RecogniserConfig, open_recogniser
open_recogniser(RecogniserConfig({url!r}))
assert threading.active_count() == 1
print(*{{"wyoming", "websockets"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == library.split()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("url", "library"), [("wyoming://whisper:1", "wyoming"), ("funasr+ws://whisper:1", "websockets")]
)
def test_without_the_extra_one_line_says_how_to_install_it(url: str, library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
from edgeaudio.speech.opening import RecogniserConfig, RecogniserError, open_recogniser
try:
    open_recogniser(RecogniserConfig({url!r}))
except RecogniserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"the recogniser {url} needs a library (")
    assert done.stdout.endswith(f"): {installing('speech')}\n")
    assert done.stdout.count("\n") == 1
