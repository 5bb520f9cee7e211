"""Static completion scripts, written from the program's own click tree.

Click's own scripts start the program at each TAB; these hold all commands and options as text.
``_GEOLOCATE_COMPLETE=bash_source geolocate`` prints the same script that ``completions/`` holds.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, FishComplete, ZshComplete, add_completion_class

from geolocate.cli.click_tree import describe
from geolocate.cli.completion_scripts import bash_script, fish_script, zsh_script
from geolocate.cli.group import DefaultGroup

#: Names of the scripts as each shell looks them up, with what writes them.
SCRIPTS = {"geolocate.bash": bash_script, "_geolocate": zsh_script, "geolocate.fish": fish_script}


def completion_scripts(group: DefaultGroup) -> dict[str, str]:
    """File name and text of each script; imports the module of each command."""
    program = describe(group)
    return {name: script(program) for name, script in SCRIPTS.items()}


def register_static_scripts(group: DefaultGroup) -> None:
    """Makes ``_GEOLOCATE_COMPLETE=SHELL_source`` print the static scripts instead of click's."""

    class StaticBash(BashComplete):
        def source(self) -> str:
            return bash_script(describe(group))

    class StaticZsh(ZshComplete):
        def source(self) -> str:
            return zsh_script(describe(group))

    class StaticFish(FishComplete):
        def source(self) -> str:
            return fish_script(describe(group))

    for complete in (StaticBash, StaticZsh, StaticFish):
        add_completion_class(complete)
