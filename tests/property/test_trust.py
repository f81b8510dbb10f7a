"""Whom to believe, for any name that somebody may have chosen."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.formats import embedded_kubelet
from dnsguard.formats.kubelet import DEFAULT
from dnsguard.host import trust

MINE, THEIRS = "0f" * 16, "0a1b2c3d-1111-2222-3333-000000000001"
names = st.one_of(
    st.sampled_from(["kubepods", "kubepods.slice", "burstable", "x.scope", f"pod{THEIRS}"]),
    st.sampled_from([f"kubepods-burstable-pod{THEIRS.replace('-', '_')}.slice", "kubelet.slice"]),
    st.text("abkupods-_.0123456789", min_size=1, max_size=20),
)
paths = st.lists(names, max_size=5).map("/".join)
given_away = st.sampled_from(
    [
        "/user.slice/user-1000.slice/user@1000.service/",
        "/system.slice/some.service/",
        "/machine.slice/x.scope/",
        "/docker/0123456789abcdef/",
    ]
)


def _pod_of(group: str) -> str | None:
    with TemporaryDirectory() as directory:
        (Path(directory) / "cgroup").write_text(f"0::{group}\n")
        return trust.find_pod(Path(directory))


@given(given_away, paths)
def test_no_group_that_users_make_is_a_pods(above: str, below: str) -> None:
    """Below a session, a service or a container of their own they call groups what they like."""
    assert _pod_of(above + below) is None


@given(paths)
def test_a_pod_makes_itself_no_other(below: str) -> None:
    """What a container makes in its own group does not count, whichever driver made that."""
    assert _pod_of(f"/kubepods/burstable/pod{MINE}/0123/{below}") == MINE
    group = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{MINE}.slice"
    assert _pod_of(f"{group}/cri-containerd-01.scope/{below}") == MINE


documents = st.recursive(
    st.one_of(st.text(max_size=20), st.sampled_from(["/a", "resolv-conf=/a", "--resolv-conf=/b"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=8), st.sampled_from(["resolv-conf", "kubelet-arg+"])), inner
        ),
    ),
    max_leaves=8,
)
texts = st.lists(
    st.one_of(
        st.text(max_size=10),
        st.sampled_from(["--resolv-conf", "=", " ", "\\\n", "'", "/a", "--kubelet-arg", "#", "\n"]),
        st.sampled_from(["K3S_RESOLV_CONF=", "--config", "$X", "resolv-conf=", "\0"]),
    ),
    max_size=12,
).map("".join)


@given(texts, documents)
def test_any_file_of_a_distribution_says_a_path_or_the_dangerous_one(
    text: str, document: object
) -> None:
    """Nothing raises, and what is not understood counts as the node's own file."""
    found = [*embedded_kubelet.find_flags(text, "/a"), *embedded_kubelet.read_flags(document, "/b")]
    assert all(name.startswith("/") for name in embedded_kubelet.find_configs(text))
    for distribution in embedded_kubelet.DISTRIBUTIONS:
        setting = embedded_kubelet.find_resolv_conf(distribution, found)
        assert setting.value == DEFAULT or setting.value.startswith("/")
        assert "$" not in setting.value
