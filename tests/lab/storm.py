"""What goes wrong with nodes and their database, and when."""

import asyncio
import collections
import contextlib
import os
import random
import signal
import time

from pgwire import USER, Refused, Session
from proxy import STALE

# What a service manager takes for "start me no more".
FINAL_CODES = (2, 78)
# What the nodes have, so that they need connections where none is left.
HANG_UP = f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{USER}' and application_name <> 'lab'"


class Storm:
    """Troubles of each node and of the server, side by side, each kind as often as the others."""

    def __init__(self, server, proxy, nodes, seed, seconds, longest):
        self.server, self.proxy, self.nodes = server, proxy, nodes
        self.seed, self.longest = seed, longest
        self.end = time.monotonic() + seconds
        # (what, begin, end) in milliseconds of the wall clock.
        self.windows = []
        self.faults = []
        self.ended_alone = collections.Counter()

    async def rage(self):
        tending = [asyncio.create_task(self.tend(node)) for node in self.nodes]
        try:
            await asyncio.gather(self.server_troubles(), *(self.node_troubles(gate, node) for gate, node in enumerate(self.nodes)))
        finally:
            for task in tending:
                task.cancel()

    async def troubles(self, name, kinds):
        """One after the other: {kind: (what happens, its shortest, its longest)}."""
        rng = random.Random(f"{self.seed} {name}")
        deck = []
        while True:
            await asyncio.sleep(rng.uniform(0, 2))
            left = self.end - time.monotonic()
            if left <= 0:
                return
            if not deck:
                deck = rng.sample(sorted(kinds), len(kinds))
            kind = deck.pop()
            shortest, longest = kinds[kind][1:]
            # As many short ones as long ones of each magnitude.
            seconds = min(left, shortest * (min(longest, self.longest) / shortest) ** rng.random())
            begin = time.time()
            await kinds[kind][0](rng, seconds)
            self.windows.append((kind, begin * 1000, time.time() * 1000))

    async def node_troubles(self, gate, node):
        def way(mode):
            async def trouble(rng, seconds):
                self.proxy.set(gate, mode, ms=rng.randrange(20, 500))
                await asyncio.sleep(seconds)
                stale = rng.choice([how for how in STALE if mode == "black-hole" or how != "resume"])
                self.proxy.heal(gate, stale)

            return trouble

        async def kill(rng, seconds):
            node.kill()
            node.start(wait=False)

        async def stop(rng, seconds):
            group = node.daemon.process.pid
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGSTOP)
                await asyncio.sleep(seconds)
                os.killpg(group, signal.SIGCONT)

        await self.troubles(
            node.name,
            {
                "SIGKILL": (kill, 1, 2),
                "SIGSTOP": (stop, 5, 120),
                "delay": (way("delay"), 1, 30),
                "cut": (way("cut"), 0.05, 30),
                "half-open": (way("half-open"), 1, 90),
                "black hole": (way("black-hole"), 1, 90),
            },
        )

    async def server_troubles(self):
        server = self.server

        async def crash(rng, seconds):
            server.stop("immediate")
            server.start()

        async def exhaust(rng, seconds):
            held = []
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    with contextlib.suppress(Refused):
                        while True:
                            held.append(Session(server.port, USER))
                    server.rows(HANG_UP)
                    await asyncio.sleep(0.1)
            finally:
                for session in held:
                    session.close()

        await self.troubles("server", {"crash": (crash, 1, 2), "pool exhaustion": (exhaust, 2, 20)})

    async def tend(self, node):
        """As a service manager does."""
        while True:
            code = node.daemon.process.poll()
            if code is not None:
                node.daemon.ended()
                self.ended_alone[code] += 1
                if code in FINAL_CODES or code < 0 or code == 101:
                    self.faults.append(f"{node.name} ended by itself with {code}")
                node.start(wait=False)
            await asyncio.sleep(0.1)

    def told(self):
        counts = collections.Counter(kind for kind, *_ in self.windows)
        counts.update({f"ended by itself with {code}": count for code, count in self.ended_alone.items()})
        return ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items()))
