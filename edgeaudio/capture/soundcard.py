"""Makes ALSA usable from PyAV's wheels.

Owns: where the bundled ALSA library finds the system's configuration.
Does not know: which sound card is wanted.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

CONFIGURATION = "/usr/share/alsa/alsa.conf"


def prepare_alsa() -> None:
    """Point ALSA at the system's files, unless the environment already says where they are.

    The library in PyAV's wheels looks for them where it was built, under /tmp: there it finds no
    sound card at all, or whatever another user of the machine put there for it to load.
    """
    os.environ.setdefault("ALSA_CONFIG_PATH", CONFIGURATION)
    architecture = sysconfig.get_config_var("MULTIARCH") or ""
    os.environ.setdefault("ALSA_PLUGIN_DIR", str(Path("/usr/lib", architecture, "alsa-lib")))
