"""The incident, replayed on a terminal: ``tests/demo/run``. With Debian's python and dnsguard's libraries alone."""
