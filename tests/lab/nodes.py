#!/usr/bin/env python3
"""Three nodes on one PostgreSQL while everything fails: nothing is lost, what comes twice is explained, and nobody is stuck.

Nodes are killed and stopped, the way between them and the database delays, breaks, half-opens and swallows, the server crashes and is
full. Each node and the server have troubles of their own, so that they meet.

    tests/lab/nodes.py            10 minutes, target/release/xixin
    tests/lab/nodes.py --short    1 minute, target/debug/xixin
"""

import argparse
import asyncio
import collections
import contextlib
import random
import time

import accounts
import common
import installation
import postgres
from cluster import GONE, Cluster
from load import Load
from pgwire import Refused, Session
from proxy import Proxy
from storm import Storm

NAMES = ("jia", "yi", "bing")
DRAINED_S = 60


def gates_work(proxy):
    """What is wrong with the gates themselves: each mode has to do what it is called."""
    faults = []

    def answered(session=None):
        try:
            session = session or Session(proxy.ports[0], timeout=0.3)
            return session.rows("select 1 as one") == [{"one": 1}]
        except Refused:
            return False

    for mode in ("cut", "half-open", "black-hole"):
        old = Session(proxy.ports[0], timeout=0.3)
        proxy.set(0, mode)
        if answered(old) or answered():
            faults.append(f"a gate that is {mode} lets answers through")
        proxy.heal(0, "forget")
        if answered(old) or not answered():
            faults.append(f"a gate that was {mode} does not forget, or does not open")
    begin = time.monotonic()
    proxy.set(0, "delay", ms=100)
    if not answered(Session(proxy.ports[0], timeout=5)) or time.monotonic() - begin < 0.2:
        faults.append("a gate does not delay")
    proxy.heal(0)
    return faults


def drain(cluster, load, healed):
    """Seconds from the end of the last trouble until nothing waits."""
    load.stop()
    cluster.until_settled()
    return time.time() - max(healed, cluster.desk.last_due)


def each_sends(cluster, promised, patience):
    """Every node alone, the others having been asked to stop. Returns who does not."""
    faults = []
    for door, node in enumerate(cluster.nodes):
        for other in cluster.nodes:
            code = other.stop() if other is not node and other.daemon else 0
            if code:
                faults.append(f"{other.name} was asked to stop and ended with {code}")
        if not node.daemon:
            node.start()
        before = len(cluster.sink.seen())
        promised[cluster.desk.promise(90_000_000 + door, 1)] = 1
        try:
            cluster.until_settled(patience)
        except common.Failed as failure:
            faults.append(f"{node.name} is stuck while it is alone: {failure}")
        elsewhere = {record["door"] for record in cluster.sink.seen()[before:]} - {door}
        faults += [f"{NAMES[other]} sent although it had stopped" for other in elsewhere]
    return faults


def unexplained(ledger, records, windows):
    """What came twice although no trouble met any attempt at it."""
    copies = collections.Counter((record["way"], record["id"]) for record in records)
    attempts = collections.defaultdict(list)
    for row in ledger.attempts:
        attempts[(row["way"], row["wire_id"])].append((row["started_ms"], row["ended_ms"]))
    return [
        f"{way} {wire} came {count} times, and nothing was the matter"
        for (way, wire), count in copies.items()
        if count > 1 and not any(begin <= ended and started <= end for started, ended in attempts[(way, wire)] for _, begin, end in windows)
    ]


def edited_events_are_found(cluster):
    """Once everything is judged: an event that somebody edits has to be noticed."""
    cluster.desk.rows("update events set body = body || ' ' where seq = (select max(seq) - 1 from events)")
    return [] if cluster.desk.damage() else ["nobody notices an event that was edited"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--seconds", type=float)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    chosen = postgres.parsed(arguments)
    # The short form also runs where everything is slow: there only a queue that does not end is a fault.
    drained_s = common.PATIENCE_S if chosen.short else DRAINED_S
    seconds = chosen.seconds or (60 if chosen.short else 600)
    print(f"{seconds:.0f} s, seed {chosen.seed}", flush=True)
    program = installation.program(not chosen.short)
    with contextlib.ExitStack() as started:
        directory = started.enter_context(postgres.bench("nodes"))
        server = started.enter_context(postgres.serving(directory))
        proxy = started.enter_context(Proxy(server.port, len(NAMES)))
        faults = gates_work(proxy)
        ways = {"desk": server.port} | dict(zip(NAMES, proxy.ports))
        cluster = started.enter_context(Cluster(directory, program, server, ways, delay_ms=200))
        for node in cluster.nodes:
            node.start()
        load = Load(cluster.desk, excused=GONE)
        try:
            common.wait_for("the first message", cluster.sink.seen)
            storm = Storm(server, proxy, cluster.nodes, chosen.seed, seconds, 8 if chosen.short else 120)
            asyncio.run(storm.rage())
            drained = drain(cluster, load, time.time())
        finally:
            load.stopping.set()
        print(f"{storm.told()}; {load.refused} × a case not taken in")
        for node in cluster.nodes:
            node.revive()
        faults += storm.faults + each_sends(cluster, load.promised, drained_s) + cluster.panics()
        records = cluster.sink.seen()
        found = accounts.account(cluster.desk, records, load.promised)
        ledger = accounts.Ledger(cluster.desk)
        print(found.line())
        print(f"{drained:.1f} s from the end of the last trouble to the end of the queue")
        faults += found.faults + unexplained(ledger, records, storm.windows)
        if found.surplus_mail > found.uncertain:
            faults.append("more came again than was in doubt")
        if drained > drained_s:
            faults.append(f"the queue took {drained:.0f} s to drain")
        faults += accounts.lies_are_found(ledger, records, load.promised) + edited_events_are_found(cluster)
        common.conclude(faults)


if __name__ == "__main__":
    main()
