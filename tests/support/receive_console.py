#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receives a pty master over a console socket and copies what it prints: receive_console.py SOCKET OUTPUT [INPUT]."""
import array
import os
import socket
import sys


def main():
    path, output = sys.argv[1], sys.argv[2]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    listener.settimeout(20)
    connection, _ = listener.accept()
    fds = array.array("i")
    name, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(fds.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: fds.itemsize])
    if len(fds) != 1:
        sys.exit("expected one descriptor, got %d" % len(fds))
    master = fds[0]
    if len(sys.argv) > 3:
        os.write(master, sys.argv[3].encode() + b"\n")
    with open(output, "wb", buffering=0) as out:
        out.write(b"name=" + name + b"\n")
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            if not data:
                break
            out.write(data)


main()
