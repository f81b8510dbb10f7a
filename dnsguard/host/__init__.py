"""The thin shell around the kernel, systemd and the files: one library a module."""
