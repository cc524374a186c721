"""How an optional part is installed: never by the package's name, which is another program's on PyPI."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import require_extra

ROOT = Path(__file__).parents[1]
_BY_NAME = re.compile(r"pip3?\b[^\n]*\binstall\b[^\n]*[\s'\"]edgeaudio(?![\w./-]|'s)")
# its index is a folder of this project's wheels
_OWN_INDEX = {"deploy/ansible/roles/edgeaudio/files/install.sh"}


def test_a_missing_part_is_installed_by_this_interpreter_from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/edge audio/bin/python")
    with pytest.raises(EdgeaudioError) as refused:
        require_extra("archive", ("json", "no_such_package"), "archive")
    words = shlex.split(str(refused.value).replace("edgeaudio's", "the"))
    assert words[:3] == ["archive", "needs", "no_such_package:"]
    at = words.index("/opt/edge audio/bin/python")
    assert words[at + 1 : at + 5] == ["-m", "pip", "install", ".[archive]"]


def test_nothing_says_to_install_a_stranger_s_package() -> None:
    folders = ("edgeaudio", "docs", "deploy", "examples", "tools")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    files += [*ROOT.glob("*.md"), ROOT / "Makefile"]
    found = [
        f"{file.relative_to(ROOT)}: {line.group()}"
        for file in files
        if str(file.relative_to(ROOT)) not in _OWN_INDEX and b"\0" not in (content := file.read_bytes())
        for line in _BY_NAME.finditer(content.decode("utf-8", "replace"))
    ]
    assert len(files) > 300
    assert found == []
    assert _BY_NAME.search("run bin/pip install 'edgeaudio[archive]'")
