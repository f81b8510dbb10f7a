"""The control: what most scripts do to resolv.conf. ``python3 naive.py ROOT``.

The same two files as dnsguard, opened for writing and written.
"""

import sys
from pathlib import Path


def main() -> None:
    (root,) = sys.argv[1:]
    file = Path(root, "etc/resolv.conf")
    (server,) = Path(root, "etc/resolv.conf.bak").read_text().split()[1:]
    foreign = file.read_text()
    Path(root, "var/lib/dnsguard/resolv.conf.foreign").write_text(foreign)
    held = foreign.replace("nameserver", "# held back by dnsguard: nameserver")
    file.write_text(f"{held}# added by dnsguard: {server}\nnameserver {server}\n")


if __name__ == "__main__":
    main()
