"""Process 1 of the image: `edgeaudio` with the device name of balena, unless EDGEAUDIO_DEVICE is set.

It ends at a SIGTERM, also before the agent handles signals.
"""

from __future__ import annotations

import os
import signal
import sys

NAME = "EDGEAUDIO_DEVICE"
UUID = "BALENA_DEVICE_UUID"
UUID_DIGITS = 12  # balena's dashboard shows the first 7; 12 digits are distinct on far more than 10,000 devices


def main() -> int:
    """Run the command line of edgeaudio; returns its exit status."""
    # process 1 gets no signal without a handler: the engine would wait, and kill it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not os.environ.get(NAME) and (uuid := os.environ.get(UUID)):
        os.environ[NAME] = uuid[:UUID_DIGITS]
    if not os.environ.get(NAME) and sys.argv[1:2] == ["run"]:
        sys.stderr.write(f"edgeaudio: {NAME}: must be set: a container's own name is another each time\n")
        return 2
    from edgeaudio.cli import main as edgeaudio  # noqa: PLC0415 (takes a second, in which a stop may come)

    return edgeaudio(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
