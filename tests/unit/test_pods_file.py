"""The file for kubelet's pods."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from property import promises
from property.node import Node

from dnsguard.core.answers import Outcome
from dnsguard.core.plan import ReplacePodFile
from unit.decisions import (
    OTHER,
    POISON,
    REAL,
    make_candidate,
    make_handed_over_node,
    make_node,
)


class TestTheFileForKubelet:
    """/var/lib/dnsguard/resolv.conf."""

    def _written(self, node: Node) -> bytes | None:
        node.look()
        return node.pod_file

    def test_it_names_real_servers_and_the_nodes_own_search_list(self) -> None:
        """Without the cluster's domains, which kubelet adds where they belong."""
        node = make_node(POISON.replace(b"cluster.local", b"cluster.local corp.example"))
        node.found = (make_candidate(),)
        assert self._written(node) == (
            b"# Real upstreams for kubelet (resolvConf), kept by dnsguard(8).\n"
            b"search corp.example\nnameserver 10.0.0.2\n"
        )

    def test_it_stays_the_same_over_a_handover(self) -> None:
        """Pods never see NodeLocalDNS's address here."""
        assert promises.used(make_handed_over_node().pod_file or b"") == (REAL,)

    def test_a_stub_on_loopback_is_not_for_pods(self) -> None:
        """127.0.0.53 is nobody in a pod's network namespace."""
        node = make_node(b"nameserver 127.0.0.53\n", knows=(make_candidate(),))
        assert promises.used(self._written(node) or b"") == (REAL,)

    def test_the_same_servers_come_in_the_same_order(self) -> None:
        """In both files, whoever is the faster one, and whatever the order was before."""
        node = make_node(POISON, knows=(make_candidate(REAL), make_candidate(OTHER)))
        node.pod_file = b"nameserver 192.0.2.53\nnameserver 10.0.0.2\n"
        node.answer(REAL, Outcome.ANSWERED, rtt=0.9)
        node.answer(OTHER, Outcome.ANSWERED, rtt=0.1)
        assert promises.used(self._written(node) or b"") == (REAL, OTHER)
        assert promises.used(node.file.content) == (REAL, OTHER)

    @pytest.mark.parametrize("named", ["169.254.25.10", "192.0.2.53", "127.0.0.53"])
    def test_cluster_dns_never_stays_in_it(self, named: str) -> None:
        """Known as such, found out in an earlier boot, or a stub: not even for want of others."""
        node = make_node(POISON)
        node.memory = replace(node.memory, cluster_resolvers={OTHER: 1.0})
        node.pod_file = f"nameserver {named}\n".encode()
        assert promises.used(self._written(node) or b"") == ()

    def test_it_is_not_written_with_nobody_in_it(self) -> None:
        """What was there stays, since nothing better is known."""
        node = make_node(POISON)
        node.pod_file = b"nameserver 10.9.9.9\n"
        plan = node.look()
        assert not [a for a in plan.actions if isinstance(a, ReplacePodFile) and not a.wanted]
        assert promises.used(node.pod_file) == (ip_address("10.9.9.9"),)
