"""What is dangerous in dhclient's files, and whether our enter hook takes the sting out."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from property.text import CLUSTER

from dnsguard.formats.dhclient.files import ENTER, EXIT, OURS, DhclientFiles, Hook
from dnsguard.formats.dhclient.hazards import Hazard, HazardKind, judge
from dnsguard.formats.dhclient.leases import Lease
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
