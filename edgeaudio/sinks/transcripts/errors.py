"""The error of utterances that cannot be kept."""

from __future__ import annotations

from edgeaudio.errors import EdgeaudioError


class TranscriptsError(EdgeaudioError):
    """Utterances cannot be kept: the folder, or the disk."""
