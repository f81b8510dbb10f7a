"""What the hooks of dhclient-script(8) would leave in resolv.conf, told without running them.

Their commands are gone through as the shell would: conditions on ``reason``, ``interface``,
what DHCP says, files that are there and units that are enabled are decided; functions,
loops over words, here-documents, temporary files, ``echo``, ``printf``, ``cat``, ``tee``,
``cp``, ``mv`` and the usual ``sed`` are followed. What that does not reach is said to be
unknown, never guessed: a condition (what hangs on it may be so or not), a program (nobody
knows what it writes), a text that is computed.

    scene        what a rehearsal is given, and what comes out of it
    environment  variables, files and functions, and how sure they are
    interpreter  control flow, assignments, calls
    commands     the programs: what they say and write
    conditions   test(1) and patterns
    filters      echo, printf, sed and grep, as functions of texts
"""

from collections.abc import Mapping, Sequence

from dnsguard.formats.dhclient.files import DhclientFiles, Hook
from dnsguard.formats.dhclient.rehearsal.environment import Definition, Environment
from dnsguard.formats.dhclient.rehearsal.interpreter import FUNCTION, Interpreter
from dnsguard.formats.dhclient.rehearsal.scene import Outcome, Place, Scene, Writer
from dnsguard.formats.dhclient.shell import parser
from dnsguard.formats.dhclient.shell.tree import UNKNOWN, Body


def rehearse_files(
    dhclient: DhclientFiles, values: Mapping[str, str], current: str, own: Writer | None
) -> Outcome:
    """Return what a node's hooks and dhclient-script between them leave of resolv.conf.

    Ours is left out: that is how it is without dnsguard.

    :param values: the variables that dhclient sets.
    """
    scene = Scene(values=values, files=dict(dhclient.named), enabled=dhclient.enabled)
    enter = [hook for hook in dhclient.enter if not hook.is_ours]
    leave = [hook for hook in dhclient.exit if not hook.is_ours]
    return rehearse(enter, leave, scene, current, own)


def rehearse(
    enter: Sequence[Hook],
    exit: Sequence[Hook],  # noqa: A002 -- that is dhclient's word
    scene: Scene,
    current: str,
    own: Writer | None,
) -> Outcome:
    """Return what is left of a file after the hooks and what they stand around.

    :param own: None where dhclient-script doesn't call make_resolv_conf at all.
    """
    script = _DhclientScript(Environment(scene, current, own))
    for hook in enter:
        script.source(hook)
    if own is not None:
        script.call_make_resolv_conf()
    for hook in exit:
        script.source(hook)
    return script.report()


class _DhclientScript:
    """One run of dhclient-script: enter hooks, make_resolv_conf, exit hooks."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._interpreter = Interpreter(environment)
        self._passes = True
        self._is_own_written = False

    def source(self, hook: Hook) -> None:
        """Go through one hook (``run_hook``, /sbin/dhclient-script:143)."""
        if self._interpreter.has_ended:
            return
        self._environment.path = hook.path
        body = parser.parse(hook.content)
        if body is None:
            self._doubt(f"{hook.path} is too involved to be followed")
            return
        self._interpreter.run_to_its_end(body)

    def call_make_resolv_conf(self) -> None:
        """Do what dhclient-script does between the hooks (/sbin/dhclient-script:304, 377, 410)."""
        if self._interpreter.has_ended:
            return
        if self._interpreter.may_have_ended:
            self._doubt(f"{self._environment.path} may end dhclient-script")
        defined = self._environment.functions.get(FUNCTION)
        if defined is None:
            self._environment.write_own()
        elif not defined.is_certain:
            self._doubt(f"{defined.path}:{defined.line} may replace {FUNCTION}")
        else:
            self._call_replacement(defined)

    def _call_replacement(self, defined: Definition) -> None:
        environment = self._environment
        before = environment.resolv_conf
        wrote, may_write = len(environment.wrote), len(environment.may_write)
        environment.programs.clear()
        environment.path = defined.path
        self._interpreter.run_to_its_end(defined.body)
        tells = _mentions_dns(defined.body)
        programs, is_written = environment.programs, len(environment.wrote) > wrote
        if "resolvconf" in programs or (tells and not _is_told(environment.resolv_conf)):
            # As much as is known: what DHCP says comes out, maybe with more.
            environment.resolv_conf = before
            self._is_own_written = True
            environment.write_own()
            return
        self._passes = tells
        if programs and not is_written:
            self._doubt(f"{defined.path} runs {', '.join(dict.fromkeys(programs))}")
        elif len(environment.may_write) > may_write and not is_written:
            self._doubt(f"{defined.path} writes on a condition that can't be told")

    def _doubt(self, why: str) -> None:
        self._interpreter.unclear.append(why)

    def report(self) -> Outcome:
        """Return what is left in the end."""
        environment = self._environment
        defined = environment.functions.get(FUNCTION)
        text = environment.resolv_conf
        unclear = list(self._interpreter.unclear)
        if not _is_told(text):
            last = environment.wrote[-1] if environment.wrote else None
            who = "a hook" if last is None else f"{last.path}:{last.line}"
            unclear.append(f"{who} writes what can't be told from its text")
        return Outcome(
            text=None if unclear else text.replace(UNKNOWN, "..."),
            wrote=tuple(environment.wrote),
            may_write=tuple(dict.fromkeys(environment.may_write)),
            replaced=None
            if defined is None
            else Place(path=defined.path, line=defined.line, how=FUNCTION),
            is_replacement_certain=defined is None or defined.is_certain,
            is_own_written=self._is_own_written,
            passes=self._passes,
            unclear=tuple(dict.fromkeys(unclear)),
        )


def _is_told(text: str) -> bool:
    """Tell whether the nameservers are known; what stands in other lines may not be."""
    return not any(
        line.startswith(UNKNOWN) or (UNKNOWN in line and line.startswith("nameserver"))
        for line in text.split("\n")
    )


def _mentions_dns(body: Body) -> bool:
    """Tell whether commands use what DHCP says of nameservers."""
    return "name_servers" in repr(body)
