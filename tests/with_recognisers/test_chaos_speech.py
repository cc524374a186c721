"""The proof of speech in its short form: a stream that is cut while somebody speaks, and noise."""

from __future__ import annotations

from pathlib import Path

from chaos.speech import speech
from support.programs import require_program


def test_what_was_heard_is_said_once_and_noise_is_not(tmp_path: Path) -> None:
    for program in ("mosquitto", "nginx", "flite"):
        require_program(program)
    assert [fault for row in speech(tmp_path, short=True) for fault in row.faults] == []
