"""Examples, completion and the manual page: made from the parsers, tried in the programs that they are for."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from support.programs import require_program
from support.terminals import terminal

from edgeaudio.cli import main, parser
from edgeaudio.commands.parser_description import describe

COMMANDS = [*describe(parser()).all()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("porch.flac", "edgeaudio.toml"):
        (tmp_path / name).touch()
    for name in ("models", "probe"):  # one has a command's name
        (tmp_path / name).mkdir()
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_command_has_examples_and_they_can_be_typed(capsys) -> None:
    for command in COMMANDS:
        assert command.examples
        help_text = printed(capsys, *command.prog.split()[1:], "--help")
        for example in command.examples:
            words = shlex.split(example.partition(" >")[0])
            assert parser().parse_args(words[1:]).command
            assert f"\n  {example}\n" in help_text


def test_every_command_and_option_explains_itself() -> None:
    for command in COMMANDS[1:]:
        assert command.help
        assert command.description
        for option in (*command.options, *command.places):
            assert option.help or option.metavar


CASES = [
    ("edgeaudio pro", {"probe"}),
    ("edgeaudio model ", {"add", "init", "inspect", "verify"}),
    ("edgeaudio model in", {"init", "inspect"}),
    ("edgeaudio check --off", {"--offline"}),
    ("edgeaudio --completion ", {"bash", "zsh", "fish"}),
    ("edgeaudio probe po", {"porch.flac"}),
    ("edgeaudio probe porch.flac --config e", {"edgeaudio.toml"}),
    ("edgeaudio score --model m", {"models"}),
    ("edgeaudio run --set x", set()),
    ("edgeaudio run --set x=1 --se", {"--set"}),
    ("edgeaudio test po", set()),
]


def test_bash_completes(folder: Path, capsys) -> None:
    bash = require_program("bash")
    script = printed(capsys, "--completion", "bash")
    for line, wanted in CASES:
        words = " ".join(map(shlex.quote, line.split(" ")))
        ask = f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _edgeaudio"
        ask += "; printf '%s\\n' \"${COMPREPLY[@]}\""
        command = [bash, "--norc", "-euc", f"{script}\n{ask}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
        assert (set(done.stdout.split()), done.stderr) == (wanted, ""), line


# a shell's own way to say it: bash makes three words of it, fish completes all of it
EQUALS = [("edgeaudio run --config=e", "edgeaudio.toml"), ("edgeaudio model init --kind=l", "log_mel")]


def test_bash_on_a_terminal(folder: Path, capsys) -> None:
    bash = require_program("bash")
    (folder / "complete.bash").write_text(printed(capsys, "--completion", "bash"))
    with terminal([bash, "--norc", "--noprofile", "-i"], environment={"HOME": str(folder)}, folder=folder) as shell:
        shell.type("source ./complete.bash; echo load''ed\n", "loaded")
        for line, wanted in [("edgeaudio prob", "probe "), ("edgeaudio score --model mo", "models/"), *EQUALS]:
            shell.type(f"\x15{line}\t", wanted)


def test_fish_completes(folder: Path, capsys) -> None:
    fish = require_program("fish")
    script = folder / "complete.fish"
    script.write_text(printed(capsys, "--completion", "fish"))
    asks = "; ".join(f"complete -C '{line}'; echo =" for line, _ in CASES)
    environment = {**os.environ, "HOME": str(folder), "TERM": "dumb"}
    done = subprocess.run(
        [fish, "--no-config", "-c", f"source {script}; {asks}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    answers = done.stdout.split("=\n")
    for (line, wanted), answer in zip(CASES, answers, strict=False):
        assert {said.partition("\t")[0].rstrip("/") for said in answer.splitlines()} == wanted, line


def test_zsh_completes(folder: Path, capsys) -> None:
    zsh = require_program("zsh")
    (folder / "complete.zsh").write_text(printed(capsys, "--completion", "zsh"))
    with terminal([zsh, "-f", "-i"], environment={"HOME": str(folder)}, folder=folder) as shell:
        shell.type("autoload -U compinit; compinit -u -D; source ./complete.zsh; echo load''ed\n", "loaded")
        for line, wanted in [*((line, next(iter(words))) for line, words in CASES if len(words) == 1), *EQUALS]:
            shell.type(f"\x15{line}\t", wanted)


def test_the_manual_page_is_sound_and_names_everything(tmp_path: Path, capsys) -> None:
    page = tmp_path / "edgeaudio.1"
    page.write_text(printed(capsys, "--man"))
    groff = [require_program("groff"), "-man", "-Tascii", "-ww", "-rLL=200n", "-P-cbou", str(page)]
    shown = subprocess.run(groff, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stderr == ""
    text = " ".join(shown.stdout.split())
    for command in COMMANDS:
        assert command.prog in text
        assert " ".join(command.description.split()) in text
        for option in command.options:
            assert all(name in text for name in option.names)
            assert option.help in text
        assert all(example in text for example in command.examples)
