"""What tests of archives share: a test model, a place of results, and the command line."""

from __future__ import annotations

import pytest
from support.archive_results import put_place
from support.archives import DETECTOR
from support.tflite import model_directory

from edgeaudio import cli


@pytest.fixture
def model(tmp_path) -> str:
    return str(model_directory(tmp_path, detector=DETECTOR))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "heard"


@pytest.fixture
def place(out):
    return put_place(out)


@pytest.fixture
def archive(capsys):
    """Run `edgeaudio archive`; its status, and the lines on standard output and standard error."""

    def running(*arguments: object):
        try:
            status = cli.main(["archive", *map(str, arguments)])
        except SystemExit as usage:
            status = int(str(usage.code))
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return running
