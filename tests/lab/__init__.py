"""Real things for tests to play with: network namespaces, a nameserver, mounts."""
