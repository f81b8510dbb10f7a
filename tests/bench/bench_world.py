"""A private world to measure in: namespaces, and an upstream that answers.

Nothing of the machine is touched. The benches run in a network and a PID namespace of their
own; the kernel ends whatever is still in the latter when the bench ends, however it ends.
"""

import os
import signal
import subprocess
import sys

from bench_tree import HERE, NODE_LOCAL, PYTHON, UPSTREAM, CannotMeasureError

INSIDE = "DNSGUARD_BENCH_INSIDE"


def is_inside() -> bool:
    """Tell whether this is the second start, in the private namespaces."""
    return bool(os.environ.get(INSIDE))


def inside_command() -> list[str]:
    """Return what starts this very command again in private namespaces.

    The bench is PID 1 of a PID namespace then: when it ends, killed or not, the kernel kills
    all it started.
    """
    namespaces = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        namespaces.insert(0, "--map-root-user")
    return ["env", f"{INSIDE}=1", "unshare", *namespaces, PYTHON, *sys.argv]


def end_on_sigterm() -> None:
    """End in the orderly way: contexts are left, and PID 1 has no default for SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def enter_namespaces() -> None:
    """Go on in private namespaces only."""
    if not is_inside():
        command = inside_command()
        os.execvp(command[0], command)  # noqa: S606
    end_on_sigterm()


def start_upstream() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _start_nameserver("upstream0", f"{UPSTREAM}/24")


def start_nodelocal() -> None:
    """Start what plays NodeLocalDNS; who guards a node hands it over from now on."""
    _start_nameserver("nodelocal", f"{NODE_LOCAL}/32", "--cluster")


def _start_nameserver(link: str, address: str, *options: str) -> None:
    """Start a DNS server on a bridge: this machine's kernel may lack dummy links (FACTS.md)."""
    for command in (
        f"link add {link} type bridge",
        f"address add {address} dev {link}",
        f"link set {link} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    server = subprocess.Popen(
        [PYTHON, HERE / "bench_dns.py", address.partition("/")[0], *options],
        stdout=subprocess.PIPE,
    )
    if server.stdout is None or not server.stdout.readline():
        raise CannotMeasureError(f"no nameserver on {address}: python3-dnspython is needed")
