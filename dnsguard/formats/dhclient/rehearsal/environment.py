"""The world of a script while it is rehearsed: its variables, files and functions.

And how sure all of it is: whatever is done behind a condition that can't be told, may be
done or not, and so leaves ``UNKNOWN`` where something else was.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dnsguard.formats.dhclient import hooks
from dnsguard.formats.dhclient.rehearsal.scene import Place, Scene, Writer
from dnsguard.formats.dhclient.shell.tree import UNKNOWN, Body

RESOLV_CONF = "/etc/resolv.conf"
LONGEST = 1 << 16
"""Characters of a text; dhclient-script's are never so long."""

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*|[0-9@*#?$!])|\{([A-Za-z_]\w*|[0-9@*])([^}]{0,99})\})")
_COMPUTED = re.compile(r"\$\([^)]*\)|`[^`]*`")
_DNS = frozenset(
    {
        *("new_domain_name_servers", "new_domain_name", "new_domain_search"),
        *("new_dhcp6_name_servers", "new_dhcp6_domain_search"),
    }
)
"""dhclient's variables that dhclient-script makes resolv.conf from."""


@dataclass(slots=True)
class Definition:
    """A function, and the hook that defines it."""

    path: str
    line: int
    body: Body
    is_certain: bool


class Environment:
    """Variables, files and functions as they come to be."""

    def __init__(self, scene: Scene, current: str, own: Writer | None) -> None:
        self.functions: dict[str, Definition] = {}
        self.path = ""
        """The hook whose text is gone through."""
        self.may_have_left = False
        """Whether the hook or function may have come to its end by now."""
        self.loops = 0
        """How many are gone through, within each other."""
        self.may_have_left_loop = False
        """The same of this round of a loop; then of all that are left, too."""
        self.wrote: list[Place] = []
        self.may_write: list[Place] = []
        self.programs: list[str] = []
        """Programs that were run and of which nobody knows what they write."""
        self._scene = scene
        self._own = own
        self._variables: dict[str, str] = {}
        self._files: dict[str, str] = {RESOLV_CONF: current}
        self._certainty = True

    @property
    def resolv_conf(self) -> str:
        return self._files[RESOLV_CONF]

    @resolv_conf.setter
    def resolv_conf(self, text: str) -> None:
        self._files[RESOLV_CONF] = text

    # -- certainty ---------------------------------------------------------------------

    @property
    def is_certain(self) -> bool:
        """Whether what is done now is done at all."""
        return self._certainty and not (self.may_have_left or self.may_have_left_loop)

    @contextmanager
    def while_certain(self, is_certain: bool) -> Iterator[None]:  # noqa: FBT001 -- it is the claim
        """Take what is done meanwhile for as certain as that, at the most."""
        before = self._certainty
        self._certainty = before and is_certain
        try:
            yield
        finally:
            self._certainty = before

    @contextmanager
    def in_loop(self) -> Iterator[None]:
        """Have break and continue end there what they may end."""
        before = self.may_have_left_loop
        self.loops += 1
        try:
            yield
        finally:
            self.loops -= 1
            self.may_have_left_loop = before

    # -- functions ---------------------------------------------------------------------

    def define(self, name: str, line: int, body: Body) -> None:
        """Take a function's definition; the one before it is forgotten."""
        self.functions[name] = Definition(self.path, line, body, self.is_certain)

    def undefine(self, name: str) -> None:
        """``unset -f``; where that is not certain, the function stays."""
        if self.is_certain:
            self.functions.pop(name, None)

    def write_own(self) -> None:
        """Do what dhclient-script's own make_resolv_conf does, with the variables as they are."""
        if self._own is None:
            return
        changed = {name: value for name, value in self._variables.items() if name in _DNS}
        is_known = UNKNOWN not in "".join(changed.values())
        text = self._own(self.resolv_conf, changed) if is_known else UNKNOWN
        if text is not None:
            self.resolv_conf = text

    # -- variables ---------------------------------------------------------------------

    def get_variable(self, name: str) -> str:
        """Return what a script has set, empty where it has set nothing."""
        return self._variables.get(name, "")

    def set_variable(self, name: str, value: str) -> None:
        self._variables[name] = value if self.is_certain else UNKNOWN

    def expand(self, word: str, *, quotes: bool = True) -> str:
        """Return a word as the shell does, ``UNKNOWN`` for what can't be told.

        :param quotes: take quotes and backslashes away; in a here-document they are text.
        """
        parts = re.split(r"('[^']*')", word) if quotes else [word]
        found = []
        for part in parts:
            if quotes and part[:1] == "'" and part[-1:] == "'" and len(part) > 1:
                found.append(part[1:-1])
                continue
            text = _COMPUTED.sub(UNKNOWN, part)
            text = _VARIABLE.sub(self._substitute, text)
            if quotes:
                text = re.sub(r"\\\n", "", text.replace('"', ""))
                text = re.sub(r"\\([^nt\\])", r"\1", text)
            found.append(text)
        return "".join(found)[:LONGEST]

    def _substitute(self, match: re.Match[str]) -> str:
        """Return the value of ``$NAME``, ``${NAME:-WORD}`` and ``${NAME%%WORD*}``."""
        name, rest = match[1] or match[2], match[3] or ""
        if name in self._variables:
            value = self._variables[name]
        else:
            value = self._scene.values.get(name, UNKNOWN)
        if rest.startswith((":-", ":=")) and value in ("", UNKNOWN):
            return rest[2:].strip("\"'") if not value else UNKNOWN
        if rest.startswith("%%") and UNKNOWN not in value:
            return value.partition(rest[2:].removesuffix("*"))[0]
        return value if not rest or rest.startswith((":-", ":=", "-")) else UNKNOWN

    # -- files and units ---------------------------------------------------------------

    def is_resolv_conf(self, path: str) -> bool:
        return path == RESOLV_CONF or hooks.names_resolv_conf(path)

    def is_followed(self, path: str) -> bool:
        """Tell whether it is a file that a script has written by now, or resolv.conf."""
        return self.is_resolv_conf(path) or path in self._files

    def is_there(self, path: str) -> bool | None:
        """Tell whether a file is there, None where nobody looked."""
        if self.is_resolv_conf(path):
            return True
        if path in self._scene.files:
            return self._scene.files[path] is not None
        return None

    def is_enabled(self, unit: str) -> bool:
        return unit in self._scene.enabled

    def read(self, path: str) -> str:
        """Return a file's text, ``UNKNOWN`` where nobody looked."""
        key = RESOLV_CONF if self.is_resolv_conf(path) else path
        if key in self._files:
            return self._files[key]
        content = self._scene.files.get(path)
        return UNKNOWN if content is None else content.decode("utf-8", "replace")

    def write(self, path: str, text: str, *, adds: bool, line: int, how: str) -> None:
        """Write a file, or note that it may be written."""
        is_ours = self.is_resolv_conf(path)
        key = RESOLV_CONF if is_ours else path
        place = Place(path=self.path, line=line, how=how)
        if not self.is_certain:
            if is_ours:
                self.may_write.append(place)
            else:
                self._files[key] = UNKNOWN
            return
        self._files[key] = ((self._files.get(key, "") if adds else "") + text)[:LONGEST]
        if is_ours:
            self.wrote.append(place)
