#!/usr/bin/env python3
"""Power cuts: a traced run is replayed up to a random instant, and what was not synced by then is lost, torn or kept at random.

Every image must hold each case that had been acknowledged and an attempt for each message that had reached the sink, and be sound to
SQLite and to xixin. Every 15th one is run to its end by the daemon, and everything accounted for.

    tests/lab/power.py            1,000 images of target/release/xixin
    tests/lab/power.py --short    30 images of target/debug/xixin
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import accounts
import common
import disk
import installation
from sink import Sink

PROMISES = 5
RUN_TO_THE_END_EVERY = 15
LIES = 5


def live(directory, program, cases):
    """What is traced: promises, messages, a kill, a clean stop. Whatever has been acknowledged is written down."""
    # Whoever ends this wants everything that it started ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    acknowledged = os.open(directory / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sink = Sink(directory)
    lab = installation.Lab(directory, program, sink.ports)
    daemon = lab.serve()
    try:
        for number in range(cases):
            case = lab.promise(number, PROMISES)
            os.write(acknowledged, f"{case}\n".encode())
            if number == cases // 3:
                daemon.kill()
                daemon = lab.serve()
            if number == 2 * cases // 3:
                common.wait_for("the end of the queue", lambda: installation.settled(lab))
                daemon.stop()
                daemon = lab.serve()
        common.wait_for("the end of the queue", lambda: installation.settled(lab))
        daemon.stop()
    finally:
        daemon.kill()
        sink.stop()


def trace(directory, *command):
    """Runs this under strace. When anything goes wrong, all of it ends: strace itself lets nobody end it before what it traces."""
    strace = ["strace", "-f", "-y", "-qq", "-xx", "-s", "1048576", "-e", f"trace={disk.TRACED}", "-e", "signal=none"]
    tracing = subprocess.Popen([*strace, "-o", directory / "trace", *command], start_new_session=True)
    try:
        if tracing.wait() != 0:
            raise common.Failed(f"the traced run ended with {tracing.returncode}")
    finally:
        if tracing.poll() is None:
            os.killpg(tracing.pid, signal.SIGTERM)
            tracing.wait()
    return disk.read_trace(directory / "trace")


class Cut:
    """What was known to the world when the power failed."""

    def __init__(self, directory):
        self.directory = directory
        self.disk = disk.Disk(directory / "state")
        self.acknowledged = []
        self.records = []

    def happens(self, position, event):
        self.disk.happens(position, event)
        if event.kind == "write" and event.path == str(self.directory / "acknowledged"):
            self.acknowledged.append(event.data.decode().strip())
        if event.kind == "write" and event.path == str(self.directory / "sink.jsonl"):
            self.records.append(json.loads(event.data))

    def leave(self, rng):
        """Writes an image where the database was."""
        state = self.directory / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(mode=0o700)
        for path, content in self.disk.after_power_cut(rng).items():
            # What lives in memory, and the lock that is anybody's.
            if path.endswith(("-shm", ".lock", ".sock")):
                continue
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)
            Path(path).chmod(0o600)


def look(lab, cut, audits):
    """What is wrong with an image."""
    if not cut.acknowledged:
        # Nothing was promised yet; it only has to go on from there.
        lab.run("migrate")
    else:
        lab.run("case", "list", "--json")
    if audits:
        lab.run("audit", "verify")
    damage = lab.damage()
    if damage:
        return [damage]
    cases = {row["id"] for row in lab.rows("select id from cases")}
    followed = {row["case_id"]: row["n"] for row in lab.rows("select case_id, count(*) as n from agenda where kind = 'callback' group by 1")}
    faults = [f"{case} was acknowledged and is lost" for case in cut.acknowledged if case not in cases]
    attempts = {(row["way"], row["wire_id"]) for row in lab.rows("select way, wire_id from attempts")}
    for record in cut.records:
        if (record["way"], record["id"]) not in attempts:
            faults.append(f"{record['way']} {record['id']} was at the sink and has no attempt")
    faults += [f"{case} has lost items" for case, count in followed.items() if count != PROMISES]
    return faults


def go_on(lab, cut, sink):
    """The daemon takes the image over and everything ends well."""
    before = len(sink.seen())
    lab.last_due = time.time()
    daemon = lab.serve()
    try:
        common.wait_for("the end of the queue", lambda: installation.settled(lab))
    finally:
        daemon.kill()
    records = cut.records + sink.seen()[before:]
    return accounts.account(lab, records, dict.fromkeys(cut.acknowledged, PROMISES)).faults


def lies_are_found(lab, directory, events, rng):
    """The same check on a disk that syncs nothing: if it found nothing there, it could find nothing anywhere."""
    cut = Cut(directory)
    for position, event in enumerate(events):
        if event.kind != "sync":
            cut.happens(position, event)
    for _ in range(LIES):
        cut.leave(rng)
        try:
            if look(lab, cut, audits=False):
                return []
        except (common.Failed, sqlite3.DatabaseError):
            return []
    return [f"on a disk that syncs nothing, nothing is missing in {LIES} images"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--images", type=int)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments.add_argument("--live", nargs=2, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    program = installation.program(not chosen.short)
    cases = 3 if chosen.short else 30
    if chosen.live:
        live(Path(chosen.live[0]), program, int(chosen.live[1]))
        return
    images = chosen.images or (30 if chosen.short else 1_000)
    rng = random.Random(chosen.seed)
    print(f"{images} images, seed {chosen.seed}")
    with common.bench("power") as directory:
        short = ["--short"] if chosen.short else []
        events = trace(directory, sys.executable, __file__, *short, "--live", directory, str(cases))
        writes = [n for n, event in enumerate(events) if event.path.startswith(f"{directory}/state/xixin.db")]
        print(f"{len(events)} events traced, {len(writes)} of them on the database")
        sink = Sink(directory)
        lab = installation.Lab(directory, program, sink.ports)
        lab.connect(sink.ports)
        audits = lab.run("audit", "verify", "--help", fine=(0, 2)).returncode == 0
        cut, faults, done = Cut(directory), [], 0
        # Cuts right after something happened to the database.
        points = sorted(rng.choices(writes, k=images))
        for position, event in enumerate(events):
            cut.happens(position, event)
            while done < images and points[done] == position:
                done += 1
                cut.leave(rng)
                try:
                    found = look(lab, cut, audits)
                    if not found and done % RUN_TO_THE_END_EVERY == 0:
                        found = go_on(lab, cut, sink)
                except common.Failed as failure:
                    found = [str(failure)]
                faults += [f"image {done} after event {position}: {fault}" for fault in found]
                if done % 100 == 0:
                    print(f"{done} images, {len(faults)} faults", flush=True)
        faults += lies_are_found(lab, directory, events, rng)
        sink.stop()
        print(
            f"{done} images over {len(cut.acknowledged)} acknowledged cases and {len(cut.records)} messages at the sink: {len(faults)} faults"
            + ("" if audits else "; this xixin has no audit verify")
        )
        common.conclude(faults)


if __name__ == "__main__":
    main()
