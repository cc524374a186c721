"""A stream's sound through a pipe from an ffmpeg child, as most programs of this field read it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import numpy as np

from edgeaudio.types import Samples


def pieces_of(url: str, rate: int, n_samples: int) -> Iterator[Samples]:
    """Yield pieces of 16-bit samples, mono at `rate` Hz, as float32 `(n_samples,)` in [-1, 1]."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-threads", "1", "-rtsp_transport", "tcp"]
    command += ["-i", url, "-vn", "-ac", "1", "-ar", str(rate), "-f", "s16le", "pipe:"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while len(data := child.stdout.read(2 * n_samples)) == 2 * n_samples:
            yield np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768)
