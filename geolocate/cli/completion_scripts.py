"""The completion scripts' text for bash, zsh and fish.

In each shell the first word decides as in the program: a command name is that command, anything else belongs
to the default command, so a first word is completed with commands, files and the default command's options.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from geolocate.cli.click_tree import CommandSpec, OptionSpec, ProgramSpec, Value

_NOTICE = "# Written by scripts/build_completions.py from the program's own options: do not edit."
#: Choices beyond these letters would need quoting in three shells; they are not offered.
_PLAIN_WORD = re.compile(r"[\w.,+/-]+")

_BASH = """\
# bash completion for {program}
{notice}

_{program}() {{
    local IFS=$' \\t\\n'
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local command="" options="" words="" kind="" ended="" name clash="" i
    COMPREPLY=()

    # --option=value arrives as three words.
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi

    if ((COMP_CWORD > 1)); then
        case ${{COMP_WORDS[1]}} in
{commands}
        esac
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == "--" ]] && ended=1
    done

    case $command in
{arguments}
    esac

    if [[ -z $ended ]]; then
        case "${{command:-{default}}}:$previous" in
{values}
        esac
        if [[ $kind != value-* && $current == -* ]]; then
            COMPREPLY=($(compgen -W "$options" -- "$current"))
            compopt +o default 2>/dev/null
            return
        fi
    fi

    case $kind in
        *file) ;;
        *dir) compopt +o default -o dirnames 2>/dev/null ;;
        *) compopt +o default 2>/dev/null ;;
    esac
    [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))

    # Without a match bash completes files by itself; beside command names they have to be listed here.
    if [[ $kind == file && ${{#COMPREPLY[@]}} -gt 0 ]]; then
        while IFS= read -r name; do
            case $name in
                {names}) clash=1 ;; # such a folder is reached as ./NAME
                *) COMPREPLY+=("$name") ;;
            esac
        done < <(compgen -f -- "$current")
        [[ -z $clash ]] && compopt -o filenames 2>/dev/null
    fi
}}

complete -o default -F _{program} {program}
"""

_ZSH = """\
#compdef {program}
{notice}

_{program}_first() {{
    local -a commands
    commands=(
{summaries}
    )
    _alternative 'commands:command:{{_describe command commands}}' 'files:photo or folder:_files'
}}

{functions}

_{program}() {{
    local first=$words[2]
    if (( CURRENT == 2 )); then
        if [[ $first == -* ]]; then
            _arguments -s -S \\
{own} \\
{default_options}
        else
            _{program}_first
        fi
    elif (( ${{+functions[_{program}__$first]}} )); then
        shift words
        (( CURRENT-- ))
        _{program}__$first
    else
        _{program}__{default}
    fi
}}

if [[ $funcstack[1] == _{program} ]]; then
    _{program} "$@"
else
    compdef _{program} {program}
fi
"""

_FISH = """\
# fish completion for {program}
{notice}

function __{program}_at_first_word
    test (count (commandline -opc)) -eq 1
end

function __{program}_command
    set -l words (commandline -opc)
    set -l paths {paths}
    if set -q words[3]; and contains -- "$words[2] $words[3]" $paths
        echo "$words[2] $words[3]"
    else if set -q words[2]; and contains -- $words[2] $paths
        echo $words[2]
    else
        echo {default}
    end
end

function __{program}_in
    test (__{program}_command) = "$argv"
end

{lines}
"""


def bash_script(program: ProgramSpec) -> str:
    """The script for bash (3.2 or newer)."""
    commands = dict(_paths(program))
    own = _names(program.options)
    default_options = _names(program.default.options)
    top = " ".join(dict.fromkeys([*default_options, *own]))
    arguments = [_bash_arguments('""', top, [c.name for c in program.commands], Value("file"))]
    for path, command in commands.items():
        words = [sub.name for sub in command.commands]
        arguments.append(
            _bash_arguments(f'"{path}"', " ".join(_names(command.options)), words, _rest(command))
        )
    values = [
        _bash_value("|".join(f'"{path}:{name}"' for name in option.names), option.value)
        for path, command in commands.items()
        for option in command.options
        if option.value is not None
    ]
    below = [path for path in commands if " " in path]
    return _BASH.format(
        program=program.name,
        notice=_NOTICE,
        default=program.default.name,
        names="|".join(command.name for command in program.commands),
        commands="\n".join(_bash_commands(program, below)),
        arguments="\n".join(arguments),
        values="\n".join(values) or "            *) ;;",
    )


def _bash_commands(program: ProgramSpec, below: list[str]) -> Iterator[str]:
    names = "|".join(command.name for command in program.commands)
    yield f"            {names}) command=${{COMP_WORDS[1]}} ;;"
    yield f"            *) command={program.default.name} ;;"
    if below:
        yield "        esac"
        yield '        ((COMP_CWORD > 2)) && case "$command ${COMP_WORDS[2]}" in'
        quoted = "|".join(f'"{path}"' for path in below)
        yield f'            {quoted}) command="$command ${{COMP_WORDS[2]}}" ;;'


def _bash_arguments(pattern: str, options: str, words: Iterable[str], rest: Value) -> str:
    offered = " ".join([*words, *_plain(rest)])
    return f'        {pattern}) options="{options}" words="{offered}" kind={rest.kind or "none"} ;;'


def _bash_value(pattern: str, value: Value) -> str:
    return f'            {pattern}) kind=value-{value.kind or "none"} words="{" ".join(_plain(value))}" ;;'


def zsh_script(program: ProgramSpec) -> str:
    """The script for zsh."""
    summaries = [f"        {_zsh_quoted(_colons(c.name) + ':' + _colons(c.help))}" for c in program.commands]
    own = _zsh_lines(program.options, "            ")
    shared = {name for option in program.options for name in option.names}
    others = [option for option in program.default.options if not shared.intersection(option.names)]
    return _ZSH.format(
        program=program.name,
        notice=_NOTICE,
        default=program.default.name,
        summaries="\n".join(summaries),
        functions="\n\n".join(_zsh_functions(program)),
        own=" \\\n".join(own),
        default_options=" \\\n".join(
            [*_zsh_lines(others, "            "), "                '*:photo:_files'"]
        ),
    )


def _zsh_functions(program: ProgramSpec) -> Iterator[str]:
    for path, command in _paths(program):
        name = f"_{program.name}__{path.replace(' ', '__')}"
        specs = _zsh_lines(command.options, "")
        if command.arguments:
            specs.append(f"        {_zsh_quoted(f'*:argument:{_zsh_action(_rest(command))}')}")
        lines = " \\\n".join(specs)
        body = f"    _arguments -s -S \\\n{lines}"
        if command.commands:
            below = " ".join(sub.name for sub in command.commands)
            body = (
                f"    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
                f"        compadd {below}\n        return\n    fi\n"
                f"    if (( ${{+functions[{name}__$words[2]]}} )); then\n"
                f"        local below={name}__$words[2]\n"
                f"        shift words\n        (( CURRENT-- ))\n        $below\n        return\n"
                f"    fi\n{body}"
            )
        yield f"{name}() {{\n{body}\n}}"


def _zsh_lines(options: Iterable[OptionSpec], indent: str) -> list[str]:
    lines = []
    for option in options:
        excluded = "*" if option.repeats else f"({' '.join(option.names)})"
        for name in option.names:
            joined = "=" if option.value is not None and name.startswith("--") else ""
            help_text = re.sub(r"([\[\]:\\])", r"\\\1", option.help)
            action = "" if option.value is None else f":value:{_zsh_action(option.value)}"
            lines.append(f"        {indent}{_zsh_quoted(f'{excluded}{name}{joined}[{help_text}]{action}')}")
    return lines


def _zsh_action(value: Value) -> str:
    actions = {"file": "_files", "dir": "_files -/", "words": f"({' '.join(_plain(value))})"}
    return actions.get(value.kind, " ")


def _zsh_quoted(text: str) -> str:
    return shlex.quote(text)


def _colons(text: str) -> str:
    return text.replace(":", r"\:")


def fish_script(program: ProgramSpec) -> str:
    """The script for fish."""
    paths = dict(_paths(program))
    at_first_word = f"__{program.name}_at_first_word"
    lines = [
        f"complete -c {program.name} -n {at_first_word} -a {command.name} -d {_fish(command.help)}"
        for command in program.commands
    ]
    shared = {name for option in program.default.options for name in option.names}
    lines += [
        _fish_option(program, at_first_word, option)
        for option in program.options
        if not shared.intersection(option.names)
    ]
    for path, command in paths.items():
        condition = f"'__{program.name}_in {path}'"
        lines.append("")
        rest = _rest(command)
        offered = [*(sub.name for sub in command.commands), *_plain(rest)]
        if rest.kind != "file":
            words = f" -a {_fish(' '.join(offered))}" if offered else ""
            words = " -a '(__fish_complete_directories)'" if rest.kind == "dir" else words
            lines.append(f"complete -c {program.name} -n {condition} -f{words}")
        lines += [_fish_option(program, condition, option) for option in command.options]
    return _FISH.format(
        program=program.name,
        notice=_NOTICE,
        default=program.default.name,
        paths=" ".join(_fish(path) for path in paths),
        lines="\n".join(lines),
    )


def _fish_option(program: ProgramSpec, condition: str, option: OptionSpec) -> str:
    words = [f"complete -c {program.name} -n {condition}"]
    words += [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    if option.value is not None:
        values = {
            "file": "-r -F",
            "dir": "-x -a '(__fish_complete_directories)'",
            "words": f"-x -a {_fish(' '.join(_plain(option.value)))}",
        }
        words.append(values.get(option.value.kind, "-x"))
    return " ".join([*words, f"-d {_fish(option.help)}"])


def _fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _paths(program: ProgramSpec) -> Iterator[tuple[str, CommandSpec]]:
    """Each command under the words that call it; one level of commands below a command."""
    for command in program.commands:
        yield command.name, command
        for below in command.commands:
            yield f"{command.name} {below.name}", below


def _rest(command: CommandSpec) -> Value:
    """What the arguments of a command can be, wherever they stand: files win over words."""
    for kind in ("file", "dir"):
        if any(value.kind == kind for value in command.arguments):
            return Value(kind)
    words = tuple(word for value in command.arguments for word in value.words)
    return Value("words", words) if words else Value("")


def _names(options: Iterable[OptionSpec]) -> list[str]:
    return [name for option in options for name in option.names]


def _plain(value: Value) -> list[str]:
    return [word for word in value.words if _PLAIN_WORD.fullmatch(word)]
