"""The boot ring: the built .deb in a real Debian 12 that boots with systemd."""
