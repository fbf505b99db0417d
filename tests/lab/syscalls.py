#!/usr/bin/env python3
"""SIGKILL at every system call by which the daemon changes anything: files, sockets, pipes.

A run of about 50 messages is repeated from the same database, and each time strace ends the daemon at another call: the first write of
a thread, the second, and so on for every kind of call. After a second run without strace everything must be where it belongs.

    tests/lab/syscalls.py            1,150 points (not all are reached each time) of target/release/xixin
    tests/lab/syscalls.py --short    16 points, spread evenly, of target/debug/xixin
"""

import argparse
import collections
import re

import accounts
import common
import installation
from workers import Worker, share

KINDS = "write pwrite64 pwritev writev sendto sendmsg sendmmsg fsync fdatasync ftruncate fallocate unlink unlinkat rename renameat".split()


class Killer(Worker):
    """Runs the daemon below strace."""

    def traced(self, wrap):
        """A run below strace until everything is settled or the daemon is dead. Returns whether it died."""
        daemon = self.lab.serve(wrap=wrap, wait=False)
        try:
            done = common.wait_for(
                "the end of a traced run", lambda: daemon.process.poll() is not None or installation.settled(self.lab)
            )
            # Settled is not the end: the stop is a part of the run, too.
            return done and (daemon.process.poll() is not None or daemon.stop() < 0)
        finally:
            daemon.kill()

    def count(self):
        """How often a thread makes each kind of call at the most."""
        self.reset()
        path = self.lab.dir / "calls"
        self.traced(["strace", "-f", "-qq", "-o", path, "-e", f"trace={','.join(KINDS)}", "-e", "signal=none"])
        made = collections.Counter(re.findall(r"(?m)^(\d+) +(\w+)\(", path.read_text(errors="replace")))
        most = collections.Counter()
        for (_, kind), count in made.items():
            most[kind] = max(most[kind], count)
        return most

    def point(self, kind, nth):
        """Dies at one point, starts again, and accounts for everything."""
        self.reset()
        before = len(self.sink.seen())
        inject = f"inject={kind}:signal=KILL:when={nth}"
        # Not with --seccomp-bpf: strace 6.1 miscounts then.
        wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={kind}", "-e", inject]
        died = self.traced(wrap)
        daemon = self.lab.serve()
        try:
            common.wait_for("the end of the queue", lambda: installation.settled(self.lab))
        finally:
            daemon.kill()
        return died, accounts.account(self.lab, self.sink.seen()[before:], self.promised)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--points", type=int)
    arguments.add_argument("--jobs", type=int, default=2)
    chosen = arguments.parse_args()
    wanted = chosen.points or (16 if chosen.short else 1_150)
    with common.bench("syscalls") as directory:
        workers = [Killer(directory / str(n), installation.program(not chosen.short)) for n in range(chosen.jobs)]
        most = workers[0].count()
        print("calls of a thread at the most: " + ", ".join(f"{kind} {count}" for kind, count in most.most_common()))
        points = [(kind, nth) for kind, count in sorted(most.items()) for nth in range(1, count + 1)]
        if wanted < len(points):
            points = [points[index * len(points) // wanted] for index in range(wanted)]
        # Threads share the work differently each time, so a second round finds other states.
        points *= -(-wanted // len(points))
        tally = collections.Counter()
        faults = []

        def account(point, result):
            (kind, nth), (died, found) = point, result
            tally.update(points=1, died=died, mails=found.surplus_mail, sms=found.surplus_sms, person=found.to_a_person)
            faults.extend(f"{kind} {nth}: {fault}" for fault in found.faults)
            if tally["points"] % 100 == 0:
                print(f"{tally['points']} points, {len(faults)} faults", flush=True)

        share(points, workers, lambda worker, point: worker.point(*point), account)
        for worker in workers:
            worker.sink.stop()
        print(
            f"{tally['points']} points, at {tally['died']} the daemon died: {tally['mails']} e-mails and {tally['sms']} SMS "
            f"came again, {tally['person']} went to a person, {len(faults)} faults"
        )
        if tally["died"] * 2 < tally["points"]:
            faults.append("most points were not reached: the run is not what was counted")
        common.conclude(faults)


if __name__ == "__main__":
    main()
