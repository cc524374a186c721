"""Home Assistant on a bare Debian machine whose Python is the one it needs: for `make test-homeassistant`.

    python -m fresh.homeassistant VERSION

Owns: the machine. Does not know: what is installed and tried there, which is what `make` does where this machine has
that Python itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from fresh.machines import FOLDER, INSIDE, ROOT, apt_environment, machine, settle_in

NAME = "forky"  # Debian's first with Python 3.14
PACKAGES = "mosquitto"


def main(version: str) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = machine(NAME)
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-", dir=FOLDER) as unpacked:
        root = Path(unpacked)
        subprocess.run(["tar", "-xf", str(kept), "-C", str(root)], check=True)
        # how this machine's apt reaches its mirror, and what it lets that be
        acquire = subprocess.run(["apt-config", "dump", "Acquire"], stdout=subprocess.PIPE, check=True).stdout
        (root / "etc" / "apt" / "apt.conf.d" / "90acquire").write_bytes(acquire)
        proxies = {name: value for name, value in apt_environment().items() if name.lower().endswith("_proxy")}
        environment = {**settle_in(root), **proxies}
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root / "root" / "edgeaudio")], check=True)
        space = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
            "sh",
            "-ec",
            INSIDE,
        ]
        steps = [
            ["apt-get", "update", "--quiet=2"],
            ["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", PACKAGES],
            ["make", "-C", "/root/edgeaudio", "test-homeassistant", f"HOMEASSISTANT={version}"],
        ]
        for step in steps:
            if status := subprocess.run([*space, "sh", str(root), *step], env=environment, check=False).returncode:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
