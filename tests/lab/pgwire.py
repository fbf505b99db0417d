"""Enough of PostgreSQL's protocol to ask a server, or to be an idle session of it."""

import socket
import struct
import threading

from common import Failed

# The owner of the cluster, for whom connections are kept back, and the user xixin comes as.
OWNER, USER, DATABASE = "lab", "xixin", "xixin"
# Types that are numbers; everything else stays a text.
INTEGERS = {20, 21, 23}


class Refused(Failed):
    """The server said no, or is not there."""


class Session:
    """A connection, by the protocol's third version. One that is only held is an idle one."""

    def __init__(self, port, user=OWNER, database=DATABASE, timeout=30):
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
            self.stream = self.socket.makefile("rb")
            names = f"user\0{user}\0database\0{database}\0application_name\0lab\0\0".encode()
            self.socket.sendall(struct.pack("!ii", len(names) + 8, 3 << 16) + names)
            self.answer()
        except OSError as error:
            raise Refused(f"PostgreSQL on port {port}: {error}") from error

    def rows(self, sql):
        """The rows of one statement, each a dict."""
        try:
            text = sql.encode() + b"\0"
            self.socket.sendall(struct.pack("!ci", b"Q", len(text) + 4) + text)
            return self.answer()
        except OSError as error:
            raise Refused(f"{sql}: {error}") from error

    def answer(self):
        """Reads until the server is ready for the next one."""
        columns, rows, refusal = [], [], None
        while True:
            kind, length = struct.unpack("!ci", self.exactly(5))
            body = self.exactly(length - 4)
            if kind == b"T":
                columns = list(described(body))
            elif kind == b"D":
                rows.append(dict(values(columns, body)))
            elif kind == b"E":
                fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
                refusal = f"{fields.get(b'C')} {fields.get(b'M')}"
                if fields.get(b"V") in ("FATAL", "PANIC"):
                    raise Refused(refusal)
            elif kind == b"Z":
                if refusal:
                    raise Refused(refusal)
                return rows

    def exactly(self, length):
        data = self.stream.read(length)
        if len(data) < length:
            raise ConnectionError("the server hung up")
        return data

    def close(self):
        self.stream.close()
        self.socket.close()


def described(body):
    """(name, type) of each column."""
    (count,) = struct.unpack_from("!h", body)
    position = 2
    for _ in range(count):
        end = body.index(b"\0", position)
        yield body[position:end].decode(), struct.unpack_from("!i", body, end + 7)[0]
        position = end + 19


def values(columns, body):
    position = 2
    for name, kind in columns:
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        if length < 0:
            yield name, None
            continue
        text = body[position : position + length].decode()
        yield name, int(text) if kind in INTEGERS else text
        position += length


class Asker:
    """Asks over a connection for each thread; a server that was restarted in between is asked again."""

    def __init__(self, port, user=OWNER, database=DATABASE):
        self.there = (port, user, database)
        self.here = threading.local()

    def rows(self, sql):
        session = getattr(self.here, "session", None)
        if session:
            try:
                return session.rows(sql)
            except Refused:
                session.close()
        self.here.session = None
        self.here.session = Session(*self.there)
        return self.here.session.rows(sql)
