"""The proof with damaged files in its short form, and that the proof can fail."""

import os
from pathlib import Path

import pytest

from chaos import mutations as proof
from chaos.mutations import Mutations, mutations


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    result = mutations(tmp_path, 210)
    assert result.faults == ()
    assert result.decoded > 50
    assert sum(result.refused.values()) > 30
    assert result.files == result.decoded + sum(result.refused.values())


def test_a_death_and_a_hang_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(proof, "LIMIT_S", 0.3)
    with proof.Decoder() as decoder:
        pid = decoder._process.pid
        assert pid is not None
        decoder._process.kill()
        trouble, outcome = decoder.decode("/nowhere")
        assert (trouble, outcome) == ("crashed", None)
        assert "-9" in decoder.last_words
        fifo = str(tmp_path / "fifo")
        os.mkfifo(fifo)
        try:
            assert decoder.decode(fifo)[0] == "hung"
        finally:
            Path(fifo).unlink()
        trouble, outcome = decoder.decode("/nowhere")
        assert outcome is not None
        assert (trouble, outcome.outcome, outcome.heard_s) == ("", "not_found", 0.0)


def test_any_trouble_is_a_fault() -> None:
    fine = Mutations(1, 1, {}, (), (), (), leaked=False, growth_mb=0.0, peak_mb=90.0)
    assert fine.faults == ()
    assert Mutations(1, 0, {}, ("a",), ("b",), ("c",), leaked=True, growth_mb=9.0, peak_mb=900.0).faults == (
        "a", "b", "c", "a playlist had a local file read", "grew by 9 MB, over 2 MB", "took 900 MB, over 250 MB",
    )  # fmt: skip


def test_a_read_file_is_seen(tmp_path: Path) -> None:
    assert not proof._Canary(tmp_path / "unread.wav").was_read()
    canary = proof._Canary(tmp_path / "read.wav")
    canary.path.read_bytes()
    assert canary.was_read()
