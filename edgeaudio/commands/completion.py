"""Completion for shells: scripts that know every command, option and choice.

Owns: the syntax of bash, zsh and fish. Does not know: the commands (parser_description.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from edgeaudio.commands.parser_description import CommandDescription, Option


def completion(shell: str, top: CommandDescription) -> str:
    """Return the script for a shell of SHELLS."""
    return "\n".join(SHELLS[shell](top)) + "\n"


def _bash(top: CommandDescription) -> Iterator[str]:
    yield "# bash completion for edgeaudio: source <(edgeaudio --completion bash)"
    yield "_edgeaudio() {"
    yield '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" at=edgeaudio i'
    # bash makes three words of --config=x
    yield '    [[ "$prev" == "=" ]] && prev="${COMP_WORDS[COMP_CWORD-2]}"'
    yield '    [[ "$cur" == "=" ]] && cur=""'
    yield "    for ((i = 1; i < COMP_CWORD; i++)); do"
    yield '        case "$at ${COMP_WORDS[i]}" in'
    for command in top.all():
        for below in command.commands:
            yield f'            "{below.prog}") at="{below.prog}" ;;'
    yield "        esac"
    yield "    done"
    yield '    case "$at $prev" in'
    for command in top.all():
        for option in command.options:
            if option.values != "none":
                names = " | ".join(f'"{command.prog} {name}"' for name in option.names)
                yield f"        {names}) {_bash_values(option)}; return ;;"
    yield "    esac"
    yield '    case "$at" in'
    for command in top.all():
        options = " ".join(name for option in command.options for name in option.names)
        place = f"{_bash_words(' '.join(below.name for below in command.commands))}"
        if not command.commands:
            place = _bash_values(command.places[0]) if command.places else "COMPREPLY=()"
        yield f'        "{command.prog}")'
        yield f'            if [[ "$cur" == -* ]]; then {_bash_words(options)}; else {place}; fi ;;'
    yield "    esac"
    yield "}"
    yield "complete -F _edgeaudio edgeaudio"


def _bash_words(words: str) -> str:
    return f"mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$cur\")"


def _bash_values(option: Option) -> str:
    if option.choices:
        return _bash_words(" ".join(option.choices))
    kind = {"file": "-f", "directory": "-d"}.get(option.values)
    if not kind:
        return "COMPREPLY=()"
    # only for files: else a folder with the name of a command gives that command a slash
    return f'compopt -o filenames 2>/dev/null || true; mapfile -t COMPREPLY < <(compgen {kind} -- "$cur")'


def _zsh(top: CommandDescription) -> Iterator[str]:
    yield "#compdef edgeaudio"
    yield "# zsh completion for edgeaudio: source <(edgeaudio --completion zsh), or as _edgeaudio in a folder of fpath"
    for command in reversed([*top.all()]):
        yield f"{_function(command)}() {{"
        yield "    local line state"
        yield "    local -a commands"
        yield "    _arguments -C \\"
        for option in command.options:
            for name in option.names:
                # a star: the option may be repeated; an equals sign: it may precede the value
                spec = f"{'*' * option.repeats}{name}{'=' * (option.values != 'none' and name.startswith('--'))}"
                yield f"        {_quoted(f'{spec}[{_zsh_escaped(option.help)}]{_zsh_values(option)}')} \\"
        if command.commands:
            yield "        '1: :->command' '*:: :->rest'"
            yield '    case "$state" in'
            yield "        command)"
            yield "            commands=("
            for below in command.commands:
                yield f"                {_quoted(f'{below.name}:{below.help}')}"
            yield "            )"
            yield "            _describe command commands ;;"
            yield "        rest)"
            yield '            case "$line[1]" in'
            for below in command.commands:
                yield f"                {below.name}) {_function(below)} ;;"
            yield "            esac ;;"
            yield "    esac"
        else:
            places = [_quoted(f"{number}{_zsh_values(place)}") for number, place in enumerate(command.places, 1)]
            yield f"        {' '.join(places) or _quoted('*: :')}"
        yield "}"
    yield 'if [ "$funcstack[1]" = _edgeaudio ]; then _edgeaudio "$@"; else compdef _edgeaudio edgeaudio; fi'


def _zsh_values(option: Option) -> str:
    if option.values == "none":
        return ""
    action = {"file": "_files", "directory": "_files -/", "any": " "}[option.values]
    if option.choices:
        action = f"({' '.join(option.choices)})"
    return f":{_zsh_escaped(option.metavar)}:{action}"


def _zsh_escaped(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _function(command: CommandDescription) -> str:
    return "_" + command.prog.replace(" ", "_")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(top: CommandDescription) -> Iterator[str]:
    yield "# fish completion for edgeaudio: edgeaudio --completion fish | source"
    yield "complete -c edgeaudio -f"
    for command in top.all():
        # fish has no order of the words before the cursor: all of this command's are there, and none of those below it
        words = command.prog.split()[1:]
        conditions = [f"__fish_seen_subcommand_from {word}" for word in words]
        if command.commands:
            below = " ".join(below.name for below in command.commands)
            conditions.append(f"not __fish_seen_subcommand_from {below}")
        start = f"complete -c edgeaudio -n {_fish_quoted('; and '.join(conditions))}" if conditions else ""
        for sub in command.commands:
            yield f"{start} -a {sub.name} -d {_fish_quoted(sub.help)}"
        for option in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            yield f"{start} {names}{_fish_values(option)} -d {_fish_quoted(option.help)}"
        if command.places and command.places[0].values in {"file", "directory"}:
            yield f"{start} -F"


def _fish_values(option: Option) -> str:
    if option.choices:
        return f" -x -a {_fish_quoted(' '.join(option.choices))}"
    return {"none": "", "any": " -x", "file": " -r -F", "directory": " -x -a '(__fish_complete_directories)'"}[
        option.values
    ]


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[CommandDescription], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
