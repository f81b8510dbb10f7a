"""Whatever happens, dhclient goes on: our enter hook with bad names, values and disks."""

import re
import subprocess
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from lab.dhclient import HOOK, Machine
from lab.dhcp import World

from dnsguard.formats.dhclient.records import Reason
from integration.dhclient_hook.hooked import HEALTHY, POISONING, daemon, told_of

pytestmark = pytest.mark.integration


def _no_directory(machine: Machine) -> None:
    machine.records.rmdir()


def _read_only(machine: Machine) -> None:
    where = "/run/dnsguard/dhclient"
    machine.run("mount", "-t", "tmpfs", "-o", "ro", "none", where)


def _full(machine: Machine) -> None:
    where = "/run/dnsguard/dhclient"
    machine.run("mount", "-t", "tmpfs", "-o", "size=4k", "none", where)
    machine.run("sh", "-c", f"yes >{where}/full")


def _in_the_way(machine: Machine) -> None:
    (machine.records / "4.eth0/x").mkdir(parents=True)


@pytest.mark.parametrize("trouble", [_no_directory, _read_only, _full, _in_the_way])
def test_what_cannot_be_told_stops_nothing(lab: World, trouble: Callable[[Machine], None]) -> None:
    """The client is bound, resolv.conf as it was, and nothing is left lying about."""
    machine = lab.machine
    with daemon(machine):
        trouble(machine)
        there = machine.run("ls", "-A", "/run/dnsguard/dhclient").stdout
        with machine.dhclient(POISONING) as dhclient:
            dhclient.wait_for("BOUND")
        assert machine.run("ls", "-A", "/run/dnsguard/dhclient").stdout == there
    assert machine.file.read_bytes() == HEALTHY


def _source(machine: Machine, shell: str, *environ: str) -> "subprocess.CompletedProcess[str]":
    """Source the hook as dhclient-script does, under the strictest rules; tell what it left."""
    script = (
        "set -eu; set >/run/before; . /etc/dhcp/dhclient-enter-hooks.d/dnsguard; status=$?;"
        " if [ $reason != STOP ]; then make_resolv_conf; fi; set >/run/after; exit $status"
    )
    return machine.run("env", "-C", "/", *environ, *shell.split(), "-c", script)


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
@pytest.mark.parametrize("name", ["eth0.6", "eth0:1", ".x", "..", "-n", "a*", "a$b", "é"])
def test_any_link_has_its_record(lab: World, shell: str, name: str) -> None:
    """In either shell, with errors fatal; nothing but our own variables is left."""
    with daemon(lab.machine):
        values = (f"interface={name}", "new_domain_name_servers=1.1.1.1")
        done = _source(lab.machine, shell, "reason=RENEW6", *values)
        assert (done.returncode, done.stderr) == (0, "")
        assert told_of(lab.machine, f"6.{name}").interface == name
        done = _source(lab.machine, shell, "reason=BOUND", *values)
        assert (done.returncode, done.stderr) == (0, "")
        assert told_of(lab.machine, f"4.{name}").nameservers == (ip_address("1.1.1.1"),)
        assert len(list(lab.machine.records.iterdir())) == 2
    before, after = (
        set(re.findall(r"(?m)^(\w+)=", (lab.machine.root / "run" / file).read_text("latin-1")))
        for file in ("before", "after")
    )
    left = after - before - {"status", "_", "BASH_LINENO", "FUNCNAME", "PIPESTATUS"}
    assert {one for one in left if not one.startswith("dnsguard_")} == set()


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_a_server_cannot_forge_a_line(lab: World, shell: str) -> None:
    """Were dhclient to let it through: a value ends where its line does."""
    forged = "a.example\nnameservers 6.6.6.6\nreason STOP"
    evil = "$(touch /run/evil)`touch /run/evil`\\n%s'\";touch /run/evil"
    with daemon(lab.machine):
        done = _source(
            lab.machine,
            shell,
            "reason=BOUND",
            "interface=eth0",
            f"new_domain_name={forged}",
            f"new_domain_search={evil}",
            f"new_routers=10.99.0.1\n{evil}",
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = told_of(lab.machine)
    assert (found.reason, found.domain, found.nameservers) == (Reason.BOUND, "a.example", ())
    assert f"search {evil}\n".encode() in lab.machine.record()
    assert found.routers == (ip_address("10.99.0.1"),)
    assert not (lab.machine.root / "run/evil").exists()


@pytest.mark.parametrize("name", ["", "../../etc/x", "a/b"])
def test_a_name_that_is_no_links_makes_no_file(lab: World, name: str) -> None:
    """Nor does the hook fail for it."""
    with daemon(lab.machine):
        done = _source(lab.machine, "dash", "reason=STOP", f"interface={name}")
        assert (done.returncode, done.stderr) == (0, "")
        assert not list(lab.machine.records.iterdir())


@pytest.mark.parametrize(
    ("reason", "is_told"),
    [("PREINIT", False), ("MEDIUM", False), ("RENEW6", True), ("DEPREF6", True), ("STOP6", True)],
)
def test_the_rest_of_the_script_is_dhclients(lab: World, reason: str, is_told: bool) -> None:  # noqa: FBT001
    """dhclient-script itself, run for what dhclient has no reason for in this lab."""
    values = [f"{when}_dhcp6_name_servers=2001:db8::7" for when in ("new", "old", "cur")]
    with daemon(lab.machine):
        environ = (f"reason={reason}", "interface=eth0", "old_ip6_address=2001:db8::8", *values)
        done = lab.machine.run("env", *environ, "/sbin/dhclient-script")
        assert done.returncode == 0
        assert (lab.machine.record("6.eth0") != b"") == is_told
        if is_told:
            assert told_of(lab.machine, "6.eth0").nameservers == (ip_address("2001:db8::7"),)
    assert lab.machine.file.read_bytes() == HEALTHY


def test_the_hook_is_as_shell_scripts_should_be(lab: World) -> None:
    """By dash, bash and, where it is installed, shellcheck."""
    commands = [["dash", "-n"], ["bash", "--posix", "-n"], ["shellcheck", "-s", "sh"]]
    for command in commands:
        try:
            subprocess.run([*command, HOOK], check=True)
        except FileNotFoundError:
            assert command[0] == "shellcheck"
