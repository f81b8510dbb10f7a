"""Metrics of the real daemon: printed, written for node-exporter, and served."""

import http.client
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.promtool import promtool
from lab.wait import until
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.integration

PORT = 9353
TEXTFILES = "var/lib/prometheus/node-exporter"
Series = dict[str, dict[tuple[str, ...], float]]


def _series(text: str) -> Series:
    found: Series = {}
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def _printed(guard: Node) -> Series:
    done = guard.run("metrics")
    assert done.returncode == 0, done.stderr
    return _series(done.stdout)


def _configure(guard: Node, text: str) -> None:
    (guard.root / "etc/dnsguard/dnsguard.toml").write_text(f"[metrics]\n{text}\n")


def test_what_happens_is_counted(guard: Node) -> None:
    """Probes, tramples, repairs and the modes, and promtool finds nothing wrong."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        for count in (1, 2, 3):
            guard.file.write_bytes(POISON + b"# %d\n" % count)
            until(lambda: bool(guard.status()["tramples"]["count"] == count))  # noqa: B023
        until(lambda: bool(guard.status()["upstream"]["state"] == "verified"))
        guard.where.bridge("nodelocal", NODELOCAL)
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL, UPSTREAM)
            promtool("check", "metrics", said=guard.run("metrics").stdout)
            told = _printed(guard)
    assert told["dnsguard_mode"]["handed-over",] == 1
    assert told["dnsguard_tramples_total"]["unknown",] == 3
    assert told["dnsguard_repair_seconds_count"][()] == 3
    assert told["dnsguard_repair_seconds_bucket"]["+Inf",] == 3
    assert told["dnsguard_switches_total"]["nodelocal_healthy", "handed-over"] == 1
    assert told["dnsguard_probe_results_total"]["upstream", "answered"] >= 1
    assert told["dnsguard_probe_results_total"]["cluster_udp", "answered"] >= 3
    assert told["dnsguard_upstreams"]["in_use",] == 1
    assert told["dnsguard_degraded_reasons"][()] == 0
    assert guard.run("metrics").returncode == 1


def test_the_textfile_is_whole_at_any_time(guard: Node) -> None:
    """Replaced by rename, mode 0644, followed by each change of the mode, gone at the end."""
    file = guard.root / TEXTFILES / "dnsguard.prom"
    file.parent.mkdir(parents=True)
    halves, is_over = [], Event()

    def read() -> None:
        while not is_over.is_set():
            with suppress(FileNotFoundError):
                text = file.read_text()
                if "last_look_timestamp_seconds 1" not in text:
                    halves.append(text)

    with guard.guarded():
        until(file.exists)
        reader = Thread(target=read)
        reader.start()
        try:
            for serves in ("upstream", "nodelocal", "upstream"):
                guard.run("hold", serves)
                until(lambda: _series(file.read_text())["dnsguard_mode"]["held",] == 1)
                guard.run("release")
                until(lambda: _series(file.read_text())["dnsguard_mode"]["guarding",] == 1)
        finally:
            is_over.set()
            reader.join()
        promtool("check", "metrics", said=file.read_text())
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert file.stat().st_mode & 0o777 == 0o644
    assert halves == []
    assert not file.exists()


def test_no_directory_is_made_and_no_port_opened(guard: Node) -> None:
    """As installed, on a node without node-exporter: nothing is loaded for metrics."""
    with guard.guarded() as daemon:
        guard.wait_for(UPSTREAM)
        assert not (guard.root / "var/lib/prometheus").exists()
        maps = Path(f"/proc/{daemon.pid}/net/tcp").read_text().splitlines()[1:]
        assert not [line for line in maps if line.split()[3] == "0A"]  # TCP_LISTEN


def _get(path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 -- http
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_the_listener_serves_what_is_asked_for(guard: Node) -> None:
    """A bare port is on loopback; both formats, and a way to /metrics."""
    _configure(guard, f'listen = "{PORT}"')
    with guard.guarded():
        status, kind, body = _get()
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert _series(body)["dnsguard_mode"]
        promtool("check", "metrics", said=body)
        accept = "application/openmetrics-text; version=1.0.0"
        assert _get(Accept=accept)[1].startswith("application/openmetrics-text")
        assert _get("/")[0] == 200
        assert _get("/etc/passwd")[0] == 404
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        connection.request("POST", "/metrics")
        assert connection.getresponse().status == 405
        connection.close()
        connection.request("HEAD", "/")
        head = connection.getresponse()
        assert (head.read(), head.headers["Content-Length"]) == (b"", str(len(_get("/")[2])))
        connection.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("192.0.2.1", PORT))


def test_the_listener_takes_anything(guard: Node) -> None:
    """Garbage, a head without an end, a thousand idle ones: it serves on, and so does the guard."""
    _configure(guard, f'listen = "{PORT}"')
    with guard.guarded() as daemon, ExitStack() as stack:
        guard.wait_for(UPSTREAM)
        for noise in (
            b"\x16\x03\x01\x00\n\r\n\r\n",
            b"GET",
            b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        ):
            with suppress(ConnectionError):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", PORT)))
                client.sendall(noise)
        for _ in range(800):
            stack.enter_context(socket.create_connection(("127.0.0.1", PORT)))
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        until(lambda: len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) < 100)
        stack.close()
        until(_serves)
    assert "look_failed" not in guard.log.read_text()


def _serves() -> bool:
    try:
        return _get()[0] == 200
    except OSError:
        return False


def test_a_port_in_use_is_said_and_no_death(guard: Node) -> None:
    """Once; a reload with another port puts it right."""
    _configure(guard, f'listen = "{PORT}"')
    with socket.create_server(("127.0.0.1", PORT)), guard.guarded() as daemon:
        guard.wait_for_line("metrics_failed", "address already in use")
        _configure(guard, f'listen = "127.0.0.1:{PORT + 1}"')
        daemon.send_signal(1)  # SIGHUP
        guard.wait_for_line("reloaded")
        until(lambda: _connects(PORT + 1))
    assert guard.log.read_text().count("metrics_failed") == 1


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
def test_an_address_that_comes_later_is_served(guard: Node, address: str) -> None:
    """The daemon is started before the network is: at each boot, the node has none yet."""
    _configure(guard, f'listen = "[{address}]:{PORT}"')
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert not _connects(PORT, address)
        guard.where.ip(f"address add {address} dev lo")
        until(lambda: _connects(PORT, address))
    assert "metrics_failed" not in guard.log.read_text()


def _connects(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
