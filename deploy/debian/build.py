"""Build the .deb for the distribution that this runs on: `make deb`, or `python3 deploy/debian/build.py`.

Owns: the content of the package, and its metadata for dpkg (control, the scripts beside this file).
Does not know: how packages are tried (tests/deb/).

A virtual environment belongs to the Python that made it, so the package depends on that one (python3.11, say), and a
package is built for each distribution. Releases come from deploy/requirements/, by hash. Needs python3 with its venv
module, and dpkg-deb; it may be run by any user.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
OUT = ROOT / "build" / "debian"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
RELEASE = "etc/edgeaudio/releases/debian"  # what /etc/edgeaudio/current leads to, unless it leads elsewhere already
# files that edgeaudio prints itself
PRINTED = {
    "usr/share/man/man1/edgeaudio.1.gz": ["--man"],
    "usr/share/bash-completion/completions/edgeaudio": ["--completion", "bash"],
    "usr/share/zsh/vendor-completions/_edgeaudio": ["--completion", "zsh"],
    "usr/share/fish/vendor_completions.d/edgeaudio.fish": ["--completion", "fish"],
}
CONTROL = """\
Package: edgeaudio
Version: {version}
Architecture: {architecture}
Maintainer: the edgeaudio project <edgeaudio@localhost>
Depends: {python}, libc6 (>= 2.35), systemd (>= 252)
Recommends: ca-certificates, libasound2-data
Section: sound
Priority: optional
Installed-Size: {size_kb}
Description: recognises sounds of cameras and hydrophones, publishes over MQTT
 Listens to cameras, streams and sound cards, recognises sounds with a TFLite
 model, and publishes them to an MQTT broker.
"""


def main() -> None:
    """Build the package, and print its path."""
    os.umask(0o022)  # what is made here, others shall read there
    architecture = output("dpkg", "--print-architecture")
    requirements = ROOT / "deploy" / "requirements" / f"{architecture}-{PYTHON.removeprefix('python')}.txt"
    if not requirements.exists():
        sys.exit(f"build: no TFLite runtime serves {architecture} with {PYTHON}; docs/platforms.md says what is served")
    version = re.findall(r'__version__ = "(.+)"', (ROOT / "edgeaudio" / "version.py").read_text())[0]
    tree = OUT / "tree"
    shutil.rmtree(OUT, ignore_errors=True)
    environment = tree / "opt" / "edgeaudio" / version
    fill(environment, requirements, version)
    lay_out(tree, environment)
    package_version = debian_version(version)
    write_control(tree, package_version, architecture)
    package = OUT / f"edgeaudio_{package_version}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", tree, package)
    print(package)


def fill(environment: Path, requirements: Path, version: str) -> None:
    """Make the virtual environment, with the paths of /opt/edgeaudio."""
    run(f"/usr/bin/{PYTHON}", "-m", "venv", "--without-pip", environment)
    run(f"/usr/bin/{PYTHON}", "-m", "venv", OUT / "pip")
    pip: list[str | Path] = [OUT / "pip" / "bin" / "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", OUT, ROOT)
    (wheel,) = OUT.glob("*.whl")
    install: list[str | Path] = [
        *pip,
        "--python",
        environment / "bin" / "python",
        "install",
        "--no-deps",
        "--no-compile",
    ]
    unhashed = requirements.with_name(f"{requirements.stem}-unhashed.txt")
    if unhashed.exists():
        run(*install, "--only-binary=:all:", "--requirement", unhashed)
    run(*install, "--only-binary=:all:", "--require-hashes", "--requirement", requirements)
    run(*install, wheel)
    for script in (environment / "bin").iterdir():
        if not script.name.startswith(("python", "edgeaudio")):
            script.unlink()
    program = environment / "bin" / "edgeaudio"
    _, _, rest = program.read_text().partition("\n")
    program.write_text(f"#!/opt/edgeaudio/{version}/bin/python\n{rest}")
    # compiled now, because nobody may write there later; with the paths that tracebacks shall show
    libraries = environment / "lib"
    run(program.with_name("python"), "-m", "compileall", "-q", "-s", OUT / "tree", "-p", "/", libraries)


def lay_out(tree: Path, environment: Path) -> None:
    """Copy the unit, the release and the documents to their places."""
    release = tree / RELEASE
    for name in ("credentials", "models"):
        (release / name).mkdir(parents=True)
    (release / "credentials").chmod(0o700)
    (release / "venv").symlink_to(f"/{environment.relative_to(tree)}")
    units = tree / "usr" / "lib" / "systemd" / "system"
    papers = tree / "usr" / "share" / "doc" / "edgeaudio"
    for source, folder in (("edgeaudio.service", units), ("sound-card.conf", papers)):
        folder.mkdir(parents=True)
        shutil.copyfile(ROOT / "deploy" / "systemd" / source, folder / source)
    for name, words in PRINTED.items():
        (tree / name).parent.mkdir(parents=True)
        text = output(environment / "bin" / "python", "-m", "edgeaudio", *words) + "\n"
        # without a time, so that a package is the same each time that it is built
        content = gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode()
        (tree / name).write_bytes(content)
    shutil.copyfile(ROOT / "LICENSE", papers / "copyright")
    shutil.copytree(ROOT / "docs", papers, copy_function=shutil.copyfile, dirs_exist_ok=True)


def write_control(tree: Path, version: str, architecture: str) -> None:
    """Write the files for dpkg, after all others."""
    size_kb = sum(path.lstat().st_size for path in tree.rglob("*")) // 1024
    control = tree / "DEBIAN"
    control.mkdir()
    words = {"version": version, "architecture": architecture, "python": PYTHON, "size_kb": size_kb}
    (control / "control").write_text(CONTROL.format(**words))
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(HERE / name, control)
        (control / name).chmod(0o755)


def debian_version(version: str) -> str:
    """Return the version of the package: an earlier one for the older distribution, and for what is no release yet."""
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
    suffix = system["ID"] + (system.get("VERSION_ID") or system.get("VERSION_CODENAME", ""))
    sorted_early = re.sub(r"[.]?(a|b|rc|dev)([0-9])", r"~\1\2", version)
    return f"{sorted_early}-1~{suffix}"


def run(*command: str | Path) -> None:
    """Run a command. Ends this process if it fails: it has printed why."""
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode:  # noqa: S603 (words of this file)
        sys.exit(f"build: {' '.join(map(str, command[:4]))} ... failed")


def output(*command: str | Path) -> str:
    """Return the output of a command."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()  # noqa: S603 (words of this file)


if __name__ == "__main__":
    main()
