"""What the kubelet does for a pod, without one: volumes as it lays them out, a process with the pod's own host name.

Owns: the links of a volume and how they are replaced at once; where a pod's folders are below one folder; its rights.
Does not know: what is in them. The scheduler, seccomp and limits are the cluster's own, and not shown.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    mounts = ("/data", "/etc/edgeaudio", "/run/", "/tmp")
    return f"{folder}{text}" if text.startswith(mounts) else text


def named(host: str) -> list[str]:
    """Return a command prefix: it runs the command behind it with that host name."""
    script = 'hostname "$0" && exec "$@"'
    return [require_program("unshare"), "--uts", *AS_ROOT, "sh", "-ec", script, host]


def with_rights(pod: Mapping[str, Any], host: str, folder: Path) -> list[str]:
    """Return a command prefix, for root: it runs the command behind it with the rights of a pod's only container.

    pod: its specification. folder: where its folders are (`inside`); it may write to those that are mounted so.
    """
    (container,) = pod["containers"]
    rights, user = container["securityContext"], pod["securityContext"]
    script = 'hostname "$0"\n'
    for mount in container["volumeMounts"]:
        if not mount.get("readOnly"):
            path = inside(folder, mount["mountPath"])
            script += f"mount --bind '{path}' '{path}'\n"
    if rights["readOnlyRootFilesystem"]:
        script += "mount -o remount,bind,ro /\n"
    identity = [f"--reuid={user['runAsUser']}", f"--regid={user['runAsGroup']}", f"--groups={user['fsGroup']}"]
    if rights["capabilities"] == {"drop": ["ALL"]}:
        identity += ["--bounding-set=-all", "--inh-caps=-all"]
    if not rights["allowPrivilegeEscalation"]:
        identity += ["--no-new-privs"]
    script += 'exec "$@"'
    unshared = [require_program("unshare"), "--uts", "--mount", "sh", "-ec", script, host]
    return [*unshared, require_program("setpriv"), *identity]
