"""Ways to a server that fail as networks do.

It is a process of its own (`python3 proxy.py PORT GATES`): GATES ports that lead to PORT, each of them a gate that is told, by lines of
JSON on standard input, how it behaves; every line is answered once that is so.

    pass         forwards
    delay        forwards each piece after so many milliseconds
    cut          resets every connection, also new ones
    half-open    takes connections and forwards what is asked, but no answer
    black-hole   takes connections and forwards nothing, not even that one is closed
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from neighbours import die_with_us

MODES = ("pass", "delay", "cut", "half-open", "black-hole")
# What becomes of connections that were open in a half-open or a black hole when it is over: what was held goes on its way, they are
# reset, or nothing ever passes again, as behind a firewall that has forgotten them. Half-open ones have lost something and cannot go on.
STALE = ("resume", "reset", "forget")


class Proxy:
    """The gates as the tools see them."""

    def __init__(self, port, gates):
        script = [sys.executable, str(Path(__file__).resolve()), str(port), str(gates)]
        self.process = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_us)
        self.ports = json.loads(self.process.stdout.readline())

    def order(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def set(self, gate, mode, ms=0):
        self.order(gate=gate, mode=mode, ms=ms)

    def heal(self, gate, stale="reset"):
        self.order(gate=gate, mode="pass", stale=stale)

    def lead_to(self, port):
        """Every gate leads elsewhere; what led to the old place is reset."""
        self.order(port=port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


def reset(writer):
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Link:
    """One connection through a gate."""

    def __init__(self, gate, client, server):
        self.gate, self.client, self.server = gate, client, server
        self.lost = self.forgotten = False

    async def run(self):
        (asked, answer), (answered, ask) = self.client, self.server
        # Kept here, because the loop itself keeps no task alive that waits for ever.
        self.tasks = [
            asyncio.current_task(),
            asyncio.create_task(self.pump(asked, ask, False)),
            asyncio.create_task(self.pump(answered, answer, True)),
        ]
        pumps = self.tasks[1:]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for writer in (answer, ask):
                writer.close()

    async def pump(self, reader, writer, answers):
        with contextlib.suppress(ConnectionError):
            # What is empty says that one side has closed, and travels like all the rest.
            while True:
                data = await reader.read(1 << 16)
                passes = await self.passes(answers)
                if passes:
                    writer.write(data)
                    await writer.drain()
                if not data:
                    if not passes:
                        await asyncio.Event().wait()
                    return

    async def passes(self, answers):
        gate = self.gate
        if gate.mode == "delay":
            await asyncio.sleep(gate.ms / 1000)
        while gate.mode == "black-hole" and not self.forgotten:
            await gate.changed.wait()
        if gate.mode == "half-open" and answers:
            self.lost = True
        return not (self.forgotten or self.lost and answers)

    def reset(self):
        for _, writer in (self.client, self.server):
            reset(writer)


class Gate:
    mode, ms, port = "pass", 0, 0

    def __init__(self):
        self.links = set()
        self.changed = asyncio.Event()

    async def open(self):
        server = await asyncio.start_server(self.enter, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    async def enter(self, *client):
        while self.mode == "black-hole":
            await self.changed.wait()
        try:
            if self.mode == "cut":
                raise ConnectionError
            server = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return reset(client[1])
        for _, writer in (client, server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, client, server)
        self.links.add(link)
        try:
            await link.run()
        finally:
            self.links.discard(link)

    def behave(self, mode, ms=0, stale="reset"):
        for link in list(self.links):
            if mode == "cut":
                link.reset()
            elif self.mode == "half-open" or self.mode == "black-hole" and stale != "resume":
                if stale == "forget":
                    link.forgotten = True
                else:
                    link.reset()
        self.mode, self.ms = mode, ms
        self.changed.set()
        self.changed = asyncio.Event()

    def lead_to(self, port):
        self.port = port
        for link in list(self.links):
            link.reset()


async def serve(port, count):
    gates = [Gate() for _ in range(count)]
    # Whoever drops a server closes it.
    servers = [await gate.open() for gate in gates]
    for gate in gates:
        gate.port = port
    print(json.dumps([number for _, number in servers]), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if "port" in order:
            for gate in gates:
                gate.lead_to(order["port"])
        else:
            gates[order.pop("gate")].behave(**order)
        print("done", flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
