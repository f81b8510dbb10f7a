"""Keeps a real upstream nameserver in resolv.conf until NodeLocalDNS is healthy."""

__version__ = "0.1.0"

PROTOCOL = 1
"""The version that client and daemon speak on the control socket."""

ROOT_SOCKET = "root.sock"
"""The control socket for root alone, beside the one for everyone."""
