"""Bare Debian machines: roots made by debootstrap, with what the README asks for and nothing else.

Owns: the roots, kept in build/fresh (FRESH_FOLDER), and which of this machine's settings they get: certificates,
proxies, and those of pip. Does not know: what runs in them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("FRESH_FOLDER", ROOT / "build" / "fresh"))
PACKAGES = "python3,python3-venv,make,git,ca-certificates"
# Debian's release -> debootstrap's script; an older debootstrap knows no newer release, and all are made as sid is
MACHINES = {"bookworm": "bookworm", "trixie": "sid", "forky": "sid"}
SCRIPTS = Path("/usr/share/debootstrap/scripts")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# $1 is the root; the rest is run in it
INSIDE = """
root=$1; shift
mount --rbind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
exec chroot . "$@"
"""


def machine(name: str) -> Path:
    """Return the kept root of that machine, a tar file, and make it if it is not there."""
    kept = FOLDER / f"{name}.tar"
    if kept.exists():
        return kept
    script = SCRIPTS / (name if (SCRIPTS / name).exists() else MACHINES[name])
    if mirror := apt_mirror():
        bootstrap(kept, name, mirror, str(script))
    elif (SCRIPTS / name).exists():
        bootstrap(kept, name)
    else:
        raise SystemExit(f"fresh: this debootstrap has no {name}, and apt names no mirror of Debian for it")
    return kept


def bootstrap(kept: Path, name: str, *mirror_and_script: str, options: Collection[str] = ()) -> None:
    """Make a root by debootstrap, as a tar file. Raises SystemExit where that fails."""
    print(f"{name}: making the machine ...", flush=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=kept.parent) as made:
        Path(made).chmod(0o755)  # it becomes the machine's root, where everybody may look
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", *options, name, made]
        command += mirror_and_script
        log = kept.with_name(f"{name}-debootstrap.log")
        with log.open("wb") as file:
            if subprocess.run(command, stdout=file, stderr=file, env=apt_environment(), check=False).returncode:
                raise SystemExit(f"fresh: debootstrap failed, see {log}")
        shutil.rmtree(Path(made) / "var" / "cache" / "apt" / "archives")
        unfinished = kept.with_suffix(".unfinished")
        subprocess.run(["tar", "-cf", str(unfinished), "-C", made, "."], check=True)
    unfinished.replace(kept)


def apt_mirror() -> str:
    """Return the mirror of Debian that this machine's apt uses; "" for none."""
    if shutil.which("apt-get") is None:
        return ""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]
    sites = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((site for site in sites if "security" not in site), "")


def apt_environment() -> dict[str, str]:
    """Return the environment for debootstrap, which does not read apt's setting of a proxy."""
    environment = dict(os.environ)
    if "http_proxy" not in environment and shutil.which("apt-config"):
        command = ["apt-config", "shell", "proxy", "Acquire::http::Proxy"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if found := re.search(r"proxy='(.+)'", said):
            environment["http_proxy"] = found[1]
    return environment


def settle_in(root: Path) -> dict[str, str]:
    """Give the machine this one's names, certificates and pip's settings; returns the environment for it."""
    told = {
        name: value
        for name, value in os.environ.items()
        if name.lower().endswith("_proxy") or name.startswith(("PIP_", "SSL_CERT_")) or name == "REQUESTS_CA_BUNDLE"
    }
    for path in carried(told):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return {"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **told}


def carried(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield files that the machine needs at the same place as this one: settings, and the files that they name."""
    settings = [Path("/etc/pip.conf"), *Path("/etc/xdg/pip").glob("*"), Path.home() / ".config" / "pip" / "pip.conf"]
    settings = [path for path in settings if path.is_file()]
    texts = [*environment.values(), *(path.read_text() for path in settings)]
    named = [Path(word) for text in texts for word in re.findall(r"/[^\s'\"=:]+", text)]
    yield from dict.fromkeys(
        path
        for path in [Path("/etc/resolv.conf"), Path("/etc/hosts"), Path(CERTIFICATES), *settings, *named]
        if path.is_file()
    )


def processor() -> str:
    """Return the processor that was measured on."""
    told = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{os.cpu_count()} shared cores ({told[1] if told else 'of an unnamed kind'})"
