#!/usr/bin/env python3
"""A standby that lacks the last of the write-ahead log becomes the server: everything is held, and nothing that left is sent again.

The standby follows asynchronously and is down while the last messages leave; then the primary dies for good, and the standby is promoted.
What it never heard of has left all the same: the nodes know it from their sent.log, notice that the database does not, and hold. Once a
person has released that, what had not left does, once.

    tests/lab/promotion.py            target/release/xixin
    tests/lab/promotion.py --short    target/debug/xixin, and less of everything
"""

import argparse
import collections
import contextlib
import time

import common
import installation
import postgres
from cluster import Cluster
from pgwire import Refused
from proxy import Proxy

NAMES = ("jia", "yi")
HELD_WITHIN_S = 60
# So many promises a case.
PROMISES = 10
# Every loop has looked by then.
LOOKS_S = 20


class Story:
    """Cases, in the order of what becomes of them, and what the sink had at each turn."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.phones, self.cases = [], {}

    def promise(self, count, due_in_s=installation.DUE_IN_S):
        for _ in range(count):
            number = len(self.phones) + 1
            self.phones.append(f"139{number:08}")
            self.cases[self.cluster.desk.promise(number, PROMISES, self.phones[-1], due_in_s)] = self.phones[-1]


def caught_up(primary, standby):
    sent = primary.rows("select pg_current_wal_flush_lsn() as place")[0]["place"]
    common.wait_for("the standby", lambda: standby.rows(f"select pg_last_wal_replay_lsn() >= '{sent}' as there")[0]["there"] == "t")


def promote(standby):
    """It starts without anybody to follow, and is told that it is the server now."""
    standby.start()
    standby.rows("select pg_promote()")
    common.wait_for("the promotion", lambda: standby.rows("select pg_is_in_recovery() as standby")[0]["standby"] == "f")


def held(cluster):
    with contextlib.suppress(Refused):
        return cluster.desk.rows("select reason from switches where name = 'hold'")
    return None


def judge_hold(records, promoted_at, released_at):
    return [
        f"{record['way']} {record['id']} left while nobody had released anything"
        for record in records
        if promoted_at <= record["at"] < released_at
    ]


def judge_copies(story, records, mails_before):
    """To each resident one SMS a promise; to the staff one mail a promise. Names of messages prove nothing: what is planned anew has another."""
    sms = collections.Counter(record["to"][0] for record in records if record["way"] == "sms")
    faults = [f"{phone} got {sms[phone]} SMS for {PROMISES} promises" for phone in story.phones if sms[phone] != PROMISES]
    mails = sum(record["way"] == "email" for record in records) - mails_before
    if mails != len(story.phones) * PROMISES:
        faults.append(f"{mails} e-mails left for {len(story.phones) * PROMISES} promises")
    return faults


def doctored_is_found(story, records, mails_before, promoted_at, released_at):
    sms, mail = (next(record for record in records if record["way"] == way) for way in ("sms", "email"))
    lies = (
        ("an SMS that left again", judge_copies(story, [*records, sms], mails_before)),
        ("an e-mail that left again", judge_copies(story, [*records, mail], mails_before)),
        ("a message during the hold", judge_hold([sms | {"at": (promoted_at + released_at) / 2}], promoted_at, released_at)),
    )
    return [f"nobody notices {what}" for what, found in lies if not found]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    chosen = postgres.parsed(arguments)
    program = installation.program(not chosen.short)
    cases = 2 if chosen.short else 20
    with contextlib.ExitStack() as started:
        directory = started.enter_context(postgres.bench("promotion"))
        primary = started.enter_context(postgres.serving(directory))
        proxy = started.enter_context(Proxy(primary.port, len(NAMES) + 1))
        ways = dict(zip(("desk", *NAMES), proxy.ports))
        cluster = started.enter_context(Cluster(directory, program, primary, ways, delay_ms=20))
        standby = primary.standby(directory)
        started.callback(standby.kill)
        standby.start()
        for node in cluster.nodes:
            node.start()
        story = Story(cluster)
        # The digests of the day are nobody's promise. After the hour of the digests they leave at once, before it none does.
        cluster.desk.last_due = time.time()
        common.wait_for("the first looks", lambda: time.time() > cluster.desk.last_due + LOOKS_S, every=0.5)
        cluster.until_settled()
        mails_before = sum(record["way"] == "email" for record in cluster.sink.seen())
        # Both know that these have left.
        story.promise(cases)
        cluster.until_settled()
        # The standby knows of these, but not that they have left; of the last ones, nothing of which has left, it knows, too.
        story.promise(cases, due_in_s=(15,))
        due = cluster.desk.last_due
        story.promise(cases, due_in_s=(60,))
        caught_up(primary, standby)
        standby.stop("fast")
        if time.time() > due:
            raise common.Failed("this machine is too slow for the story: messages left before the standby was down")
        left = (2 * cases * PROMISES) * 2 + mails_before
        common.wait_for("what the standby will not know", lambda: len(cluster.sink.seen()) >= left)
        common.wait_for("its outcomes", lambda: not primary.rows("select id from reminders where state in ('claimed', 'attempting')"))
        primary.stop("immediate")
        promote(standby)
        promoted_at = time.time()
        proxy.lead_to(standby.port)
        for node in (cluster.desk, *cluster.nodes):
            node.asker = standby
        faults = []
        try:
            reason = common.wait_for("the hold", lambda: held(cluster), patience=HELD_WITHIN_S)
            print(f"held {time.time() - promoted_at:.1f} s after the promotion: {reason[0]['reason']}")
        except common.Failed:
            faults.append("nothing is held although the database is older than what has left")
        # The last ones are due meanwhile, and stay.
        common.wait_for("the last ones to be due", lambda: time.time() > cluster.desk.last_due + 5, every=0.5)
        released_at = time.time()
        if not faults:
            cluster.nodes[0].run("ctl", "release", "--reason", "核对过了", "--as", "gu")
        cluster.until_settled()
        records = cluster.sink.seen()
        faults += judge_hold(records, promoted_at, released_at) + judge_copies(story, records, mails_before) + cluster.panics()
        faults += doctored_is_found(story, records, mails_before, promoted_at, released_at)
        print(f"{len(story.cases)} cases, {len(records)} messages")
        common.conclude(faults)


if __name__ == "__main__":
    main()
