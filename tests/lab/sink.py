"""A sink for e-mail and SMS that writes down what it has before it says yes.

It is a process of its own (`python3 sink.py DIR DELAY_MS DOORS`), so that it answers however busy the tool is. Every message becomes one line
of DIR/sink.jsonl, written before the 250 or the 200: whatever the daemon may believe was sent, the line says what was. Each door is a pair of
ports, so that of several daemons it is known which one came.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path


class Sink:
    """The sink as the tools see it."""

    def __init__(self, directory, delay_ms=0, wrap=(), doors=1):
        self.path = directory / "sink.jsonl"
        self.path.touch()
        self.read_to = 0
        self.records = []
        script = [sys.executable, str(Path(__file__).resolve()), str(directory), str(delay_ms), str(doors)]
        self.process = subprocess.Popen([*wrap, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.doors = json.loads(self.process.stdout.readline())
        self.ports = self.doors[0]

    def seen(self):
        """Every record so far."""
        with self.path.open("rb") as lines:
            lines.seek(self.read_to)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.read_to += len(line)
                self.records.append(json.loads(line))
        return self.records

    def stop(self):
        self.process.communicate()


async def serve_sink(directory, delay_ms, doors):
    record = os.open(directory / "sink.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(entry):
        entry["at"] = time.time()
        line = json.dumps(entry) + "\n"
        if os.write(record, line.encode()) != len(line):
            raise OSError("the record could not be written whole")

    async def dawdle():
        # Half of the answers come at once: both sides of the commit point are to be hit.
        if delay_ms and random.random() < 0.5:
            await asyncio.sleep(random.uniform(0, delay_ms) / 1000)

    def guarded(handler, door):
        async def handle(reader, writer):
            # The daemon dies in the middle of everything here; that is the point.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, BrokenPipeError):
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await handler(reader, writer, door)
            with contextlib.suppress(Exception):
                writer.close()

        return handle

    async def smtp(reader, writer, door):
        writer.write(b"220 sink\r\n")
        rcpt = []
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await writer.drain()
                text = bytearray()
                while (line := await reader.readline()) != b".\r\n":
                    if not line:
                        return
                    text += line[1:] if line.startswith(b"..") else line
                head = bytes(text).split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace")
                found = re.search(r"(?im)^Message-ID:\s*(\S+)", head)
                note(
                    {
                        "way": "email",
                        "door": door,
                        "id": found.group(1) if found else "",
                        "to": rcpt,
                        "sha256": hashlib.sha256(text).hexdigest(),
                    }
                )
                rcpt = []
                await dawdle()
                writer.write(b"250 kept\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                await writer.drain()
                return
            else:
                if verb == b"RCPT":
                    rcpt.append(line.decode("utf-8", "replace").split("<")[-1].split(">")[0])
                writer.write(b"250 ok\r\n")
            await writer.drain()

    async def gateway(reader, writer, door):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length.group(1)) if length else 0)
            sms = json.loads(body)
            note(
                {
                    "way": "sms",
                    "door": door,
                    "id": sms["ref"],
                    "to": [sms["mobile"]],
                    "sha256": hashlib.sha256(body).hexdigest(),
                }
            )
            await dawdle()
            answer = json.dumps({"code": "0", "id": sms["ref"]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer))
            writer.write(answer)
            await writer.drain()

    async def port(handler, door):
        server = await asyncio.start_server(guarded(handler, door), "127.0.0.1", 0, limit=1 << 20)
        return server, server.sockets[0].getsockname()[1]

    # Whoever drops a server closes it.
    servers = [{"smtp": await port(smtp, door), "http": await port(gateway, door)} for door in range(doors)]
    print(json.dumps([{way: number for way, (_, number) in pair.items()} for pair in servers]), flush=True)
    # It ends with the tool, however that ends.
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_sink(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
