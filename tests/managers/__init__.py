"""The managers ring: the built .deb on booted nodes, beside each real network manager."""
