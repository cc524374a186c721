"""Speech of the demo at 16 kHz, and what the reference makes of it (tools/maintenance/silero_weights.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

with np.load(Path(__file__).parents[1] / "recognise" / "golden" / "silero_v6.npz", allow_pickle=False) as _file:
    PCM = _file["samples"]  # int16
    PROBABILITIES = _file["probabilities"]  # one every 512 samples
SPEECH = PCM / np.float32(32768)
