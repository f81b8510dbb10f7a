"""The command ``restore``: resolv.conf as the last foreign writer left it.

Only without the daemon, which would repair at once what is put back.
"""

import argparse

from dnsguard import client, config, terminal
from dnsguard.core import links
from dnsguard.core.observation import MAX_FILE
from dnsguard.core.policy import fill_policy
from dnsguard.errors import DnsguardError, NoDaemonError, RefusedError, UsageError
from dnsguard.formats.guarded_resolvconf import unguard
from dnsguard.formats.resolvconf import read_nameservers
from dnsguard.host import kubelet, resolvfile
from dnsguard.host.files import read_whole
from dnsguard.host.resolvfile import Replaced
from dnsguard.paths import Paths
from dnsguard.text_diff import make_diff


def run(options: argparse.Namespace) -> int:
    return restore(Paths(options.root), is_sure=options.yes)


def restore(paths: Paths, *, is_sure: bool) -> int:
    """Show what would change and, if somebody says yes, put the file back.

    :raises RefusedError: the daemon runs, or nobody said yes.
    """
    path, seen = paths.resolv_conf, resolvfile.observe(paths.resolv_conf)
    foreign = _read_foreign(paths, seen.content)
    changes = make_diff(seen.content, foreign, f"{path} (now)", f"{path} (restored)")
    if seen.trouble is None and not changes:
        terminal.say(f"{path} is as the last foreign writer left it")
        return 0
    terminal.say(*changes)
    if (link := links.replaced_link(seen)) is not None:
        terminal.say(f"It was a link to {link}, and becomes one again.")
    if warning := _explain_warning(paths, foreign):
        terminal.complain(warning)
    _check_no_daemon(paths)
    if not (is_sure or _confirm()):
        raise RefusedError(f"{path} stays as it is")
    if link is not None:
        outcome = resolvfile.put_link(path, link, seen)
    else:
        outcome = resolvfile.replace(path, foreign, seen)
    if outcome.result in (Replaced.FAILED, Replaced.CHANGED):
        why = outcome.error or "somebody else has just written it: look again"
        raise DnsguardError(f"{path} could not be written: {why}")
    resolvfile.sync((path,))
    return 0


def _read_foreign(paths: Paths, content: bytes) -> bytes:
    """Return what somebody else wrote last: the file itself tells it, or what was kept."""
    if content:
        return unguard(content)
    try:
        return read_whole(paths.foreign, MAX_FILE)
    except OSError as error:
        raise DnsguardError(f"nothing to restore: {paths.foreign}: {error.strerror}") from error


def _explain_warning(paths: Paths, foreign: bytes) -> str | None:
    policy = fill_policy(config.load(paths.config).policy, kubelet.read_kubelet(paths.root))
    named = {server.address for server in read_nameservers(foreign)}
    if not named:
        return "the restored file names no nameserver"
    if named <= policy.cluster:
        return "the restored file names cluster addresses only, and fails while NodeLocalDNS does"
    return None


def _check_no_daemon(paths: Paths) -> None:
    try:
        client.ask(paths.socket, "status")
    except NoDaemonError:
        return
    raise RefusedError(
        "the daemon runs and would repair the file at once: systemctl stop dnsguard first,"
        " or dnsguard hold nodelocal to have NodeLocalDNS in it"
    )


def _confirm() -> bool:
    agreed = terminal.confirm("Put it back?")
    if agreed is None:
        raise UsageError("nobody can be asked here: dnsguard restore --yes puts it back")
    return agreed
