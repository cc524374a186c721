"""Run the README's two commands on bare Debian machines: `make test-fresh`, or `python -m fresh [NAME ...]`.

Owns: the machines, and what of this one's network they are told. Does not know: what the commands do.

A machine is a root made by debootstrap, with what the README asks for and nothing else. It is kept in build/fresh
(FRESH_FOLDER), unpacked for each run, and given a clone of the committed tree. The commands run in namespaces of their
own: with their end all mounts and processes are gone. Certificates, proxies and the settings of apt and pip are those
of this machine, read when it is run. The exit status is 0 where all was right; docs/platforms.md has the last run of
each machine, with the commit that was tried, as the whole takes long.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaos.table import lines_of, put_row
from support.chosen import chosen_machines

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "platforms.md"
FOLDER = Path(os.environ.get("FRESH_FOLDER", ROOT / "build" / "fresh"))
PACKAGES = "python3,python3-venv,make,git,ca-certificates"
# Debian's release -> debootstrap's script; an older debootstrap knows no newer release, and all are made as sid is
MACHINES = {"bookworm": "bookworm", "trixie": "sid", "forky": "sid"}
SCRIPTS = Path("/usr/share/debootstrap/scripts")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
LIMIT_S = 30 * 60  # of one command
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


@dataclass(frozen=True)
class Row:
    """What came of one machine."""

    machine: str
    Python: str
    demo: str
    test: str
    passed: int
    skipped: int
    demo_with_installing_s: float
    test_with_installing_s: float
    tried: str  # date and commit

    @property
    def right(self) -> bool:
        return self.demo == self.test == "right" and self.passed > 0


def main() -> int:
    programs = {"debootstrap": "debootstrap", "unshare": "util-linux", "git": "git"}
    names = chosen_machines("fresh", "The README's two commands on bare Debian machines.", MACHINES, programs)
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True).stdout:
        print("fresh: what is not committed is not tried", file=sys.stderr)
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what runs, and takes the machine away
    rows = []
    for name in names or MACHINES:
        rows.append(run(name))
        DOCUMENT.write_text(tell(DOCUMENT.read_text(), rows[-1]))
    print("\n".join(lines_of(rows)))
    return 0 if all(row.right for row in rows) else 1


def tell(document: str, row: Row) -> str:
    """The document with that machine's row in its table."""
    return put_row(document, "fresh", f"`make test-fresh`, on {processor()}:", row, MACHINES)


def run(name: str) -> Row:
    """Run both commands on one machine; what they print goes to a file, and its end here if they fail."""
    kept = machine(name)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=FOLDER) as unpacked:
        root = Path(unpacked)
        subprocess.run(["tar", "-xf", str(kept), "-C", str(root)], check=True)
        environment = settle_in(root)
        clone = root / "root" / "edgeaudio"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        asked = ["git", "-C", str(clone), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        asked = ["chroot", str(root), "python3", "--version"]
        version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[-1]
        demo, _, demo_s = make(name, root, environment, "demo")
        test, output, test_s = make(name, root, environment, "test")
    found = {word: int(count) for count, word in re.findall(r"(\d+) (passed|skipped)\b", output)}
    tried = f"{datetime.now(UTC):%Y-%m-%d}, {commit}"
    return Row(name, version, demo, test, found.get("passed", 0), found.get("skipped", 0), demo_s, test_s, tried)


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
    """The mirror of Debian that this machine's apt uses; "" where it uses none."""
    if shutil.which("apt-get") is None:
        return ""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]
    sites = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((site for site in sites if "security" not in site), "")


def apt_environment() -> dict[str, str]:
    """The environment for debootstrap, which does not read the proxy that apt is told of."""
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
    """Files of this machine that the other needs at the same place: settings, and the files that those name."""
    settings = [Path("/etc/pip.conf"), *Path("/etc/xdg/pip").glob("*"), Path.home() / ".config" / "pip" / "pip.conf"]
    settings = [path for path in settings if path.is_file()]
    texts = [*environment.values(), *(path.read_text() for path in settings)]
    named = [Path(word) for text in texts for word in re.findall(r"/[^\s'\"=:]+", text)]
    yield from dict.fromkeys(
        path
        for path in [Path("/etc/resolv.conf"), Path("/etc/hosts"), Path(CERTIFICATES), *settings, *named]
        if path.is_file()
    )


def make(name: str, root: Path, environment: Mapping[str, str], target: str) -> tuple[str, str, float]:
    """Run `make TARGET` on the machine. Returns "right" or what went wrong, what was printed, and the seconds taken."""
    print(f"{name}: make {target} ...", flush=True)
    log = FOLDER / f"{name}-{target}.log"
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-ec", INSIDE]
    command += ["sh", str(root), "make", "--no-print-directory", "-C", "/root/edgeaudio", target]
    began_s = time.monotonic()
    with log.open("wb") as file:
        try:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=LIMIT_S,
                check=False,
            ).returncode
            result = f"exit status {status}" if status else "right"
        except subprocess.TimeoutExpired:
            result = f"not done after {LIMIT_S} s"
    took_s = time.monotonic() - began_s
    output = log.read_text(errors="replace")
    last = "\n".join(output.splitlines()[-1 if result == "right" else -40 :])
    print(f"{name}: make {target}: {result} after {took_s:.0f} s\n{last}", flush=True)
    return result, output, took_s


def processor() -> str:
    """The processor that the figures belong to."""
    told = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{os.cpu_count()} shared cores ({told[1] if told else 'of an unnamed kind'})"


if __name__ == "__main__":
    sys.exit(main())
