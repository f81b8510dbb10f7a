"""The control: what most scripts do to resolv.conf. ``python3 naive.py ROOT``.

The same two files as dnsguard, opened for writing and written.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    (root,) = sys.argv[1:]
    file = Path(root, "etc/resolv.conf")
    (server,) = Path(root, "etc/resolv.conf.bak").read_text().split()[1:]
    foreign = file.read_text()
    write(Path(root, "var/lib/dnsguard/resolv.conf.foreign"), foreign)
    held = foreign.replace("nameserver", "# held back by dnsguard: nameserver")
    write(file, f"{held}# added by dnsguard: {server}\nnameserver {server}\n")


def write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, text.encode())
    os.close(descriptor)


if __name__ == "__main__":
    main()
