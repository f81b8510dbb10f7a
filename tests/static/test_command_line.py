"""The manual and the completion know every command and option."""

import argparse
import re
import subprocess
from collections.abc import Iterable, Iterator

from dnsguard import cli
from static.manual import ROOT, items, page, section


def _parsers() -> dict[str, argparse.ArgumentParser]:
    """Return each command's parser, and the one above them as ``""``."""
    top = cli._make_parser()
    return {"": top, **dict(_commands(top))}


def _commands(above: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the commands below, and theirs: ``kubelet``, ``kubelet adopt``."""
    for action in above._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield name, parser
                yield from ((f"{name} {below}", one) for below, one in _commands(parser))


def _options(parsers: Iterable[argparse.ArgumentParser]) -> set[str]:
    return {
        option
        for parser in parsers
        for action in parser._actions
        for option in action.option_strings
    }


def test_every_command_is_in_the_manual() -> None:
    """COMMANDS is what ``dnsguard --help`` lists, in its order, and SYNOPSIS as well."""
    commands = [name for name in _parsers() if name]
    text = page("dnsguard.8")
    assert [_command(item) for item in items(section(text, "COMMANDS"), "Cm")] == commands
    synopsis = re.findall(r"^\.Cm (.+)", section(text, "SYNOPSIS"), re.MULTILINE)
    assert synopsis == commands


def _command(item: str) -> str:
    return re.split(r" (?:Op|Ar|Fl)\b", item)[0]


def test_every_option_is_in_the_manual() -> None:
    """The options described are those that the parsers take."""
    commands = section(page("dnsguard.8"), "COMMANDS")
    described = {
        "-" + word
        for item in items(commands, "Fl")
        for word in item.replace("Ar DIR", "").replace("Fl ", "").replace(",", "").split()
    }
    for item in items(commands, "Cm"):
        described |= {"-" + option for option in re.findall(r"Fl (\S+)", item)}
    assert described == _options(_parsers().values())


def test_the_manual_says_which_command_takes_an_option() -> None:
    """``--json`` stands beside the commands that have it."""
    described = {
        _command(item): {"-" + option for option in re.findall(r"Fl (\S+)", item)}
        for item in items(section(page("dnsguard.8"), "COMMANDS"), "Cm")
    }
    parsed = {
        name: _options([parser]) - {"-h", "--help"} for name, parser in _parsers().items() if name
    }
    assert described == parsed


COMPLETION = ROOT / "packaging/completions/dnsguard"


def _completed(*words: str) -> set[str]:
    """Return what bash offers behind these words."""
    script = f"""
        source {COMPLETION}
        COMP_WORDS=(dnsguard "$@" "") COMP_CWORD=$(($# + 1))
        _dnsguard
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_bash_completes_every_command_and_option() -> None:
    """What is offered is what the parsers take: no more, no less."""
    for name, parser in _parsers().items():
        offered = _completed(*name.split())
        below = {command for command, _ in _commands(parser) if " " not in command}
        choices = {
            choice
            for action in parser._actions
            if not action.option_strings and isinstance(action.choices, tuple)
            for choice in action.choices
        }
        assert offered == (_options([parser]) - {"-h"}) | below | choices, name
    assert _completed("status", "--wait") == set(cli._STATES)
