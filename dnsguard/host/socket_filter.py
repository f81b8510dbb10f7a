"""Filters on sockets, which the kernel runs for each packet (socket(7), SO_ATTACH_FILTER)."""

import ctypes
import socket
import struct

Program = list[tuple[int, int, int, int]]
"""Instructions: code, jump if true, jump if false, operand (linux/filter.h, struct sock_filter)."""

_ATTACH_FILTER = 26  # asm-generic/socket.h


def attach(one: socket.socket, program: bytes) -> None:
    """Attach a packed program."""
    buffer = ctypes.create_string_buffer(program, len(program))
    where = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, where)


def pack(program: Program) -> bytes:
    """Return instructions as the kernel takes them (struct sock_filter)."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)
