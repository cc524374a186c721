"""What tests of archives share: a test model."""

import pytest
from support.archives import DETECTOR
from support.tflite import model_directory


@pytest.fixture
def model(tmp_path) -> str:
    return str(model_directory(tmp_path, detector=DETECTOR))
