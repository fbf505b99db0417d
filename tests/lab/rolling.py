#!/usr/bin/env python3
"""Rolling restarts: nodes are asked to stop and started again, each time with the other program, while messages leave.

Nothing is lost, nothing comes twice, and nobody is in doubt about anything. The other program is XIXIN_LAB_OLD_PROGRAM; without it both
are the same.

    tests/lab/rolling.py            50 restarts, target/release/xixin
    tests/lab/rolling.py --short    5 restarts, target/debug/xixin
"""

import argparse
import contextlib
import dataclasses
import itertools
import os
import random
import time
from pathlib import Path

import accounts
import common
import installation
import postgres
from cluster import Cluster
from load import Load

NAMES = ("jia", "yi", "bing")
# 200 messages a minute, so many a case.
MESSAGES_PER_MINUTE, PROMISES = 200, 5
EVERY_S = 60 * 2 * PROMISES / MESSAGES_PER_MINUTE


def strictly(found):
    """What nobody would have to know about an ordinary upgrade."""
    counts = {"came twice": found.surplus_mail + found.surplus_sms, "are in doubt": found.uncertain, "are with a person": found.to_a_person}
    return [f"{count} messages {what}" for what, count in counts.items() if count]


def doubts_are_found(found):
    return [
        f"nobody notices a message by {name}"
        for name in ("surplus_mail", "surplus_sms", "uncertain", "to_a_person")
        if not strictly(dataclasses.replace(found, **{name: 1}))
    ]


def restart(node, program):
    """What is wrong with its end, and the seconds without it."""
    begin = time.monotonic()
    code = node.stop()
    node.program = program
    node.start()
    return [f"{node.name} was asked to stop and ended with {code}"] if code else [], time.monotonic() - begin


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--restarts", type=int)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    chosen = postgres.parsed(arguments)
    restarts = chosen.restarts or (5 if chosen.short else 50)
    rng = random.Random(chosen.seed)
    new = installation.program(not chosen.short)
    old = Path(os.environ.get("XIXIN_LAB_OLD_PROGRAM", new))
    print(f"{restarts} restarts, seed {chosen.seed}" + ("; both programs are the same" if old == new else ""))
    with contextlib.ExitStack() as started:
        directory = started.enter_context(postgres.bench("rolling"))
        server = started.enter_context(postgres.serving(directory))
        ways = dict.fromkeys(("desk", *NAMES), server.port)
        # The database is made by the old one.
        cluster = started.enter_context(Cluster(directory, old, server, ways, delay_ms=400))
        for node in cluster.nodes:
            node.start()
        load = Load(cluster.desk, PROMISES, EVERY_S)
        faults, away = [], []
        try:
            common.wait_for("the first message", cluster.sink.seen)
            begin, before = time.monotonic(), len(cluster.sink.seen())
            programs = itertools.cycle([new] * len(NAMES) + [old] * len(NAMES))
            for node, program in zip(itertools.cycle(cluster.nodes), itertools.islice(programs, restarts)):
                load.check()
                time.sleep(rng.uniform(0, 2 * EVERY_S))
                wrong, seconds = restart(node, program)
                faults += wrong
                away.append(seconds)
            rate = (len(cluster.sink.seen()) - before) * 60 / (time.monotonic() - begin)
            load.stop()
            cluster.until_settled()
        finally:
            load.stopping.set()
        records = cluster.sink.seen()
        found = accounts.account(cluster.desk, records, load.promised)
        print(found.line())
        print(f"each restart took {sum(away) / restarts:.2f} s, the longest {max(away):.2f} s; {rate:.0f} messages a minute meanwhile")
        faults += found.faults + strictly(found) + doubts_are_found(found) + cluster.panics()
        faults += accounts.lies_are_found(accounts.Ledger(cluster.desk), records, load.promised)
        common.conclude(faults)


if __name__ == "__main__":
    main()
