"""The Ansible role: its parts agree, and ansible-lint has nothing to say."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import] # no stubs in Debian

from static.manual import ROOT

PLACE = ROOT / "packaging/ansible"
ROLE = PLACE / "roles/dnsguard"
README = (ROLE / "README.md").read_text(encoding="utf-8")
PLAYBOOKS = sorted(PLACE.glob("*.yml"))
TASKS = sorted([*ROLE.glob("tasks/*.yml"), *ROLE.glob("handlers/*.yml")])


def _name(path: Path) -> str:
    return path.name


def _load(path: Path) -> Any:  # noqa: ANN401 -- whatever YAML holds
    return yaml.safe_load(path.read_text(encoding="utf-8"))


DEFAULTS: dict[str, object] = _load(ROLE / "defaults/main.yml")
OPTIONS: dict[str, dict[str, Any]] = _load(ROLE / "meta/argument_specs.yml")["argument_specs"][
    "main"
]["options"]


def _tasks(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each task, those in blocks, too."""
    for item in items:
        yield item
        for part in ("block", "rescue", "always"):
            yield from _tasks(item.get(part, []))


def test_defaults_are_what_the_specification_says() -> None:
    """Every variable once, with its type's default."""
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS


def test_the_readme_has_every_variable_and_its_default() -> None:
    """In its table, and no other."""
    rows = re.findall(r"^\| `(dnsguard_\w+)` \| (?:`([^`]*)`)? ?\|", README, re.MULTILINE)
    assert {name: yaml.safe_load(value or '""') for name, value in rows} == DEFAULTS


def test_what_is_used_is_defined() -> None:
    """A variable is a default, the role's own, registered, or a loop's."""
    tasks = [task for path in TASKS for task in _tasks(_load(path))]
    own = {*_load(ROLE / "vars/main.yml"), *DEFAULTS}
    made = {task["register"] for task in tasks if "register" in task}
    made |= {name for task in tasks for name in task.get("ansible.builtin.set_fact", {})}
    made |= {name for task in tasks for name in task.get("vars", {})}
    made |= {task["loop_control"]["loop_var"] for task in tasks if "loop_control" in task}
    files = [*TASKS, *ROLE.glob("templates/*"), *PLAYBOOKS]
    used = {
        name for path in files for name in re.findall(r"\bdnsguard_\w+", _without_comments(path))
    }
    assert used - own - made <= {"dnsguard_hosts", "dnsguard_0"}
    assert {*DEFAULTS} <= used


def _without_comments(path: Path) -> str:
    return re.sub(r"^\s*#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("path", TASKS, ids=_name)
def test_modules_are_ansibles_own(path: Path) -> None:
    """A controller with ansible-core alone is enough."""
    keywords = {"name", "when", "register", "changed_when", "failed_when", "check_mode", "loop"}
    keywords |= {"loop_control", "environment", "notify", "until", "retries", "delay"}
    keywords |= {"any_errors_fatal", "block", "rescue", "vars"}
    for task in _tasks(_load(path)):
        modules = task.keys() - keywords
        assert "block" in task or len(modules) == 1, task
        assert all(name.startswith("ansible.builtin.") for name in modules), task


def test_ansible_lint_is_content(tmp_path: Path) -> None:
    """In Debian 12's version, with its strictest profile; an exception stands at its task."""
    done = subprocess.run(
        ["ansible-lint", "--offline", "--nocolor", "--strict", "--profile=production", "."],
        cwd=PLACE,
        env=os.environ | {"HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=_name)
def test_playbooks_parse(playbook: Path, tmp_path: Path) -> None:
    """And find their role."""
    done = subprocess.run(
        ["ansible-playbook", "--syntax-check", "--inventory=localhost,", playbook],
        env=os.environ | {"HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
