"""What is a network manager's on a node, byte for byte: to compare two lives of one node."""

from managers.node import ManagedNode

_LOOK = r"""
for path in "$@"; do
    if [ -L "$path" ]; then
        printf 'link %s -> %s\n' "$path" "$(readlink "$path")"
    elif [ -f "$path" ]; then
        printf 'file %s %s\n' "$path" "$(stat -c '%a %U:%G' "$path")"
        sed 's/^/    /' "$path"
    elif [ -d "$path" ]; then
        printf 'directory %s\n' "$path"
    else
        printf 'nothing at %s\n' "$path"
    fi
done
"""

_OURS = "dnsguard"
"""In the name of everything that is the package's, wherever it lies."""


def look(node: ManagedNode) -> str:
    """Return /etc/resolv.conf, what it leads to, and all that is the manager's.

    Files of ours are for the package's own tests: here counts what another program reads. Left
    out is what two programs of a bare node write, now the one last, now the other.
    """
    owned, raced = node.setup.owned, node.setup.raced
    found = node.run("sh", "-c", f"ls -d -- {' '.join(owned)} 2>/dev/null || true").split()
    foreign = [path for path in sorted(set(found)) if _OURS not in path.rsplit("/", 1)[-1]]
    stable = [path for path in foreign if path not in raced]
    told = node.run("sh", "-c", _LOOK, "sh", "/etc/resolv.conf", *stable)
    return told if raced else f"{told}\n{_behind(node)}"


def _behind(node: ManagedNode) -> str:
    script = "echo behind resolv.conf:; cat /etc/resolv.conf 2>&1 | sed 's/^/    /'"
    return node.run("sh", "-c", script)


def leftovers(node: ManagedNode) -> list[str]:
    """Return what lies about in the package's name."""
    places = ("/etc", "/run", "/var/lib", "/var/cache", "/usr")
    found = node.try_("find", *places, "-xdev", "-name", f"*{_OURS}*").stdout.split()
    return [path for path in found if not path.startswith(("/var/lib/dpkg", "/var/cache/apt"))]
