"""What the kubelet does for a pod, without one: volumes as it lays them out, a process with the pod's own host name.

Owns: the links of a volume and how they are replaced at once; where the folders of a pod are below one folder.
Does not know: what is in them. Mounts, users and the scheduler are Kubernetes' own, and not shown.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

from support.programs import AS_ROOT, require_program


class Volume:
    """A ConfigMap or Secret that is mounted as a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        folder.mkdir(parents=True)

    def replace(self, files: Mapping[str, str]) -> None:
        """Have these files there, all at once: each is a link through `..data`, which a new one replaces."""
        data = self.folder / "..data"
        before = data.resolve() if data.is_symlink() else None
        kept = self.folder / f"..2026_11_30_21_00_{next(self._numbers):02d}.1234"
        kept.mkdir()
        for name, text in files.items():
            (kept / name).write_text(text)
        new = self.folder / "..data_tmp"
        new.symlink_to(kept.name)
        new.rename(data)
        for name in files:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        if before is not None:
            for link in self.folder.iterdir():
                if link.is_symlink() and not link.exists():
                    link.unlink()
            shutil.rmtree(before)


def inside(folder: Path, text: str) -> str:
    """Return a container's path, or a text that is none, with the pod's folders below `folder`."""
    mounts = ("/data", "/etc/edgeaudio", "/run/")
    return f"{folder}{text}" if text.startswith(mounts) else text


def named(host: str) -> list[str]:
    """Return a command prefix: it runs the command behind it with that host name."""
    script = 'hostname "$0" && exec "$@"'
    return [require_program("unshare"), "--uts", *AS_ROOT, "sh", "-ec", script, host]
