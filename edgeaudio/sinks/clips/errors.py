"""The error of a folder that clips cannot be written to."""

from __future__ import annotations

from edgeaudio.errors import EdgeaudioError


class ClipsError(EdgeaudioError):
    """Clips cannot be written: the folder, or the disk."""
