"""Process 1 of the image: edgeaudio, by the name that balena gave the device where nobody gave another.

Owns: the device's name, and a stop before the agent is there to hear it. Does not know: any other setting.
"""

from __future__ import annotations

import os
import signal
import sys

NAME = "EDGEAUDIO_DEVICE"
UUID = "BALENA_DEVICE_UUID"
UUID_DIGITS = 12  # balena's dashboard shows the first 7; of these not even 10,000 devices have two alike


def main() -> int:
    """Run the command line of edgeaudio; returns its exit status."""
    # the kernel spares process 1 a signal that it has not asked for, and the engine would wait, and kill
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
