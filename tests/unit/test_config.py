"""dnsguard.toml: what it may say, and what is said where it may not."""

import os
import tomllib
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsguard import config
from dnsguard.core.answers import Probe, ProbeKind, ProbeTarget
from dnsguard.core.policy import KNOWN_NODELOCAL, HandoverMode
from dnsguard.core.probes import wording
from dnsguard.errors import EX_CONFIG, ConfigError
from dnsguard.reporting.events import Level

SHIPPED = Path(__file__).parents[2] / "packaging/debian/dnsguard.toml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dnsguard.toml"


def _load(path: Path, text: str) -> config.Config:
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def test_no_file_is_an_empty_file(path: Path) -> None:
    """Every key is optional, and so is the file."""
    assert config.load(path) == config.defaults() == _load(path, "")


def test_the_shipped_file_changes_nothing(path: Path) -> None:
    """All of it is commented out, and every line can be taken into use as it stands."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert _load(path, text) == config.defaults()
    lines = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    shown = tomllib.loads("\n".join(lines))
    given = {
        f"{table}.{key}": value for table, keys in shown.items() for key, value in keys.items()
    }
    assert given == {name: key.default for name, key in config.KEYS.items()}


def test_what_is_given_is_taken(path: Path) -> None:
    """Every key has its effect."""
    found = _load(
        path,
        """
        [upstream]
        servers = ["10.0.0.2", "2001:db8::2", "10.0.0.2"]
        question = "corp.example."
        [nodelocal]
        addresses = ["169.254.20.10", "fd00::10"]
        require_binding = false
        health_url = "http://[fd00::10]:9254/health"
        [cluster]
        dns = ["10.96.0.10"]
        domain = "k8s.example."
        [handover]
        mode = "always"
        [health]
        successes = 5
        failures = 1
        fast = 1
        slow = 30.5
        heartbeat = 0.5
        timeout = 2
        hold_down = 3
        [log]
        level = "debug"
        """,
    )
    policy = found.policy
    assert policy.servers == (ip_address("10.0.0.2"), ip_address("2001:db8::2"))
    assert policy.nodelocal == (ip_address("169.254.20.10"), ip_address("fd00::10"))
    assert {ip_address("10.96.0.10"), *policy.nodelocal} < policy.cluster
    assert (policy.successes, policy.failures, policy.fast, policy.slow) == (5, 1, 1.0, 30.5)
    assert policy.handover is HandoverMode.ALWAYS
    assert policy.cluster_domain == "k8s.example"
    assert (policy.timeout, policy.heartbeat, policy.hold_down) == (2.0, 0.5, 3.0)
    assert (policy.require_binding, found.log_level) == (False, Level.DEBUG)
    assert policy.health_url == "http://[fd00::10]:9254/health"
    upstream = Probe(ip_address("10.0.0.2"), ProbeTarget(ProbeKind.UPSTREAM))
    inside = Probe(policy.nodelocal[0], ProbeTarget(ProbeKind.CLUSTER))
    assert wording(upstream, policy, "").name == "corp.example."
    assert wording(inside, policy, "").name == "kubernetes.default.svc.k8s.example"


def test_known_nodelocal_addresses_are_never_upstreams(path: Path) -> None:
    """Kubespray's, Kubernetes' and AKS', whatever is configured."""
    cluster = _load(path, '[nodelocal]\naddresses = ["192.0.2.1"]\n').policy.cluster
    assert {*KNOWN_NODELOCAL} < cluster


def test_an_ipv6_nodelocal_address_is_asked_for_ipv6(path: Path) -> None:
    """A single-stack cluster has no A record for its service."""
    policy = _load(path, '[nodelocal]\naddresses = ["fd00::10"]\n').policy
    question = wording(Probe(ip_address("fd00::10"), ProbeTarget(ProbeKind.CLUSTER)), policy, "")
    assert question.rdtype == "AAAA"


WRONG = [
    ("[upstream]\nservers = '10.0.0.2'", "upstream.servers", "a list of IP addresses"),
    ("[upstream]\nservers = [1]", "upstream.servers", "in quotes"),
    ("[upstream]\nservers = ['dns.example']", "upstream.servers", "'dns.example' is none"),
    ("[upstream]\nservers = ['10.0.0.2:53']", "upstream.servers", "'10.0.0.2:53' is none"),
    ("[upstream]\nservers = ['010.0.0.2']", "upstream.servers", "'010.0.0.2' is none"),
    ("[upstream]\nservers = ['0.0.0.0']", "upstream.servers", "0.0.0.0 can't be one"),
    ("[upstream]\nservers = ['224.0.0.251']", "upstream.servers", "224.0.0.251 can't be one"),
    ("[upstream]\nservers = ['169.254.25.10']", "upstream.servers", "is a cluster address"),
    ("[upstream]\nservers = ['10.233.0.3']", "upstream.servers", "name a real nameserver"),
    ("[upstream.servers]\na = 1", "upstream.servers", "a list of IP addresses"),
    ("[upstream]\nquestion = ''", "upstream.question", "a domain name"),
    ("[upstream]\nquestion = 'a..b'", "upstream.question", "a domain name"),
    ("[upstream]\nquestion = 'ü.example'", "upstream.question", "a domain name"),
    (f"[upstream]\nquestion = '{'x' * 64}'", "upstream.question", "a domain name"),
    ("[nodelocal]\nhealth_url = 'https://10.0.0.2/'", "nodelocal.health_url", "an http:// URL"),
    ("[nodelocal]\nhealth_url = 'http://dns.example/'", "nodelocal.health_url", "an IP address"),
    ("[nodelocal]\nhealth_url = 'http://10.0.0.2:x/'", "nodelocal.health_url", "an http:// URL"),
    ("[nodelocal]\nhealth_url = 'http://10.0.0.2/ x'", "nodelocal.health_url", "an http:// URL"),
    ("[nodelocal]\nhealth_url = 1", "nodelocal.health_url", "an http:// URL"),
    ("[nodelocal]\nrequire_binding = 'no'", "nodelocal.require_binding", "true or false"),
    ("[nodelocal]\naddresses = {}", "nodelocal.addresses", "a list of IP addresses"),
    ("[nodelocal]\nquestion = 1", "nodelocal.question", "a domain name"),
    ("[cluster]\ndns = true", "cluster.dns", "a list of IP addresses"),
    ("[cluster]\ndomain = 1979-05-27", "cluster.domain", "a domain name"),
    ("[handover]\nmode = 'yes'", "handover.mode", '"auto", "always", "never"'),
    ("[handover]\nmode = true", "handover.mode", '"auto", "always", "never"'),
    ("[health]\nsuccesses = 0", "health.successes", "from 1 to 100"),
    ("[health]\nsuccesses = 3.0", "health.successes", "a whole number"),
    ("[health]\nfailures = true", "health.failures", "a whole number"),
    ("[health]\nfailures = '2'", "health.failures", "a whole number"),
    ("[health]\nfast = 0", "health.fast", "a number of seconds from 0.05 to"),
    ("[health]\nfast = nan", "health.fast", "a number of seconds from 0.05 to"),
    ("[health]\nslow = inf", "health.slow", "a number of seconds from 0.05 to"),
    ("[health]\nslow = -5", "health.slow", "a number of seconds from 0.05 to"),
    ("[health]\ntimeout = '1s'", "health.timeout", "a number of seconds"),
    ("[log]\nlevel = 'verbose'", "log.level", '"debug", "info"'),
    ("[upstream]\nserver = []", "upstream.server", "did you mean upstream.servers?"),
    ("[health]\nsucceses = 3", "health.succeses", "did you mean health.successes?"),
    ("[log]\ncolour = true", "log.colour", "unknown key"),
    ("[upstreams]\nservers = []", "upstreams", "did you mean upstream?"),
    ("[zzz]\na = 1", "zzz", "remove it, see dnsguard.toml(5)"),
    ("upstream = []", "upstream", "write it as a table, [upstream]"),
    ("servers = []", "servers", "unknown table"),
    ("'upstream.servers' = []", "upstream.servers", "unknown table"),
]


@pytest.mark.parametrize(("text", "key", "remedy"), WRONG)
def test_a_mistake_is_named(path: Path, text: str, key: str, remedy: str) -> None:
    """File, key and remedy, in one line."""
    with pytest.raises(ConfigError) as raised:
        _load(path, text)
    message = str(raised.value)
    assert message.startswith(f"{path}: {key}: ")
    assert remedy in message
    assert message == f"{raised.value.what}: {raised.value.remedy}"
    assert "\n" not in message
    assert raised.value.status == EX_CONFIG


@pytest.mark.parametrize("content", [b"[upstream", b"\xff", b"a = ", b"[log]\n[log]\n", b"\0"])
def test_what_is_no_toml_is_named(path: Path, content: bytes) -> None:
    """The file, the place, and what to do."""
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"dnsguard\.toml: ") as raised:
        config.load(path)
    assert "\n" not in str(raised.value)


def test_what_is_no_file_is_named(path: Path) -> None:
    """A directory in its place is no missing file."""
    path.mkdir()
    with pytest.raises(ConfigError, match="Is a directory: make it a readable text file"):
        config.load(path)


def test_every_key_is_explained() -> None:
    """One table is the reference, and its defaults pass its own readers."""
    for name, key in config.KEYS.items():
        assert key.about.endswith(".") or key.about.endswith('".'), name
        key.read(key.default)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = " + "[" * 5000, "nested too deeply"),
        ("x = " + "{a=" * 5000, "nested too deeply"),
        ("[health]\nfast = 1" + "0" * 400, "health.fast: must be a number of seconds"),
        ("[health]\nfast = 1" + "0" * 5000, "correct the line"),
        ("[health]\nfast = 0x1" + "0" * 5000, "health.fast: must be a number of seconds"),
        ("[health]\nfast = nan", "health.fast: must be a number of seconds"),
        ("[health]\nfast = 1e999", "health.fast: must be a number of seconds"),
        ("[health]\nsuccesses = 1" + "0" * 400, "health.successes: must be a whole number"),
        ("[log]\nlevel = 0x1" + "0" * 5000, "log.level: must be one of"),
        ('[upstream]\nservers = ["' + "x" * 5000 + '"]', "upstream.servers: must be an IP"),
        ('[metrics]\nlisten = "' + "9" * 5000 + '"', "metrics.listen: must be a port"),
        ("[upstream]\n" + "x" * 5000 + " = 1", "unknown key"),
        ("x" * 5000 + " = 1", "unknown table"),
        ("#" * config.MAX_BYTES + "\n", "longer than 64 KiB"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_what_is_too_much_is_one_clear_line(path: Path, text: str, expected: str) -> None:
    """Numbers of 400 digits, 5,000 brackets: named like any other mistake."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        config.load(path)
    assert expected in str(raised.value)
    assert len(str(raised.value)) < 400 + len(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(path: Path, make: Callable[[Path], object]) -> None:
    """A FIFO would be waited for, and a device never ends."""
    make(path)
    with pytest.raises(ConfigError, match="not a regular file: make it a readable text file"):
        config.load(path)
