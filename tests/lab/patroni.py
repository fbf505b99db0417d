#!/usr/bin/env python3
"""The high-availability set-up of high-availability/, really started: the primary dies under load, and another one goes on.

An etcd, Patroni's PostgreSQLs with a synchronous standby, and two nodes of xixin, each with a HAProxy of its own. Their files are the
documented ones; only addresses, folders and passwords become the lab's. Of what xixin said yes to nothing may be lost or come twice, and
messages leave again within a minute of the new primary's first answer.

    tests/lab/patroni.py            three PostgreSQLs, 5 deaths of a primary that then comes back, target/release/xixin
    tests/lab/patroni.py --short    two, one death, target/debug/xixin
"""

import argparse
import contextlib
import http.client
import itertools
import os
import re
import signal
import sys
import time

import accounts
import common
import installation
import postgres
from cluster import GONE, Cluster
from common import ROOT, Failed, wait_for
from load import Load
from neighbours import PASSWORD, Neighbour, free_port, which
from pgwire import Asker, Refused, Session

DOCUMENTED = ROOT / "high-availability"
SUPERUSER = "postgres"
RESUMES_S = 60
NAMES = ("jia", "yi")


def missing():
    """Debian packages without which none of this can run."""
    wanted = {"postgresql": postgres.programs(), "patroni": which("patroni"), "etcd-server": which("etcd"), "haproxy": which("haproxy")}
    return [package for package, found in wanted.items() if not found]


def answer(port, path):
    """The status of an answer over HTTP; None while there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status
    return None


def adapted(name, changes):
    """A documented file with the lab's places in it."""
    text = (DOCUMENTED / name).read_text(encoding="utf-8")
    for documented, here in changes.items():
        if documented not in text:
            raise Failed(f"{name} has no {documented!r}: adapt tests/lab/patroni.py")
        text = text.replace(documented, here)
    if "10.0.0." in text:
        raise Failed(f"{name} leads away from this machine: adapt tests/lab/patroni.py")
    return text


class Etcd(Neighbour):
    """One, where the documentation has three."""

    def __init__(self, directory):
        super().__init__(directory, "etcd")
        self.becomes = postgres.becoming()
        self.home = postgres.directory_of_its_own(directory / "etcd")
        self.client, peer = free_port(), free_port()
        text = adapted(
            "etcd",
            {
                "/var/lib/etcd/xixin": f"{self.home}/data",
                "10.0.0.11:2379": f"127.0.0.1:{self.client}",
                "10.0.0.11:2380": f"127.0.0.1:{peer}",
                ",db2=http://10.0.0.12:2380,db3=http://10.0.0.13:2380": "",
            },
        )
        self.options = dict(re.findall(r"(?m)^ETCD_(\w+)=(.*)$", text))

    def start(self):
        self.run(which("etcd"), *(f"--{name.lower().replace('_', '-')}={value}" for name, value in self.options.items()))
        wait_for("etcd to have a leader", lambda: answer(self.client, "/health") == 200)


class Member(Neighbour):
    """A Patroni and the PostgreSQL it looks after, with the documented file."""

    # It takes its PostgreSQL with it then.
    dies_by = signal.SIGTERM

    def __init__(self, directory, number, etcd):
        super().__init__(directory, f"db{number}")
        self.becomes = postgres.becoming()
        self.home = postgres.directory_of_its_own(directory / self.name)
        self.port, self.rest = free_port(), free_port()
        self.config = self.home / "patroni.yml"
        self.config.write_text(self.settings(etcd), encoding="utf-8")

    def settings(self, etcd):
        return adapted(
            "patroni.yml",
            {
                "name: db1": f"name: {self.name}",
                "10.0.0.11:2379,10.0.0.12:2379,10.0.0.13:2379": f"127.0.0.1:{etcd.client}",
                "10.0.0.11:8008": f"127.0.0.1:{self.rest}",
                "10.0.0.11:5432": f"127.0.0.1:{self.port}",
                "10.0.0.0/24": "127.0.0.1/32",
                # Encryption and the lab's own questions are not what is tried here; xixin's password is.
                "hostssl xixin": "host xixin",
                'ssl: "on"': 'ssl: "off"',
                f"all {SUPERUSER} 127.0.0.1/32 scram-sha-256": f"all {SUPERUSER} 127.0.0.1/32 trust",
                "/var/lib/postgresql/xixin.pgpass": f"{self.home}/pgpass",
                "/var/lib/postgresql/xixin": f"{self.home}/data",
                "/usr/lib/postgresql/15/bin": f"{postgres.programs()}",
                "CHANGE-ME": PASSWORD,
                "    password_encryption:": f"    unix_socket_directories: {self.home}\n    password_encryption:",
            },
        )

    def start(self):
        self.run(which("patroni"), self.config)

    def says(self, path):
        return answer(self.rest, path)

    def postmaster(self):
        """The process of its PostgreSQL, if there is one."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / "data" / "postmaster.pid").read_text().splitlines()[0])
            if str(self.home) in open(f"/proc/{pid}/cmdline", encoding="utf-8").read():
                return pid
        return None

    def kill(self):
        """The machine dies: Patroni first, so that it cannot start it again."""
        super().kill()
        pid = self.postmaster()
        if pid:
            os.kill(pid, signal.SIGKILL)
            wait_for(f"the end of {self.name}", lambda: not self.postmaster())


class HaProxy(Neighbour):
    """A node's way to whoever is the primary, with the documented file."""

    def __init__(self, directory, name, members):
        super().__init__(directory, f"haproxy-{name}")
        self.port = free_port()
        places = {
            f"    server db{number} 10.0.0.1{number}:5432 check port 8008\n": f"    server db{number} 127.0.0.1:{member.port} check port {member.rest}\n"
            if member
            else ""
            for number, member in itertools.zip_longest(range(1, 4), members)
        }
        text = adapted("haproxy.cfg", {"127.0.0.1:5000": f"127.0.0.1:{self.port}", **places})
        self.config = directory / f"{self.name}.cfg"
        self.config.write_text(text, encoding="utf-8")

    def start(self):
        self.run(which("haproxy"), "-db", "-f", self.config)
        self.listening(self.port)


class HighAvailability:
    """etcd, the members, and a HAProxy for each node."""

    def __init__(self, directory, count, started):
        self.etcd = Etcd(directory)
        started.callback(self.etcd.kill)
        self.etcd.start()
        self.members = [Member(directory, number, self.etcd) for number in range(1, count + 1)]
        for member in self.members:
            started.callback(member.kill)
            member.start()
        self.primary(patience=120)
        self.safe()
        self.ways = {}
        for name in ("desk", *NAMES):
            way = HaProxy(directory, name, self.members)
            started.callback(way.kill)
            way.start()
            self.ways[name] = way.port
        # Until it has asked for the first time it takes everybody for the primary, each in turn.
        for name, port in self.ways.items():
            wait_for(f"the HAProxy of {name} to find the primary", lambda: all(is_primary(port) for _ in self.members))

    def primary(self, besides=None, patience=60):
        """Whoever is it."""

        def look():
            for member in self.members:
                if member.process.poll() is not None and member is not besides:
                    raise Failed(f"the Patroni of {member.name} ended: see its log")
            # Patroni names whoever is going to be it a little before it takes writes.
            others = (member for member in self.members if member is not besides)
            return next((member for member in others if member.says("/primary") == 200 and is_primary(member.port)), None)

        return wait_for("a primary", look, patience, every=0.1)

    def safe(self):
        """Waits until a standby has everything that is committed, and everybody is there."""
        wait_for("a synchronous standby", lambda: any(member.says("/sync") == 200 for member in self.members), every=0.2)
        wait_for("every member", lambda: all(member.says("/health") == 200 for member in self.members), every=0.2)


def is_primary(port):
    with contextlib.suppress(Refused):
        with contextlib.closing(Session(port, SUPERUSER, "postgres")) as session:
            return session.rows("select pg_is_in_recovery() as standby") == [{"standby": "f"}]
    return False


def fail_over(ha, cluster, load):
    """The primary dies. Seconds until another one answered, and from then to the next message."""
    old = ha.primary()
    before = len(cluster.sink.seen())
    wait_for("messages", lambda: len(cluster.sink.seen()) > before + 20)
    died = time.time()
    old.kill()
    ha.primary(besides=old)
    answered = time.time()

    def resumed():
        load.check()
        return next((record["at"] for record in cluster.sink.seen()[before:] if record["at"] > answered), None)

    resumed_at = wait_for("a message after the new primary", resumed, patience=RESUMES_S * 2)
    return old, answered - died, resumed_at - answered


def judge(ha, cluster, load, resumed):
    found = accounts.account(cluster.desk, cluster.sink.seen(), load.promised)
    print(found.line())
    faults = found.faults + cluster.panics()
    if found.surplus_mail > found.uncertain:
        faults.append("more came again than was in doubt")
    if max(resumed) > RESUMES_S:
        faults.append(f"messages left again only after {max(resumed):.0f} s")
    return faults + accounts.lies_are_found(accounts.Ledger(cluster.desk), cluster.sink.seen(), load.promised)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--missing", action="store_true", help="names the packages that are missing, and does nothing")
    arguments.add_argument("--deaths", type=int)
    chosen = arguments.parse_args()
    if chosen.missing:
        print(" ".join(missing()))
        return
    if missing():
        sys.exit(f"install the packages {' '.join(missing())}")
    program = installation.program(not chosen.short)
    deaths = chosen.deaths or (1 if chosen.short else 5)
    with contextlib.ExitStack() as started:
        directory = started.enter_context(postgres.bench("patroni"))
        ha = HighAvailability(directory, 2 if chosen.short else 3, started)
        postgres.give_database(ha.ways["desk"], SUPERUSER, PASSWORD)
        secret = directory / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        settings = f'[postgres]\npassword = {{ file = "{secret}" }}\n'
        cluster = started.enter_context(
            Cluster(directory, program, Asker(ha.ways["desk"], SUPERUSER), ha.ways, delay_ms=200, settings=settings)
        )
        for node in cluster.nodes:
            node.start()
        load = Load(cluster.desk, excused=GONE)
        resumed = []
        try:
            for _ in range(deaths):
                old, away, seconds = fail_over(ha, cluster, load)
                resumed.append(seconds)
                print(f"{old.name} died; another one answered after {away:.1f} s, and messages left {seconds:.1f} s later", flush=True)
                if deaths > 1:
                    old.start()
                    ha.safe()
            load.stop()
            cluster.until_settled()
        finally:
            load.stopping.set()
        common.conclude(judge(ha, cluster, load, resumed))


if __name__ == "__main__":
    main()
