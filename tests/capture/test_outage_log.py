"""Lines about a source's outages read as sentences."""

import logging

import pytest

from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.outage_log import OutageLog
from edgeaudio.capture.source_urls import parse_url
from edgeaudio.capture.tracks import AudioInfo
from edgeaudio.types import Reason

INFO = AudioInfo("rtsp", "aac", 16000, 1, None, 0, ())


@pytest.mark.parametrize(("failures", "tries"), [(1, "1 try"), (2, "2 tries")])
def test_a_number_of_tries_has_its_plural(failures: int, tries: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outages = OutageLog("porch", 0.0)
    for _ in range(failures):
        outages.failed(SourceError("porch", parse_url("rtsp://cam/x"), Reason.REFUSED, "connection refused"), 1.0)
    outages.end(INFO, 3.5)
    assert caplog.messages[-1] == f"source porch: heard again after 2.5 s and {tries}: aac, 16000 Hz, 1 channel"
