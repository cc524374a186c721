"""`edgeaudio setup`: asks for a broker and for cameras, tries each, and writes the settings file.

Owns: the questions, and where the answers go: secrets into files that nobody else can read.
Does not know: how cameras are found (onvif.py), or how anything is tried (check.py, and the dry run that the caller
passes).
"""

from __future__ import annotations

import logging
import os
import shlex
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

from edgeaudio import schema_versions, toml_writer
from edgeaudio.commands import check, onvif
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import replace_file
from edgeaudio.redact import mask_url
from edgeaudio.settings import Settings, SettingsError
from edgeaudio.settings.load import settings_of
from edgeaudio.settings.places import config_path
from edgeaudio.settings.schema import default_device
from edgeaudio.slugs import slugify
from edgeaudio.terminal import ask, ask_secret, print_error, print_out
from edgeaudio.urls import holds_login

CREDENTIALS = "credentials"  # a folder beside the settings of a service: see deploy/systemd/edgeaudio.service

Table = dict[str, Any]

_BY_HAND = "run it at a terminal, or let `edgeaudio check --example` print a file to fill in"


def setup(path: Path | None, dry_run: check.DryRun, *, search_s: float = onvif.SEARCH_S) -> int:
    """Ask, try, write; 0 when the file is written. Raises EdgeaudioError, and then no file is written."""
    logging.getLogger("edgeaudio").addHandler(logging.NullHandler())  # what a run would log is printed as results
    file = config_path(path) or Path("edgeaudio.toml")
    try:
        _may_write(file)
        answers = _Answers(dry_run, search_s)
        answers.ask_all()
    except EOFError:
        print_out()  # ends the line of the question
        raise EdgeaudioError(f"setup: the answers ended, and nothing was written; {_BY_HAND}") from None
    except UnicodeDecodeError:
        raise EdgeaudioError("setup: an answer is not text in UTF-8, so nothing was written") from None
    credentials = file.parent / CREDENTIALS
    _write(file, credentials, answers.table)
    named, program = shlex.quote(str(file)), _program()
    if credentials.is_dir():  # of a service: systemd passes them on
        check_it = f"CREDENTIALS_DIRECTORY={shlex.quote(str(credentials))} {program} check --config {named}"
        run_it = "systemctl restart edgeaudio"
    else:
        check_it, run_it = f"{program} check --config {named}", f"{program} run --config {named}"
    print_out(f"\n{file}: written. Next:\n  {check_it}\n  {run_it}")
    return 0


def _program() -> str:
    """Return what to type for edgeaudio: its name, or its path where it is not on PATH, as in a virtual environment."""
    beside = Path(sys.executable).with_name("edgeaudio")
    return "edgeaudio" if which("edgeaudio") or not beside.exists() else shlex.quote(str(beside))


def _may_write(file: Path) -> None:
    """Raise EdgeaudioError if the file cannot be written, or the user keeps the old one."""
    try:
        is_there = True
        if stat.S_ISDIR(file.stat().st_mode):
            raise EdgeaudioError(f"{file}: this is a directory; name a file with --config FILE")
    except (FileNotFoundError, NotADirectoryError):
        is_there = False
    except OSError as error:
        raise EdgeaudioError(f"{file}: {error.strerror}; name another file with --config FILE") from None
    if not os.access(file if is_there else file.parent, os.W_OK):
        raise EdgeaudioError(f"{file}: cannot be written; name another file with --config FILE")
    if is_there and not _yes(f"{file} is there already. Replace it?"):
        raise EdgeaudioError(f"{file}: left as it was; name another file with --config FILE")


class _Answers:
    """The answers so far, as the table of a settings file."""

    def __init__(self, dry_run: check.DryRun, search_s: float) -> None:
        self.table: Table = {schema_versions.KEY: schema_versions.SETTINGS.version}
        self._dry_run = dry_run
        self._search_s = search_s

    def ask_all(self) -> None:
        """Ask for the device, the broker and cameras, each until it works or is kept all the same."""
        said = _name("Name of this device, in topics and in Home Assistant", default_device())
        self.table["device"] = slugify(said) or default_device()
        while not self._has_broker():
            pass
        print_out(f"\nLooking for cameras on this network (ONVIF, {self._search_s:g} s) ...", flush=True)
        found = onvif.find_cameras(self._search_s)
        for number, camera in enumerate(found, 1):
            print_out(f"  {number}  {camera.host}  {camera.name}")
        if not found:
            print_out("  none answers")
        self.table["sources"] = {}
        while self._has_another_camera(found):
            pass

    def _has_broker(self) -> bool:
        """Ask for a broker and try it; False to ask again."""
        url = _address("\nMQTT broker, its host or URL", "mqtt://localhost")
        self.table["mqtt"] = {"url": url if "://" in url else f"mqtt://{_bracketed(url)}", **_login()}
        return self._tried(self.table, self._dry_run_broker)

    def _dry_run_broker(self, settings: Settings, stop: threading.Event) -> Iterable[check.CheckResult]:
        return map(check.result_of, self._dry_run(settings, stop))

    def _has_another_camera(self, found: Sequence[onvif.FoundCamera]) -> bool:
        """Ask for a camera and try it; False after the last one."""
        sources: Table = self.table["sources"]
        number = "its number, or " if found else ""
        answer = _address(f"\nCamera: {number}its host or address (rtsp://...), alsa:DEVICE, or nothing", "")
        if not answer:
            return False
        if answer.isdecimal() and not 1 <= int(answer) <= len(found):
            print_error(f"there is no camera {answer}")
            return True
        source = _located(answer, found)
        usual = "microphone" if answer.startswith("alsa:") else "camera"
        name = slugify(_name("Its name", usual if usual not in sources else f"{usual}-{len(sources) + 1}"))
        if not name or name in sources:
            print_error(f"there is a source {name} already" if name else "a name is made of letters and digits")
            return True
        if not self._tried({**self.table, "sources": {name: source}}, partial(_hear, name)):
            return True
        sources[name] = source
        return _yes("Another camera?")

    @staticmethod
    def _tried(table: Table, attempt: Callable[[Settings, threading.Event], Iterable[check.CheckResult]]) -> bool:
        """Print the results of an attempt; True if all works, or the answers are kept all the same."""
        works = True
        try:
            settings = settings_of(table, "setup")
        except SettingsError as error:
            print_error(str(error))
            return False
        with stopped_by_interrupt() as stop:
            for result in attempt(settings, stop):
                works &= result.verdict != "FAILS"
                check.show(result)
        return works or _yes("Keep that all the same?")


def _hear(name: str, settings: Settings, stop: threading.Event) -> Iterator[check.CheckResult]:
    yield check.tried(f"source {name}", partial(check.opened, settings, {}, name, stop))


def _located(answer: str, found: Sequence[onvif.FoundCamera]) -> Table:
    """Return the table of a source: its address, and its login where it may have one."""
    if "://" in answer or answer.startswith("alsa:") or "/" in answer:
        return {"url": answer, **(_login() if "://" in answer else {})}
    if answer.isdecimal():
        camera = found[int(answer) - 1]
    else:
        host = _bracketed(answer)
        camera = onvif.FoundCamera(host, "", f"http://{host}/onvif/device_service")
    login = _login()
    url, problem = None, "does not say where it streams"
    try:
        url = onvif.stream_url(camera, onvif.Login(login["username"], login.get("password", "")) if login else None)
    except onvif.LoginRefusedError:
        problem = f"{'refuses that login' if login else 'wants a login'}, by ONVIF, to say where it streams"
    if url is None:
        print_out(f"{camera.host} {problem}; its manual or app does")
        url = _address("Its address", f"rtsp://{camera.host}/")
    else:
        print_out(f"{camera.host} streams at {mask_url(url)}")
    return {"url": url, **login}


def _login() -> Table:
    username = _ask("User name, or nothing")
    password = ask_secret("Password: ") if username else ""
    return {name: said for name, said in (("username", username), ("password", password)) if said}


def _address(question: str, default: str) -> str:
    """Ask for an address without a login; the login has questions of its own."""
    while holds_login(answer := _ask(question, default)):
        print_error("without the login, which is asked for next")
    return answer


def _name(question: str, default: str) -> str:
    """Ask for a name, which everybody sees: an address, given too early, may hold a login."""
    while "://" in (answer := _ask(question, default)) or holds_login(answer):
        print_error("a name is made of letters and digits; this is an address")
    return answer


def _ask(question: str, default: str = "") -> str:
    return ask(f"{question} [{default}]: " if default else f"{question}: ").strip() or default


def _yes(question: str) -> bool:
    return ask(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _write(file: Path, credentials: Path, table: Table) -> None:
    """Write the settings, and secrets into the folder of credentials if there is one. Raises EdgeaudioError."""
    sections = {"mqtt": table["mqtt"], **{f"sources.{name}": source for name, source in table["sources"].items()}}
    apart = credentials.is_dir()
    try:
        for name, section in sections.items():
            if apart and (password := section.pop("password", "")):
                replace_file(credentials / f"{name}.password", f"{password}\n", mode=0o600)
        head = "# made by `edgeaudio setup`; `edgeaudio check --example` prints every setting\n"
        replace_file(file, head + toml_writer.dumps(table), mode=0o644 if apart else 0o600)
    except OSError as error:
        raise EdgeaudioError(f"{error.filename or file}: cannot be written: {error.strerror}") from None
