"""What the hostile tests share: one network, one compiled dnsguard, one poisoned node."""

import compileall
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab.guard import UPSTREAM
from lab.nameserver import nameserver
from lab.netns import cable, namespace

from hostile.scene import OTHER, Lab, make_template

HERE = Path(__file__).parent
TREE = HERE.parents[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a network whose two nameservers answer, and a dnsguard that starts fast."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    made = tmp_path_factory.mktemp("hostile")
    shutil.copytree(TREE / "dnsguard", made / "package/dnsguard")
    compileall.compile_dir(made / "package", quiet=2)
    shim = made / "short_io.so"
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", shim, HERE / "short_io.c", "-ldl"], check=True)
    with ExitStack() as stack:
        node, outside = (stack.enter_context(namespace()) for _ in range(2))
        cable(node, outside)
        node.ip("address add 192.0.2.1/24 dev eth0")
        for address in (UPSTREAM, OTHER):
            outside.ip(f"address add {address}/24 dev eth0")
            stack.enter_context(nameserver(outside, address))
        yield Lab(node, made / "package", shim, made)


@pytest.fixture(scope="session")
def template(lab: Lab) -> Path:
    """Return the files of a node that was well, and has been poisoned since."""
    made = lab.work / "template"
    make_template(made, lab)
    return made
