"""``dnsguard kubelet adopt``: kubelet hands pods the file that dnsguard keeps for them.

One line of one file is changed, and nothing is restarted unless told to.
"""

import argparse
import os
import socket
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dnsguard import config, text_diff
from dnsguard.commands.kubelet import POD_FILE, _list_servers
from dnsguard.core.policy import fill_policy
from dnsguard.errors import DnsguardError, NotPermittedError, UsageError
from dnsguard.formats import kubelet as core
from dnsguard.formats import kubelet_edits
from dnsguard.formats.kubelet import RESOLV_CONF, Kubelet, Setting
from dnsguard.host import atomic, yaml_text
from dnsguard.host import kubelet as host
from dnsguard.host.attributes import Attributes
from dnsguard.host.files import read_bounded
from dnsguard.paths import Paths
from dnsguard.terminal import say

_MOST = 1 << 16
_DNS_PODS = "k8s-app in (kube-dns, node-local-dns, nodelocaldns)"
_DNS_NAMES = "^(coredns|nodelocaldns|node-local-dns)-"
_LASTING = f"""\
To make it last:
  Kubespray: kube_resolv_conf: {POD_FILE} in the inventory
  kubeadm:   resolvConf: {POD_FILE} in kubectl -n kube-system edit configmap kubelet-config,
             then kubeadm upgrade node phase kubelet-config on the node; for new clusters in
             the KubeletConfiguration given to kubeadm init"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file, as it is and as it will be."""

    name: str
    path: Path
    before: str
    after: str
    status: os.stat_result
    backup: Path | None = None
    """What it is restored from."""


def run(options: argparse.Namespace) -> int:
    return adopt(
        Paths(options.root),
        is_dry_run=options.dry_run,
        is_undo=options.undo,
        is_restart=options.restart,
    )


def adopt(paths: Paths, *, is_dry_run: bool, is_undo: bool, is_restart: bool) -> int:
    """Point kubelet at the file that dnsguard keeps for it, or back.

    :raises DnsguardError: it would break pods, or nobody can tell what to change.
    """
    if not is_dry_run and os.geteuid() != 0:
        raise NotPermittedError("adopting takes root: sudo dnsguard kubelet adopt")
    kubelet = host.read_kubelet(paths.root)
    if kubelet is None:
        raise DnsguardError("there is no kubelet on this node: nothing to adopt")
    if kubelet.remedy is not None:
        by_hand = _undo_by_hand(kubelet) if is_undo else kubelet.by_hand
        raise DnsguardError(f"no line of kubelet's own to change here: {by_hand}")
    if is_restart and paths.root != Path("/"):
        raise UsageError("--restart is for this machine's kubelet: not with --root")
    if is_undo:
        change = _undo(paths.root, kubelet.resolv_conf)
    else:
        _check_upstreams(paths, kubelet)
        change = _make_change(paths.root, kubelet)
    if change is None:
        say(f"Nothing to do: {kubelet.resolv_conf.origin} is {kubelet.resolv_conf.value}")
    elif is_dry_run:
        say(*diff(change))
    else:
        _apply(change)
    if not is_dry_run and (change is not None or kubelet.is_stale):
        _finish(kubelet, is_restart=is_restart)
        if not is_undo:
            say(*_LASTING.split("\n"))
    return 0


def _undo_by_hand(kubelet: Kubelet) -> str:
    """Return how pods get another file than ours where ``adopt`` has no line to change."""
    setting = kubelet.resolv_conf
    if setting.value != POD_FILE:
        return f"{setting.origin} is {setting.value}, and nothing is to be undone"
    return f"take {POD_FILE} out of {setting.path or setting.origin}, then {kubelet.restart}"


def _check_upstreams(paths: Paths, kubelet: Kubelet) -> None:
    """Refuse to point pods at a file that would leave them without names."""
    cluster = fill_policy(config.load(paths.config).policy, kubelet).cluster
    if not any(one not in cluster for one in _list_servers(paths.root, POD_FILE)):
        remedy = "start dnsguard first: systemctl start dnsguard"
        raise DnsguardError(f"{POD_FILE} names no upstream, and pods would get none: {remedy}")


def _make_change(root: Path, kubelet: Kubelet) -> Change | None:
    """Return what points kubelet at our file, None where it is so already."""
    setting = kubelet.resolv_conf
    if setting.value == POD_FILE:
        return None
    if setting.name == core.UNREADABLE:
        raise DnsguardError(f"{setting.origin}: nobody can tell what to change")
    name = setting.path or (None if setting.is_flag else kubelet.config)
    if name is None:
        raise DnsguardError(
            f"{setting.origin}: no file to change; have kubelet started with"
            f" {core.RESOLV_CONF_FLAG}={POD_FILE} (kubeadm: KUBELET_EXTRA_ARGS in"
            " /etc/default/kubelet)"
        )
    path, before, status = _read(root, name)
    after = _edit(before, is_flag=setting.is_flag)
    if after is None:
        by_hand = f"set {setting.name or RESOLV_CONF} to {POD_FILE} by hand"
        raise DnsguardError(f"{name} is not written so that one line can be changed: {by_hand}")
    return Change(name=name, path=path, before=before, after=after, status=status)


def _edit(before: str, *, is_flag: bool) -> str | None:
    """Return the text with our file in it and nothing else changed, None where it can't be."""
    if is_flag:
        return kubelet_edits.replace_flag(before, core.RESOLV_CONF_FLAG, POD_FILE)
    document = yaml_text.load(os.fsencode(before))
    if not isinstance(document, dict):
        return None
    wanted = {**document, RESOLV_CONF: POD_FILE}
    # A second mention of a key would be an error to kubelet.
    texts_with = kubelet_edits.replace_key if RESOLV_CONF in document else kubelet_edits.add_key
    texts = texts_with(before, RESOLV_CONF, POD_FILE)
    return next((one for one in texts if yaml_text.load(os.fsencode(one)) == wanted), None)


def _undo(root: Path, setting: Setting) -> Change | None:
    """Return what gives back the value of before: the whole file if nobody has changed it."""
    if setting.value != POD_FILE or setting.path is None:
        return None
    path, current, status = _read(root, setting.path)
    backups = sorted(path.parent.glob(f"{path.name}.dnsguard-*~"))
    if not backups:
        raise DnsguardError(f"{setting.path}: no backup beside it; dnsguard has not adopted it")
    before = _decode(backups[-1])
    after = _edit(before, is_flag=setting.is_flag)
    restored = None if after is None else kubelet_edits.undo(current, before, after)
    if restored is None:
        raise DnsguardError(f"{setting.path} has changed too much; it was {backups[-1]}")
    return Change(
        name=setting.path,
        path=path,
        before=current,
        after=restored,
        status=status,
        backup=backups[-1],
    )


def _read(root: Path, name: str) -> tuple[Path, str, os.stat_result]:
    """Return a file's own path, behind links, its text and what else is to be kept."""
    path = Path(os.path.realpath(root / name.lstrip("/")))
    try:
        status = path.stat()
    except OSError as error:
        raise DnsguardError(f"{name}: {error.strerror}") from error
    return path, _decode(path), status


def _decode(path: Path) -> str:
    content = read_bounded(path, _MOST + 1)
    if content is None or len(content) > _MOST:
        raise DnsguardError(f"{path}: {core.UNREADABLE}")
    return os.fsdecode(content)


def diff(change: Change) -> list[str]:
    """Return the change as a unified diff."""
    before, after = os.fsencode(change.before), os.fsencode(change.after)
    return text_diff.make_diff(before, after, change.name, change.name)


def _apply(change: Change) -> None:
    path = change.path
    # "~": systemd and kubelet's drop-in directories read *.conf.
    backup = path.with_name(f"{path.name}.dnsguard-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}~")
    try:
        if change.backup is None:
            write(backup, change.before, change.status)
        if _decode(path) != change.before:
            raise DnsguardError(f"{change.name} was changed a moment ago: try again")
        write(path, change.after, change.status)
        if change.backup is not None and _decode(change.backup) == change.after:
            change.backup.unlink()
    except OSError as error:
        raise DnsguardError(f"{change.name}: {error.strerror}") from error
    kept = f", what it was is in {backup.name}" if change.backup is None else ""
    say(f"Changed {change.name}{kept}:", *diff(change))


def write(path: Path, text: str, status: os.stat_result) -> None:
    """Replace a file in one step that outlives a power cut; owner and mode are kept.

    :raises OSError: its directory can't be written.
    """
    like = Attributes(mode=status.st_mode & 0o7777, uid=status.st_uid, gid=status.st_gid)
    # Not only where root alone can write: with Kubespray /etc/kubernetes is the user kube's.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        new = atomic.create(directory, path.name, os.fsencode(text), like, is_synced=True)
        try:
            new.rename(path.name)
        finally:
            new.discard()
        os.fsync(directory)
    finally:
        os.close(directory)


def _finish(kubelet: Kubelet, *, is_restart: bool) -> None:
    """Restart kubelet or say that it is to be done, and what is left to do after."""
    if is_restart:
        restart(kubelet.unit)
    elif kubelet.pid is not None:
        say(f"It acts when kubelet is restarted: systemctl daemon-reload && {kubelet.restart}")
    say(
        "Pods keep the file they were created with. Then, for this node's DNS pods, on a control"
        " plane:",
        f"  kubectl -n kube-system delete pod -l '{_DNS_PODS}'"
        f" --field-selector spec.nodeName={socket.gethostname().lower()}",
        "or here, where kubectl has no credentials:",
        f"  crictl rmp -f $(crictl pods -q --namespace '^kube-system$' --name '{_DNS_NAMES}')",
    )


def restart(unit: str) -> None:
    """Restart kubelet, by its unit.

    :raises DnsguardError: systemctl(1) says no.
    """
    for command in (["systemctl", "daemon-reload"], ["systemctl", "restart", unit]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise DnsguardError(f"systemctl: {error.strerror}") from error
        if done.returncode != 0:
            why = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise DnsguardError(f"{' '.join(command)}: {why}; see journalctl -u {unit}")
    say("kubelet was restarted.")
