"""``dnsguard status`` and ``check``: for eyes, for schemas, for Nagios."""

import json
import re
import shlex
import subprocess

import jsonschema
import pytest
from lab.guard import NODELOCAL, POISON, TREE, UPSTREAM, Node, environment, nodelocaldns
from lab.terminal import Terminal

pytestmark = pytest.mark.integration


CLOSED_SCHEMA = json.loads(
    (TREE / "docs/status.schema.json").read_text(encoding="utf-8"),
    object_hook=lambda part: (
        {"additionalProperties": False, **part} if "required" in part else part
    ),
)
"""Without room for the keys of later versions."""
SGR = re.compile(r"\x1b\[[0-9;]*m")


def test_check_is_a_line_and_a_status(guard: Node) -> None:
    """0, 1 and 3, as Nagios reads them."""
    assert guard.run("check").returncode == 3
    with guard.guarded():
        guard.done("wait")
        assert guard.done("check") == f"OK: guarding, upstream verified: {UPSTREAM}\n"
        guard.run("hold", "nodelocal")
        done = guard.run("check")
        assert (done.returncode, done.stdout[:10]) == (1, "DEGRADED: ")
        assert len(done.stdout.rstrip("\n")) <= 80


def test_node_problem_detector_is_told(guard: Node) -> None:
    """The rule's own command, with what it may say at most."""
    path = TREE / "packaging/node-problem-detector/dnsguard.json"
    plugin = json.loads(path.read_text(encoding="utf-8"))
    (rule,) = plugin["rules"]
    assert rule["condition"] in {condition["type"] for condition in plugin["conditions"]}
    longest = plugin["pluginConfig"]["max_output_length"]
    option, script = rule["args"]
    script = script.replace("/usr/bin/dnsguard", shlex.join(guard.command()))

    def run() -> "subprocess.CompletedProcess[str]":
        command = [rule["path"], option, script]
        with guard.where.inside():
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment()
            )
        assert len(done.stdout.rstrip("\n")) <= longest
        return done

    with guard.guarded():
        guard.done("wait")
        assert run().returncode == 0
        guard.run("hold", "nodelocal")
        assert run().returncode == 1
    assert run().returncode == 2  # which is what Nagios calls 3


def test_the_status_keeps_to_its_schema(guard: Node) -> None:
    """In every mode, and it has no key that docs/status.schema.json does not describe."""

    def check() -> None:
        jsonschema.validate(json.loads(guard.run("status", "--json").stdout), CLOSED_SCHEMA)

    (guard.root / "var/lib/kubelet").mkdir(parents=True)
    (guard.root / "var/lib/kubelet/config.yaml").write_text("resolvConf: /else\n")
    (guard.root / "else").write_text(f"nameserver {UPSTREAM}\n")
    with guard.guarded(), nodelocaldns(guard):
        check()
        guard.wait_for(NODELOCAL, UPSTREAM)
        check()
        guard.file.write_bytes(POISON)
        guard.run("hold", "upstream", "--for", "1h")
        check()


@pytest.mark.parametrize("columns", [80, 200])
def test_the_status_fits_the_terminal(guard: Node, columns: int) -> None:
    """No line is wider, nothing is cut, and the labels stay apart from what is folded."""
    with guard.guarded():
        guard.done("wait")
        shown = Terminal(guard, columns, "status").read()
        piped = guard.done("status")
    plain = SGR.sub("", shown)
    assert plain != shown
    assert max(map(len, plain.splitlines())) <= columns
    assert _words(plain) == _words(piped)
    assert [line[:13].strip() for line in plain.splitlines() if line[:1] != " "][1:4] == [
        "mode",
        "resolv.conf",
        "NodeLocalDNS",
    ]


def _words(text: str) -> list[str]:
    """Return what is said, without the time that goes by between two askings."""
    return [word for word in text.split() if not re.fullmatch(r"[\d.:]+,?", word)]


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_had_off(guard: Node, environ: dict[str, str]) -> None:
    """As no-color.org and dumb terminals ask for."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert "\x1b" not in Terminal(guard, 80, "status", environ=environ).read()
        assert "\x1b" not in guard.done("status")
