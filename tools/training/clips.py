"""Recordings to clips, as the agent cuts them.

Owns: which clips of recordings are used. Does not know: features, models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.manifest import Manifest
from tools.training.comparison import LabelledClips
from tools.training.recordings import Recording


def cut_clips(recordings: Sequence[Recording], manifest: Manifest) -> LabelledClips:
    """Return the clips of recordings as the agent makes them, without silence under the gate.

    Raises:
        EdgeaudioError: All of them are silent.
    """
    section = manifest.clip
    config = ClipConfig(section.sample_rate, section.n_samples, section.period_ms / 1000, manifest.features)
    values, owners = [], []
    for index, recording in enumerate(tqdm(recordings, desc="features", unit="file", leave=False)):
        cutter = ClipCutter(config, gate_dbfs=-100.0)
        for cut in (*cutter.feed(recording.samples), *cutter.flush()):
            if cut.values is not None:
                values.append(cut.values)
                owners.append(index)
    if not values:
        raise EdgeaudioError("the recordings are all silent; give some with sound")
    return LabelledClips(values, np.array(owners), tuple(recording.label for recording in recordings))


def spread(n: int, wanted: int) -> list[int]:
    """Return indices spread evenly over n clips."""
    return sorted({int(i) for i in np.linspace(0, n - 1, min(n, wanted))})
