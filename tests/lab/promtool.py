"""Debian's prometheus and its promtool, as tests/run lays them ready."""

import json
import os
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.netns import Namespace
from lab.wait import until

_CACHED = "prometheus/usr/bin"
_PORT = 9090
Vector = dict[frozenset[tuple[str, str]], float]
"""What a query came to: a value for each set of labels."""


def promtool(*arguments: str | Path, said: str | None = None) -> str:
    """Run it and return what it says; it must find nothing wrong.

    :param said: its standard input.
    """
    done = subprocess.run(
        [_find("promtool"), *arguments], check=False, input=said, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _find(name: str) -> str:
    cache = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))
    program = shutil.which(name) or str(cache / _CACHED / name)
    assert Path(program).exists(), f"{name} is missing: sudo tests/run static fetches it"
    return program


class Prometheus:
    """A server that scrapes; the thread that asks is in its namespace."""

    def ask(self, what: str, **parameters: str) -> dict[str, Any]:
        """Ask its HTTP API and return the data.

        :raises OSError: it does not serve (yet), or refuses the question.
        """
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{_PORT}/api/v1/{what}?{query}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def query(self, expression: str) -> Vector:
        """Evaluate an expression now; without the metrics' names."""
        found = self.ask("query", query=expression)
        assert found["resultType"] == "vector"
        return {
            frozenset((key, label) for key, label in one["metric"].items() if key != "__name__"): (
                float(one["value"][1])
            )
            for one in found["result"]
        }

    def is_up(self, count: int) -> bool:
        """Tell whether so many targets were scraped."""
        try:
            return sum(self.query("up").values()) == count
        except OSError:
            return False


@contextmanager
def prometheus(
    where: Namespace, work: Path, targets: Mapping[str, str], rules: Path
) -> Iterator[Prometheus]:
    """Run the server with these rules, until it has scraped every target once.

    :param work: an empty directory.
    :param targets: address and port by the name of the instance.
    """
    static = [
        {"targets": [target], "labels": {"instance": name}} for name, target in targets.items()
    ]
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "dnsguard", "static_configs": static}],
    }
    file = work / "prometheus.json"  # JSON is YAML
    file.write_text(json.dumps(configuration))
    command = [
        _find("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={work / 'data'}",
        f"--web.listen-address=127.0.0.1:{_PORT}",
    ]
    with (work / "log").open("wb") as log, where.inside():
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            made = Prometheus()
            until(lambda: made.is_up(len(targets)), within=60)
            yield made
            assert process.poll() is None, (work / "log").read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
