"""What is dangerous in dhclient's files, and whether our enter hook takes the sting out."""

import os
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from property.text import CLUSTER

from dnsguard.formats.dhclient.files import ENTER, EXIT, OURS, DhclientFiles, Hook
from dnsguard.formats.dhclient.hazards import Hazard, HazardKind, judge
from dnsguard.formats.dhclient.leases import Lease
from dnsguard.host import dhclient, dhclient_processes
from dnsguard.host.files import read_bounded
from unit.formats.samples import DEBIAN, KUBESPRAY

POISON = b"supersede domain-name-servers 169.254.25.10;\n"
OUR_HOOK = Hook(
    path=OURS, content=b"# see /run/dnsguard/dhclient.lock\nmake_resolv_conf() { :; }\n"
)
RESOLVCONF = b"if [ -x /sbin/resolvconf ]; then\nmake_resolv_conf() {\n resolvconf -a x\n}\nfi\n"
ZDNSUPDATE = b"#!/bin/sh\n# Ansible\nsed -i 's/ndots:1/ndots:2/' /etc/resolv.conf\n"
ON_ETH0 = (("/var/lib/dhcp/dhclient.eth0.leases", Lease(version=4, line=1, interface="eth0")),)


NODE = DhclientFiles(enter=(OUR_HOOK,), leases=ON_ETH0)
"""With our hook in its place."""


def _judge(files: DhclientFiles, *, hook_is_active: bool = True) -> tuple[Hazard, ...]:
    cluster = CLUSTER | {ip_address("10.233.0.3"), ip_address("fd00:25::10")}
    return judge(files, cluster, hook_is_active=hook_is_active)


def _lines(hazards: tuple[Hazard, ...]) -> list[str]:
    return [f"{one.line} {one.kind} {one.what}" for one in hazards]


@pytest.mark.parametrize(("content", "outcome"), KUBESPRAY.values(), ids=KUBESPRAY)
def test_each_kubespray_is_judged(content: bytes, outcome: tuple[str, ...]) -> None:
    """A hazard is where a cluster address comes out, and nowhere else; the hook defuses it."""
    poisoned = not {"169.254.25.10", "10.233.0.3"}.isdisjoint(outcome)
    hazards = _judge(replace(NODE, conf=content))
    assert [one.kind for one in hazards] == [HazardKind.POISONS] * poisoned
    assert all(one.defused for one in hazards)
    line = next(
        (n for n, text in enumerate(content.split(b"\n"), 1) if b"domain-name-servers" in text), 0
    )
    assert all(one.line == line for one in hazards)


def test_debians_own_files_are_no_hazard() -> None:
    """A clean node needs no words."""
    assert _judge(replace(NODE, conf=DEBIAN)) == ()


STATEMENTS: dict[str, tuple[str, list[str]]] = {
    "supersede": (
        "supersede domain-name-servers 169.254.25.10;",
        ["1 poisons supersede domain-name-servers 169.254.25.10"],
    ),
    "beside a real one": (
        "\nsupersede domain-name-servers 169.254.25.10, 10.0.0.2;",
        ["2 poisons supersede domain-name-servers 169.254.25.10, 10.0.0.2"],
    ),
    "prepend": (
        "prepend domain-name-servers 10.233.0.3;",
        ["1 poisons prepend domain-name-servers 10.233.0.3"],
    ),
    "append": (
        "append domain-name-servers 10.233.0.3;",
        ["1 poisons append domain-name-servers 10.233.0.3"],
    ),
    "default": (
        "default domain-name-servers 10.233.0.3;",
        ["1 poisons default domain-name-servers 10.233.0.3"],
    ),
    "IPv6": (
        "supersede dhcp6.name-servers fd00:25::10;",
        ["1 poisons supersede dhcp6.name-servers fd00:25::10"],
    ),
    "send does nothing": ("send domain-name-servers 169.254.25.10;", []),
    "a real server": ("supersede domain-name-servers 10.0.0.2;", []),
    "empty": ("supersede domain-name-servers ;", []),
    "overridden": (
        "supersede domain-name-servers 169.254.25.10;\nsupersede domain-name-servers 10.0.0.2;",
        [],
    ),
    "overriding": (
        "supersede domain-name-servers 10.0.0.2;\nsupersede domain-name-servers 169.254.25.10;",
        ["2 poisons supersede domain-name-servers 169.254.25.10"],
    ),
    "prepended to what is overridden": (
        "prepend domain-name-servers 169.254.25.10;\nsupersede domain-name-servers 10.0.0.2;",
        [],
    ),
    "a block overrides it": (
        (
            'interface "eth0" { supersede domain-name-servers 10.0.0.2; }\n'
            "supersede domain-name-servers 169.254.25.10;"
        ),
        [],
    ),
    "another block doesn't": (
        (
            'interface "eth1" { supersede domain-name-servers 10.0.0.2; }\n'
            "supersede domain-name-servers 169.254.25.10;"
        ),
        ["2 poisons supersede domain-name-servers 169.254.25.10"],
    ),
    "a block of an interface without a lease": (
        'interface "eth1" {\nsupersede domain-name-servers 169.254.25.10; }',
        ["2 poisons supersede domain-name-servers 169.254.25.10"],
    ),
    "a condition": (
        (
            "if exists routers { supersede domain-name-servers 169.254.25.10; }\n"
            "else { supersede domain-name-servers 10.0.0.2; }"
        ),
        ["1 poisons supersede domain-name-servers 169.254.25.10"],
    ),
    "a condition, overridden": (
        (
            "if exists routers { supersede domain-name-servers 169.254.25.10; }\n"
            "supersede domain-name-servers 10.0.0.2;"
        ),
        [],
    ),
    "a name": (
        "prepend domain-name-servers ns.example;",
        ["1 unclear prepend domain-name-servers ns.example"],
    ),
    "computed": (
        "supersede domain-name-servers = option routers;",
        ["1 unclear supersede domain-name-servers = ..."],
    ),
    "a lease of the file's own": (
        'lease { interface "eth0"; option domain-name-servers 169.254.25.10; }',
        ["1 poisons lease with domain-name-servers 169.254.25.10"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_is_a_hazard_if_it_counts(text: str, expected: list[str]) -> None:
    """Judged by what comes out of all of them, on each interface."""
    assert _lines(_judge(replace(NODE, conf=text.encode()))) == expected


def test_a_hazard_knows_its_block_and_its_file() -> None:
    """An included file goes by its own name and lines."""
    text = b'interface "eth0" {\n include "/etc/dhcp/k8s.conf"; }\n'
    (hazard,) = _judge(
        replace(NODE, conf=text, includes=(("/etc/dhcp/k8s.conf", b"\n\n" + POISON),))
    )
    assert (hazard.path, hazard.line, hazard.interface) == ("/etc/dhcp/k8s.conf", 3, "eth0")


@pytest.mark.parametrize(
    ("enter", "hook_is_active", "text", "why"),
    [
        ((), True, b"", f"dnsguard's enter hook {OURS} is not there"),
        ((Hook(path=OURS, content=b"exit 0"),), True, b"", "is not there"),
        ((OUR_HOOK,), False, b"", "at rest"),
        (
            (OUR_HOOK, Hook(path=f"{ENTER}.d/resolvconf", content=RESOLVCONF)),
            True,
            b"",
            f"sourced after dnsguard: {ENTER}.d/resolvconf redefines make_resolv_conf",
        ),
        ((OUR_HOOK,), True, b'script "/opt/script";', "/opt/script is run"),
        ((OUR_HOOK,), True, b'interface "eth0" { script "/opt/script"; }', "/opt/script is run"),
    ],
)
def test_why_our_hook_does_not_defuse(
    enter: tuple[Hook, ...],
    hook_is_active: bool,  # noqa: FBT001 -- a column of the table
    text: bytes,
    why: str,
) -> None:
    """It is said, and that the daemon repairs what is written."""
    hazard = _judge(replace(NODE, conf=POISON + text, enter=enter), hook_is_active=hook_is_active)[
        0
    ]
    assert not hazard.defused
    assert why in hazard.why
    assert "repairs" in hazard.why


@pytest.mark.parametrize(
    ("enter", "text"),
    [
        ((OUR_HOOK,), b""),
        ((Hook(path=f"{ENTER}.d/a", content=RESOLVCONF), OUR_HOOK), b""),
        ((Hook(path=ENTER, content=RESOLVCONF), OUR_HOOK), b""),
        ((OUR_HOOK,), b'script "/sbin/dhclient-script";'),
        ((OUR_HOOK,), b'interface "eth1" { script "/opt/script"; }'),
    ],
)
def test_our_hook_defuses(enter: tuple[Hook, ...], text: bytes) -> None:
    """If the last word on make_resolv_conf is its own, and it is asked at all."""
    hazard = _judge(replace(NODE, conf=POISON + text, enter=enter))[0]
    assert hazard.defused
    assert hazard.why == "blocked by dnsguard's enter hook"


NO_OP = Hook(path=f"{ENTER}.d/leave_my_resolv_conf_alone", content=b"make_resolv_conf() { :; }\n")
OWN = Hook(
    path=f"{ENTER}.d/hardened", content=b"make_resolv_conf() {\n echo x > /etc/resolv.conf\n}\n"
)
TOLD = Hook(
    path=f"{ENTER}.d/told",
    content=b"make_resolv_conf() { resolvectl dns eth0 $new_domain_name_servers; }\n",
)
PROGRAM = Hook(path=f"{ENTER}.d/program", content=b"make_resolv_conf() { /opt/dns; }\n")
MAYBE = Hook(path=f"{ENTER}.d/maybe", content=b"[ -e /etc/x ] && make_resolv_conf() { :; }\n")


@pytest.mark.parametrize(
    ("enter", "hook_is_active", "keeper"),
    [
        ((NO_OP,), False, NO_OP.path),
        ((OUR_HOOK, NO_OP), True, NO_OP.path),
        ((NO_OP, OUR_HOOK), False, NO_OP.path),
        ((NO_OP, OUR_HOOK), True, "dnsguard"),
        ((OWN,), False, OWN.path),
        ((TOLD,), False, None),
        ((PROGRAM,), False, None),
        ((MAYBE,), False, None),
    ],
)
def test_another_hook_may_keep_dhclient_out(
    enter: tuple[Hook, ...],
    hook_is_active: bool,  # noqa: FBT001 -- a column of the table
    keeper: str | None,
) -> None:
    """If for certain its make_resolv_conf takes nothing of what DHCP says: no acute danger."""
    files = replace(NODE, conf=POISON, enter=enter)
    hazard = _judge(files, hook_is_active=hook_is_active)[0]
    assert hazard.kind is HazardKind.POISONS
    assert hazard.defused == (keeper is not None)
    assert (keeper or "repairs") in hazard.why


def test_resolved_enter_is_no_alarm_where_resolved_is_disabled(tmp_path: Path) -> None:
    """Trixie's hook is sourced after ours, and does nothing then."""
    hook = (
        b"if systemctl is-enabled systemd-resolved >/dev/null; then\nmake_resolv_conf() { :; }\nfi"
    )
    _write(tmp_path, "etc/dhcp/dhclient.conf", POISON)
    _write(tmp_path, OURS, OUR_HOOK.content)
    _write(tmp_path, f"{ENTER}.d/resolved-enter", hook)
    (hazard,) = judge(dhclient.find_dhclient(tmp_path), CLUSTER, hook_is_active=True)
    assert (hazard.defused, hazard.why) == (True, "blocked by dnsguard's enter hook")
    wants = _write(tmp_path, "etc/systemd/system/sysinit.target.wants/x", b"").parent
    (wants / "systemd-resolved.service").symlink_to("/nonexistent")
    assert dhclient.find_dhclient(tmp_path).enabled == {"systemd-resolved.service"}
    (hazard,) = judge(dhclient.find_dhclient(tmp_path), CLUSTER, hook_is_active=True)
    assert "resolved-enter" in hazard.why


def test_what_ifupdown_starts_is_found(tmp_path: Path) -> None:
    """DHCPv4, DHCPv6, and stateless DHCPv6 beside router advertisements."""
    _write(tmp_path, "etc/network/interfaces", b"iface eth0 inet dhcp\niface eth1 inet6 auto\n")
    _write(tmp_path, "etc/network/interfaces.d/more", b"iface eth2 inet6 auto\n  dhcp 1\n")
    assert dhclient_processes.find_configured(tmp_path) == (("eth0", 4), ("eth2", 6))
    (tmp_path / "usr/sbin").mkdir(parents=True)
    assert dhclient_processes.find_configured(tmp_path) == ()


def test_a_hook_that_writes_is_repaired_after_not_defused() -> None:
    """Kubespray's zdnsupdate, and an enter hook that writes by itself."""
    direct = Hook(path=f"{ENTER}.d/00own", content=b"\ncat /root/r > /etc/resolv.conf\n")
    update = Hook(path=f"{EXIT}.d/zdnsupdate", content=ZDNSUPDATE)
    hazards = _judge(replace(NODE, enter=(direct, OUR_HOOK), exit=(update,)))
    assert [(one.path, one.line, one.what) for one in hazards] == [
        (direct.path, 2, "writes resolv.conf with >"),
        (update.path, 3, "writes resolv.conf with sed -i"),
    ]
    assert {(one.kind, one.defused) for one in hazards} == {(HazardKind.WRITES, False)}
    assert all("the daemon runs, it repairs" in one.why for one in hazards)


def test_a_hostile_file_is_judged_all_the_same() -> None:
    """As many statements and blocks as are read at all."""
    block = 'interface "e%d" { prepend domain-name-servers 169.254.25.10; }\n'
    text = "".join(block % number for number in range(5000)) + POISON.decode() * 5000
    assert len(_judge(replace(NODE, conf=text.encode()))) > 10


def _write(root: Path, path: str, content: bytes) -> Path:
    found = root / path.lstrip("/")
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(content)
    return found


def test_the_files_are_found_as_dhclient_finds_them(tmp_path: Path) -> None:
    """Included ones in turn, hooks in the order and by the names of run-parts, leases by age."""
    _write(tmp_path, "etc/dhcp/dhclient.conf", b'include "/etc/a"; include "/etc/gone";')
    _write(tmp_path, "etc/a", b'include "/etc/b";')
    _write(tmp_path, "etc/b", POISON)
    for name in ("b", "_a", "B", "x.dpkg-old", "y~", "dnsguard"):
        _write(tmp_path, f"{ENTER}.d/{name}", name.encode())
    _write(tmp_path, ENTER, b"first")
    (tmp_path / f"{ENTER}.d/directory"[1:]).mkdir()
    _write(tmp_path, f"{EXIT}.d/z", b"last")
    newer = _write(tmp_path, "var/lib/dhcp/dhclient.eth0.leases", b'lease { interface "eth0"; }')
    older = _write(tmp_path, "var/lib/dhcp/dhclient.leases", b'lease { interface "eth1"; }')
    os.utime(newer, (2e9, 2e9))
    os.utime(older, (1e9, 1e9))
    found = dhclient.find_dhclient(tmp_path)
    assert dict(found.includes) == {"/etc/a": b'include "/etc/b";', "/etc/b": POISON}
    assert [one.content for one in found.enter] == [b"first", b"B", b"_a", b"b", b"dnsguard"]
    assert [one.path for one in found.enter][:2] == [ENTER, f"{ENTER}.d/B"]
    assert [one.path for one in found.exit] == [f"{EXIT}.d/z"]
    assert [lease.interface for _, lease in found.leases] == ["eth1", "eth0"]
    (hazard,) = judge(found, CLUSTER, hook_is_active=True)
    assert hazard.path == "/etc/b"


def test_a_node_without_dhclient_has_nothing(tmp_path: Path) -> None:
    """No file, no hazard, no process."""
    assert dhclient.find_dhclient(tmp_path) == DhclientFiles()
    assert dhclient_processes.find_running(tmp_path) == ()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO as a hook or as dhclient.conf would hold a reader for ever."""
    (tmp_path / "etc/dhcp").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/dhcp/dhclient.conf")
    os.mkfifo(tmp_path / ENTER[1:])
    assert dhclient.find_dhclient(tmp_path) == DhclientFiles(
        changed=dhclient.find_dhclient(tmp_path).changed
    )
    assert read_bounded(tmp_path, 10) is None
    assert read_bounded(tmp_path / "etc/dhcp/dhclient.conf", 10) is None


def test_a_file_is_read_to_a_bound(tmp_path: Path) -> None:
    """From its begin, or its end."""
    file = _write(tmp_path, "a", b"0123456789")
    assert read_bounded(file, 4) == b"0123"
    assert read_bounded(file, 4, tail=True) == b"6789"
    assert read_bounded(file, 40, tail=True) == b"0123456789"


def test_processes_are_read_from_proc(tmp_path: Path) -> None:
    """That of ifupdown, one for IPv6 and two interfaces; not one that releases, nor others."""
    ifupdown = (
        "/sbin/dhclient -4 -v -i -pf /run/dhclient.eth0.pid -lf /var/lib/dhcp/dhclient.eth0.leases"
        " -I -df /var/lib/dhcp/dhclient6.eth0.leases eth0"
    )
    _write(tmp_path, "proc/stat", b"cpu 1 2\nbtime 1700000000\n")
    for pid, name, command in (
        (10, "dhclient", ifupdown),
        (11, "dhclient", "dhclient -6 -sf /opt/script eth0 eth1"),
        (12, "dhclient", "dhclient -r eth0"),
        (13, "dhclient", "dhclient"),
        (14, "bash", "dhclient eth0"),
        (15, "a) S (dhclient", "dhclient eth0"),
    ):
        _write(tmp_path, f"proc/{pid}/cmdline", command.replace(" ", "\0").encode() + b"\0")
        fields = f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5000 0 0\n"
        _write(tmp_path, f"proc/{pid}/stat", fields.encode())
    found = dhclient_processes.find_running(tmp_path)
    assert [(one.pid, one.interface, one.version, one.script) for one in found] == [
        (10, "eth0", 4, None),
        (11, "eth0", 6, "/opt/script"),
        (11, "eth1", 6, "/opt/script"),
        (13, None, 4, None),
    ]
    assert {one.started for one in found} == {1.7e9 + 5000 / os.sysconf("SC_CLK_TCK")}
