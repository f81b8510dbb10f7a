"""``dnsguard kubelet``: which resolv.conf kubelet hands to pods, where that is set, and adopt.

Reads the node as it is and works without the daemon. ``adopt`` changes one line of one file
and restarts nothing unless told to.
"""

import difflib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dnsguard import config
from dnsguard.core import kubelet as core
from dnsguard.core import resolvconf
from dnsguard.core.address import IPAddress
from dnsguard.core.effective import effective
from dnsguard.core.kubelet import DEFAULT, RESOLV_CONF, Kubelet, Setting
from dnsguard.errors import DnsguardError, UsageError
from dnsguard.host import kubelet as host
from dnsguard.host import yaml_text
from dnsguard.host.files import read_bounded
from dnsguard.paths import Paths

POD_FILE = "/var/lib/dnsguard/resolv.conf"
LOCALHOST = IPv4Address("127.0.0.1")
"""What pods get where there is no file for them (kubelet, GetPodDNS): themselves."""
LOOPING = 2
"""The exit status where pods may get a cluster address as their upstream."""

_MOST = 1 << 16
_DNS_PODS = "k8s-app in (kube-dns, node-local-dns, nodelocaldns)"
_LASTING = f"""\
To make it last:
  Kubespray: kube_resolv_conf: {POD_FILE} in the inventory
  kubeadm:   resolvConf: {POD_FILE} in kubectl -n kube-system edit configmap kubelet-config,
             then kubeadm upgrade node phase kubelet-config on the node; for new clusters in
             the KubeletConfiguration given to kubeadm init"""

Json = dict[str, Any]


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


def run(paths: Paths, as_json: bool) -> int:  # noqa: FBT001 -- the command line's option
    """Print what kubelet does; 2 if a pod may get a cluster address as its upstream."""
    data = look(paths)
    _say(json.dumps(data, indent=2) if as_json else render(data))
    return LOOPING if data["can_loop"] else 0


def look(paths: Paths) -> Json:
    """Return what there is to know, as data."""
    kubelet = host.look(paths.root)
    if kubelet is None:
        return {"kubelet": None, "can_loop": False}
    named = _servers(paths.root, kubelet.pods_file) if kubelet.pods_file else [LOCALHOST]
    cluster = effective(config.load(paths.config).policy, kubelet).cluster | {LOCALHOST}
    dead_ends = [str(one) for one in named if one in cluster]
    return {
        "kubelet": {
            "pid": kubelet.pid,
            "stale": kubelet.is_stale,
            "used": _told(kubelet.used),
            "resolv_conf": _told(kubelet.resolv_conf),
            "cluster_dns": [_told(one) for one in kubelet.cluster_dns],
            "cluster_domain": _told(kubelet.cluster_domain),
            "troubles": list(kubelet.troubles),
        },
        "pods_file": kubelet.pods_file,
        "nameservers": [str(one) for one in named],
        "cluster_addresses": dead_ends,
        "can_loop": kubelet.pods_file == DEFAULT or bool(dead_ends),
    }


def _told(setting: Setting | None) -> Json | None:
    return None if setting is None else {"value": setting.value, "origin": setting.origin}


def _servers(root: Path, name: str) -> list[IPAddress]:
    content = read_bounded(root / name.lstrip("/"), _MOST) or b""
    return [one.address for one in resolvconf.nameservers(content)]


def render(data: Json) -> str:
    """Return the data as text for people."""
    return "\n".join(_lines(data))


def _lines(data: Json) -> Iterator[str]:
    kubelet = data["kubelet"]
    if kubelet is None:
        yield "No kubelet on this node."
        return
    running = "not running" if kubelet["pid"] is None else f"pid {kubelet['pid']}"
    yield f"kubelet         {running}"
    yield f"pods get        {data['pods_file'] or 'no file'}"
    yield f"configured      {_shown(kubelet['resolv_conf'])}"
    if kubelet["stale"]:
        used = kubelet["used"]
        yield f"runs with       {_shown(used) if used else 'what was configured at its start'}"
    yield f"nameservers     {', '.join(data['nameservers']) or 'none'}"
    for setting in kubelet["cluster_dns"]:
        yield f"cluster DNS     {_shown(setting)}"
    if kubelet["cluster_domain"]:
        yield f"cluster domain  {_shown(kubelet['cluster_domain'])}"
    for trouble in kubelet["troubles"]:
        yield f"trouble         {trouble}: /etc/resolv.conf is assumed"
    yield ""
    yield from _verdict(data)


def _shown(setting: Json) -> str:
    return f"{setting['value'] or 'no file'}  ({setting['origin']})"


def _verdict(data: Json) -> Iterator[str]:
    kubelet = data["kubelet"]
    if kubelet["stale"] and kubelet["resolv_conf"]["value"] != DEFAULT:
        yield "kubelet was started before this was configured: systemctl restart kubelet"
    if not data["can_loop"]:
        yield "Pods can't inherit a loop."
        return
    if data["cluster_addresses"]:
        named = ", ".join(data["cluster_addresses"])
        yield f"Pods get {named} as their upstream: CoreDNS and NodeLocalDNS would ask themselves."
    else:
        yield "Pods inherit the node's file, so the node can't be handed to NodeLocalDNS."
    if kubelet["resolv_conf"]["value"] != POD_FILE:
        yield "Remedy: dnsguard kubelet adopt"


def adopt(paths: Paths, *, is_dry_run: bool, is_undo: bool, is_restart: bool) -> int:
    """Point kubelet at the file that dnsguard keeps for it, or back.

    :raises DnsguardError: it would break pods, or nobody can tell what to change.
    """
    if not is_dry_run and os.geteuid() != 0:
        raise DnsguardError("adopting takes root: sudo dnsguard kubelet adopt")
    kubelet = host.look(paths.root)
    if kubelet is None:
        raise DnsguardError("there is no kubelet on this node: nothing to adopt")
    if is_restart and paths.root != Path("/"):
        raise UsageError("--restart is for this machine's kubelet: not with --root")
    if is_undo:
        change = _undo(paths.root, kubelet.resolv_conf)
    else:
        _check(paths, kubelet)
        change = _change(paths.root, kubelet)
    if change is None:
        _say(f"Nothing to do: {kubelet.resolv_conf.origin} is {kubelet.resolv_conf.value}")
    elif is_dry_run:
        _say(diff(change))
    else:
        _apply(change)
    if not is_dry_run and (change is not None or kubelet.is_stale):
        _finish(is_restart=is_restart, is_running=kubelet.pid is not None)
        if not is_undo:
            _say(_LASTING)
    return 0


def _say(text: str) -> None:
    # A file and a command line may hold any bytes, a terminal's may not.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode().rstrip("\n") + "\n")


def _check(paths: Paths, kubelet: Kubelet) -> None:
    """Refuse to point pods at a file that would leave them without names."""
    cluster = effective(config.load(paths.config).policy, kubelet).cluster
    if not any(one not in cluster for one in _servers(paths.root, POD_FILE)):
        remedy = "start dnsguard first: systemctl start dnsguard"
        raise DnsguardError(f"{POD_FILE} names no upstream, and pods would get none: {remedy}")


def _change(root: Path, kubelet: Kubelet) -> Change | None:
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
    after = _edited(before, is_flag=setting.is_flag)
    if after is None:
        by_hand = f"set {setting.name or RESOLV_CONF} to {POD_FILE} by hand"
        raise DnsguardError(f"{name} is not written so that one line can be changed: {by_hand}")
    return Change(name=name, path=path, before=before, after=after, status=status)


def _edited(before: str, *, is_flag: bool) -> str | None:
    """Return the text with our file in it and nothing else changed, None where it can't be."""
    if is_flag:
        return core.with_flag(before, core.RESOLV_CONF_FLAG, POD_FILE)
    document = yaml_text.load(os.fsencode(before))
    if not isinstance(document, dict):
        return None
    wanted = {**document, RESOLV_CONF: POD_FILE}
    # A second mention of a key would be an error to kubelet.
    texts_with = core.with_key if RESOLV_CONF in document else core.with_new_key
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
    before = _text(backups[-1])
    after = _edited(before, is_flag=setting.is_flag)
    restored = None if after is None else core.undone(current, before, after)
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
    return path, _text(path), status


def _text(path: Path) -> str:
    content = read_bounded(path, _MOST + 1)
    if content is None or len(content) > _MOST:
        raise DnsguardError(f"{path}: {core.UNREADABLE}")
    return os.fsdecode(content)


def diff(change: Change) -> str:
    """Return the change as a unified diff."""
    lines = difflib.unified_diff(
        change.before.splitlines(keepends=True),
        change.after.splitlines(keepends=True),
        change.name,
        change.name,
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _apply(change: Change) -> None:
    path = change.path
    # "~": systemd and kubelet's drop-in directories read *.conf.
    backup = path.with_name(f"{path.name}.dnsguard-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}~")
    try:
        if change.backup is None:
            write(backup, change.before, change.status)
        if _text(path) != change.before:
            raise DnsguardError(f"{change.name} was changed a moment ago: try again")
        write(path, change.after, change.status)
        if change.backup is not None and _text(change.backup) == change.after:
            change.backup.unlink()
    except OSError as error:
        raise DnsguardError(f"{change.name}: {error.strerror}") from error
    kept = f", what it was is in {backup.name}" if change.backup is None else ""
    _say(f"Changed {change.name}{kept}:\n{diff(change)}")


def write(path: Path, text: str, status: os.stat_result) -> None:
    """Replace a file in one step that outlives a power cut; owner and mode are kept.

    :raises OSError: its directory can't be written.
    """
    temporary = path.with_name(f".{path.name}.dnsguard-{os.getpid()}~")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o7777)
            file.write(os.fsencode(text))
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _finish(*, is_restart: bool, is_running: bool) -> None:
    """Restart kubelet or say that it is to be done, and what is left to do after."""
    if is_restart:
        restart()
    elif is_running:
        _say(
            "It acts when kubelet is restarted: systemctl daemon-reload && systemctl restart kubelet"
        )
    _say(
        "Pods keep the file they were created with. Then, for this node's DNS pods:\n"
        f"  kubectl -n kube-system delete pod -l '{_DNS_PODS}'"
        f" --field-selector spec.nodeName={socket.gethostname().lower()}"
    )


def restart() -> None:
    """Restart kubelet.

    :raises DnsguardError: systemctl(1) says no.
    """
    for command in (["systemctl", "daemon-reload"], ["systemctl", "restart", "kubelet"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise DnsguardError(f"systemctl: {error.strerror}") from error
        if done.returncode != 0:
            why = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise DnsguardError(f"{' '.join(command)}: {why}; see journalctl -u kubelet")
    _say("kubelet was restarted.")
