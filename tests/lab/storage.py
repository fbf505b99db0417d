#!/usr/bin/env python3
"""Storage faults: the n-th write or fsync of the database fails, once or from then on, and a disk that is full and has room again.

Nothing may reach the sink that is not on record, and once the fault is over messages leave again within 30 seconds. The daemon may
end by itself; like a service manager the tool starts it again.

    tests/lab/storage.py            300 faults and a full disk, target/release/xixin
    tests/lab/storage.py --short    6 faults and a full disk, target/debug/xixin

The full disk is a small tmpfs, which only root can mount; others are told that it was left out.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import accounts
import common
import installation
from sink import Sink
from workers import Worker, share

ERRORS = ["ENOSPC", "EIO", "EROFS"]
CALLS = ["pwrite64", "fsync"]
# A thread of the database makes about so many of each in the run.
DEEPEST = {"pwrite64": 250, "fsync": 25}
# So long a fault lasts once nothing happens any more.
STILL_S = 1.5
RESUMES_S = 30
# Room for the database, its log, and what the daemon keeps back for the day the disk is full.
TMPFS_MIB = 48


class Breaker(Worker):
    """Runs the daemon on a disk that fails."""

    def serve_broken(self, wrap):
        """The daemon is the child and strace looks on, so that strace can leave it alone later."""
        return self.lab.serve(wrap=["strace", "-D", "-I", "2", "-f", "-qq", "-o", "/dev/null", *wrap], wait=False)

    def point(self, error, call, nth, lasting):
        """Returns the account and the seconds it took to resume, or None where nothing was left to do."""
        self.reset()
        before = len(self.sink.seen())
        files = [argument for end in ("", "-wal") for argument in ("-P", f"{self.lab.database}{end}")]
        when = f"{nth}+" if lasting else str(nth)
        wrap = [*files, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]
        daemon = self.serve_broken(wrap)
        restarts = 0
        try:
            self.until_still(daemon)
            if daemon.process.poll() is not None:
                restarts += 1
                daemon.kill()
                if lasting:
                    # The fault is still there: it starts in vain, or holds.
                    wrap[-1] = f"inject={call}:error={error}:when=1+"
                    daemon = self.serve_broken(wrap)
                    self.until_still(daemon)
            healed = time.time()
            release(daemon)
            resumed = None
            if not installation.settled(self.lab) or daemon.process.poll() is not None:
                daemon, again = self.keep_alive(daemon, healed)
                restarts += again
                later = [record["at"] for record in self.sink.seen()[before:] if record["at"] > healed]
                resumed = min(later) - healed if later else None
        finally:
            daemon.kill()
        found = accounts.account(self.lab, self.sink.seen()[before:], self.promised)
        if resumed is not None and resumed > RESUMES_S:
            found.faults.append(f"resumed only after {resumed:.1f} s")
        return found, resumed, restarts

    def until_still(self, daemon):
        """Until everything is sent, the daemon has ended, or nothing has come for a while."""
        last = [len(self.sink.seen()), time.monotonic()]

        def look():
            seen = len(self.sink.seen())
            if seen != last[0]:
                last[:] = [seen, time.monotonic()]
            still = time.monotonic() - last[1] > STILL_S
            return daemon.process.poll() is not None or (still and self.lab.database.exists())

        common.wait_for("stillness", look)

    def keep_alive(self, daemon, since):
        """Starts the daemon again whenever it ends, until everything is settled."""
        restarts = 0
        while True:
            if daemon.process.poll() is not None:
                daemon.kill()
                daemon = self.lab.serve()
                restarts += 1
            if installation.settled(self.lab):
                return daemon, restarts
            if time.time() - since > common.PATIENCE_S:
                raise common.Failed("it never came to an end")
            time.sleep(0.05)


def tracer_of(daemon):
    """Whoever traces it; 0 when nobody does."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("TracerPid:")[1].split()[0])
    return 0


def release(daemon):
    """The fault is over: strace lets go of the daemon."""
    if tracer := tracer_of(daemon):
        os.kill(tracer, signal.SIGTERM)
        common.wait_for("strace to let go", lambda: not tracer_of(daemon))


def full_disk(directory, program):
    """A disk becomes full while promises fall due, and has room again."""
    (directory / "state").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MIB}m,mode=700", "none", directory / "state"]
    if os.geteuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        print("left out: the full disk, which only root can mount, and not in every container")
        return []
    sink = Sink(directory)
    lab = installation.Lab(directory, program, sink.ports)
    daemon = lab.serve()
    try:
        promised = {lab.promise(number, 10): 10 for number in range(5)}
        filler = lab.state / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        time.sleep(max(0.0, lab.last_due - time.time()) + 5)
        full = len(sink.seen())
        refused = lab.run("case", "list", "--json", fine=(0, 1))
        filler.unlink()
        freed = time.time()
        # Where it ended for want of room, the service manager starts it again.
        if daemon.process.poll() is not None:
            daemon.kill()
            daemon = lab.serve()
        common.wait_for("the end of the queue", lambda: installation.settled(lab))
        later = [record["at"] for record in sink.seen()[full:]]
        found = None
    finally:
        daemon.kill()
        try:
            found = accounts.account(lab, sink.seen(), promised)
        finally:
            subprocess.run(["umount", lab.state], check=True)
            sink.stop()
    resumed = min(later) - freed if later else None
    print(
        f"full disk: {full} messages while it was full, then {len(later)} more"
        + (f", the first after {resumed:.1f} s" if later else "")
        + f"; {found.line()}"
    )
    if resumed is not None and resumed > RESUMES_S:
        found.faults.append(f"the full disk: resumed only after {resumed:.1f} s")
    if refused.returncode:
        found.faults.append("a full disk can be read no more")
    return [f"full disk: {fault}" for fault in found.faults]


def points(count, rng):
    """Every kind of fault in turn, at depths that cover the whole run."""
    kinds = [(error, call, lasting) for lasting in (True, False) for error in ERRORS for call in CALLS]
    rounds = -(-count // len(kinds))
    found = []
    for turn in range(rounds):
        for error, call, lasting in kinds:
            deepest = DEEPEST[call]
            low, high = 1 + turn * deepest // rounds, 1 + (turn + 1) * deepest // rounds
            found.append((error, call, rng.randrange(low, max(high, low + 1)), lasting))
    rng.shuffle(found)
    return found[:count]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--faults", type=int)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    chosen = arguments.parse_args()
    count = chosen.faults or (6 if chosen.short else 300)
    rng = random.Random(chosen.seed)
    program = installation.program(not chosen.short)
    print(f"{count} faults, seed {chosen.seed}")
    with common.bench("storage") as directory:
        workers = [Breaker(directory / str(n), program) for n in range(chosen.jobs)]
        faults, resumed, restarts = [], [], [0]

        def account(point, result):
            found, after, again = result
            faults.extend(f"{point}: {fault}" for fault in found.faults)
            resumed.extend([after] if after is not None else [])
            restarts[0] += again

        share(points(count, rng), workers, lambda worker, point: worker.point(*point), account)
        for worker in workers:
            worker.sink.stop()
        print(
            f"{count} faults, {len(resumed)} of them left something to do: {restarts[0]} restarts, "
            f"longest until the first message after the fault {max(resumed, default=0):.1f} s, {len(faults)} broken promises"
        )
        (directory / "full").mkdir()
        faults += full_disk(directory / "full", program)
        common.conclude(faults)


if __name__ == "__main__":
    main()
