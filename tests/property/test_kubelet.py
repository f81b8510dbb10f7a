"""Whatever kubelet is told and however it is written: one truth, one line's change, no crash."""

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.commands.adopt import _edit
from dnsguard.commands.kubelet import POD_FILE
from dnsguard.formats import kubelet as core
from dnsguard.formats.kubelet import DEFAULT, RESOLV_CONF, RESOLV_CONF_FLAG, Flags, merge
from dnsguard.host import yaml_text
from dnsguard.host.kubelet import CONFIGS, look
from property.examples import many_examples

NAMES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", POD_FILE, "/a", "x")

names = st.sampled_from(NAMES)
flag_words = st.lists(
    st.one_of(
        st.sampled_from([[f"--resolv-conf={name}"] for name in NAMES]),
        st.sampled_from([["--resolv_conf", name] for name in NAMES]),
        st.sampled_from([["--v=2"], ["--cluster-dns=10.0.0.1"], ["--fail-swap-on"]]),
    ),
    max_size=4,
)
documents = st.lists(
    st.fixed_dictionaries({"maxPods": st.just("110")}, optional={RESOLV_CONF: names | st.just("")}),
    max_size=4,
)


@given(words=flag_words, read=documents)
def test_flags_before_drop_ins_before_the_file_before_the_default(
    words: list[list[str]], read: list[dict[str, str]]
) -> None:
    """The last one that says anything, in that order."""
    expected = DEFAULT
    for document in read:
        expected = document.get(RESOLV_CONF, expected) or DEFAULT
    for pair in words:
        if pair[0].startswith(("--resolv-conf", "--resolv_conf")):
            expected = pair[-1].removeprefix("--resolv-conf=")
    flags = Flags.of(core.flags_of([word for pair in words for word in pair], "here"))
    found = merge(flags, [(f"/{n}", document) for n, document in enumerate(read)])
    assert found.resolv_conf.value == expected


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """Return a KubeletConfiguration as people and programs write it."""
    name = draw(names | st.just(""))
    spelled = draw(
        st.sampled_from(
            [
                f"resolvConf: {name}",
                f'resolvConf: "{name}"',
                f"resolvConf: '{name}'  # why",
                f'"resolvConf":   {name} # why',
                f"resolvConf : {name}\t",
                "# resolvConf: /commented",
            ]
        )
    )
    others = st.sampled_from(
        [
            "kind: KubeletConfiguration",
            "clusterDNS:\n- 169.254.25.10",
            "# a comment: of somebody's",
            "evictionHard:\n  resolvConf: nested",
            "tls: >-\n  resolvConf: folded\n\n  text",
            "",
            "---",
        ]
    )
    before, after = draw(st.lists(others, max_size=3)), draw(st.lists(others, max_size=3))
    text = "\n".join(["apiVersion: v1", *before, spelled, *after])
    text += draw(st.sampled_from(["\n", "", "\n\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@st.composite
def json_configurations(draw: st.DrawFn) -> str:
    """Return one in JSON, with the key or without."""
    key = draw(st.sampled_from([*(f'"resolvConf": "{name}",' for name in NAMES), ""]))
    gap = draw(st.sampled_from([" ", "\n", "\n\t"]))
    return f'{{{gap}{key}{gap}"kind":{gap}"KubeletConfiguration",{gap}"a": {{"b": ["c"]}}{gap}}}\n'


@many_examples
@given(text=configurations() | json_configurations())
def test_adopting_changes_one_key_and_one_line(text: str) -> None:
    """What can't be done so is refused; done twice is done once; undone it is as before."""
    before = yaml_text.load(text.encode())
    after = _edit(text, is_flag=False)
    if after is None:
        assert not isinstance(before, dict)
        return
    assert isinstance(before, dict)
    assert yaml_text.load(after.encode()) == before | {RESOLV_CONF: POD_FILE}
    assert _edit(after, is_flag=False) == after
    old, new = text.splitlines(), after.splitlines()
    changed = [line for line in old if line not in new]
    assert len(changed) <= 1
    assert len(new) - len(old) in (0, int(RESOLV_CONF not in before))
    assert core.undo(after, text, after) == text


@given(text=configurations(), more=st.sampled_from(["# later\n", "maxPods: 5\n"]))
def test_undoing_takes_back_our_line_alone(text: str, more: str) -> None:
    """Where somebody has changed another line since, theirs stays."""
    after = _edit(text, is_flag=False)
    if after is None or after == text:
        return
    restored = core.undo(more + after, text, after)
    assert restored is None or restored.splitlines() == (more + text).splitlines()


@given(
    before=st.sampled_from(["", 'A="', "KUBELET_ARGS='--v=2 ", "# --resolv-conf=/no\nB="]),
    flags=st.lists(names.map("--resolv-conf={}".format), min_size=1, max_size=3),
    after=st.sampled_from(["", '"', " --x=y'\n", "\n# --resolv-conf=/no\n", "\r\n"]),
)
def test_a_flag_is_adopted_where_it_stands(before: str, flags: list[str], after: str) -> None:
    """The last mention, which is the one that counts; undone it is as before."""
    text = before + " ".join(flags) + after
    adopted = core.with_flag(text, RESOLV_CONF_FLAG, POD_FILE)
    assert adopted == before + " ".join([*flags[:-1], f"--resolv-conf={POD_FILE}"]) + after
    read = Flags.of(core.flags_in(adopted, "/f")).resolv_conf
    assert read is not None
    assert read.value == POD_FILE
    assert core.undo(adopted, text, adopted) == text


@many_examples
@given(
    files=st.dictionaries(
        st.sampled_from(
            [
                *CONFIGS,
                "/etc/kubelet.d/1.conf",
                "/etc/default/kubelet",
                "/etc/kubernetes/kubelet.env",
                "/etc/systemd/system/kubelet.service",
                "/etc/systemd/system/kubelet.service.d/1.conf",
            ]
        ),
        st.one_of(
            st.binary(max_size=200),
            st.lists(
                st.sampled_from(
                    [
                        b"resolvConf: ",
                        b"--config-dir=/etc/kubelet.d ",
                        b"--config=",
                        b"--resolv-conf=",
                        b"EnvironmentFile=-",
                        b"/etc/default/kubelet",
                        b"/etc/../../..",
                        b"\0",
                        b"\xff",
                        b"&a [*a, *a]\n",
                        b"{",
                        b"\n",
                    ]
                ),
                max_size=12,
            ).map(b"".join),
        ),
    )
)
def test_any_bytes_are_survived(files: dict[str, bytes]) -> None:
    """The daemon never dies of its input, and what it says of it can be printed."""
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            path = Path(directory + name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        seen = look(Path(directory))
    if set(files) & {*CONFIGS}:
        assert seen is not None
    if seen is not None:
        settings = (seen.resolv_conf, *seen.cluster_dns)
        "".join(one.value + one.origin for one in settings).encode()
        assert seen.pods_file == seen.resolv_conf.value


@given(content=st.binary(max_size=200))
def test_any_bytes_are_left_alone_or_edited_right(content: bytes) -> None:
    """Adopting refuses what it can't read, and never breaks what it can."""
    text = os.fsdecode(content)
    after = _edit(text, is_flag=False)
    if after is not None:
        found = yaml_text.load(os.fsencode(after))
        assert isinstance(found, dict)
        assert found[RESOLV_CONF] == POD_FILE
