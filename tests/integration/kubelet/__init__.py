"""A kubelet that runs, and ``dnsguard kubelet`` and its ``adopt`` on a node's files."""
