"""A PostgreSQL of the lab's own, with real fsync."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import common
from common import Failed, wait_for
from neighbours import Neighbour, free_port
from pgwire import DATABASE, OWNER, USER, Asker, Refused, Session

# Whom a tool becomes that was started by root, because PostgreSQL does not run as root.
NOBODIES = ("postgres", "nobody")
CONNECTIONS = 60
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": CONNECTIONS,
    "wal_level": "replica",
    "log_line_prefix": "%m [%p] %a ",
}


def programs():
    """Where initdb and its kin are; None without PostgreSQL."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    packaged = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in packaged), key=lambda path: int(path.parent.name), default=None)


def missing():
    """Debian packages without which there is none."""
    return [] if programs() else ["postgresql"]


def parsed(arguments):
    """The arguments of a tool that needs it, once it is known to be there."""
    arguments.add_argument("--missing", action="store_true", help="names the packages that are missing, and does nothing")
    chosen = arguments.parse_args()
    if chosen.missing:
        print(" ".join(missing()))
        sys.exit()
    if missing():
        sys.exit(f"install the packages {' '.join(missing())}")
    return chosen


def becoming():
    """What makes a child of root somebody who may run PostgreSQL."""
    if os.geteuid():
        return {}
    for name in NOBODIES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Failed(f"PostgreSQL does not run as root, and there is none of the users {', '.join(NOBODIES)}")


def directory_of_its_own(path):
    """A directory that belongs to whoever runs PostgreSQL."""
    path.mkdir(mode=0o700)
    who = becoming()
    if who:
        os.chown(path, who["user"], who["group"])
    return path


@contextlib.contextmanager
def bench(name):
    """A bench in which that directory can be reached: the tree of whoever is root need not be open to others."""
    base = {} if os.geteuid() else {"base": Path("/var/tmp")}
    with common.bench(name, **base) as directory:
        directory.chmod(0o711)
        yield directory


def run(program, *arguments):
    """Runs one of PostgreSQL's programs to its end."""
    command = [str(part) for part in (programs() / program, *arguments)]
    ran = subprocess.run(command, cwd="/", env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, **becoming())
    if ran.returncode:
        raise Failed(f"{program} ended with {ran.returncode}: {ran.stderr or ran.stdout}")


def give_database(port, owner=OWNER, password=None):
    """An empty one, for a user who may do what its owner may and nothing else."""
    session = Session(port, owner, "postgres")
    session.rows(f"create role {USER} login" + (f" password '{password}'" if password else ""))
    session.rows(f"create database {DATABASE} owner {USER}")
    session.close()


@contextlib.contextmanager
def serving(directory):
    """A server with an empty database."""
    server = Postgres(directory)
    try:
        server.make()
        server.start()
        give_database(server.port)
        yield server
    finally:
        server.kill()


class Postgres(Neighbour):
    """A server. What was acknowledged is on the disk."""

    # It ends at once then, and its processes with it.
    dies_by = signal.SIGQUIT

    def __init__(self, directory, name="postgres"):
        super().__init__(directory, name)
        self.becomes = becoming()
        self.port = free_port()
        self.home = directory_of_its_own(directory / name)
        self.data = self.home / "data"
        self.asker = Asker(self.port)

    def make(self):
        run("initdb", f"--pgdata={self.data}", f"--username={OWNER}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums")

    def start(self):
        settings = SETTINGS | {"port": self.port}
        self.run(programs() / "postgres", "-D", self.data, *(f"--{name}={value}" for name, value in settings.items()))
        self.answering()

    def answering(self):
        def look():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended while it started: see its log")
            try:
                Session(self.port, database="postgres").close()
            except Refused:
                return False
            return True

        wait_for(self.name, look)

    def stop(self, mode="fast"):
        """As `pg_ctl stop --mode` does; `immediate` leaves the next start to recover."""
        self.process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        self.gone()

    def kill(self):
        """Its processes notice that it is gone and end."""
        if self.process and self.process.poll() is None:
            self.stop("immediate")

    def rows(self, sql):
        """Asks as the owner, for whom there is always a connection."""
        return self.asker.rows(sql)

    def standby(self, directory, name="standby"):
        """A copy that follows this one, not yet started."""
        copy = Postgres(directory, name)
        source = f"host=127.0.0.1 port={self.port} user={OWNER}"
        run("pg_basebackup", f"--dbname={source}", f"--pgdata={copy.data}", "--write-recovery-conf", "--checkpoint=fast")
        return copy
