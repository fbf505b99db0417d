"""Several nodes on one PostgreSQL."""

import shutil

import installation
from common import PATIENCE_S, Failed, wait_for
from pgwire import DATABASE, USER
from sink import Sink

# The files that all nodes of a database share.
KEYS = ("xixin.key", "chain.key")
# What a verb may end with while there is no database.
GONE = (69, 75)


class Node(installation.Lab):
    """An installation that shares its database with others. `asker` answers questions about that, past the node."""

    def __init__(self, directory, name, program, asker, port, ports, settings=""):
        self.name, self.asker, self.port = name, asker, port
        self.daemon = None
        path = directory / name
        path.mkdir()
        super().__init__(path, program, ports, settings)

    def place(self):
        return f'node = "{self.name}"\ndatabase = "postgres://{USER}@127.0.0.1:{self.port}/{DATABASE}"\n' + super().place()

    def rows(self, sql):
        return self.asker.rows(sql)

    def damage(self):
        """What is wrong with the chain of events."""
        ran = self.run("audit", "verify", fine=(0, 1))
        return f"audit verify: {ran.stdout}{ran.stderr}" if ran.returncode else None

    def share_keys(self, other):
        """The keys of another node, as an administrator copies them."""
        self.state.mkdir(mode=0o700)
        for key in KEYS:
            shutil.copy2(other.state / key, self.state / key)

    def start(self, wait=True):
        self.daemon = self.serve(wait=wait)

    def revive(self):
        """Starts it again when it has given up meanwhile, and waits until it is there."""
        if not self.daemon.ready():
            self.daemon.ended()
            self.start()

    def stop(self):
        """Asks it to stop. Its exit code."""
        daemon, self.daemon = self.daemon, None
        return daemon.stop()

    def kill(self):
        if self.daemon:
            self.daemon.kill()

    def panics(self):
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [f"{self.name}: {line}" for line in lines if "panicked at" in line]


class Cluster:
    """A sink and the nodes, which are not started yet; each has a door of its own. Cases are taken in at a desk that has no daemon.

    `ways` are the ports by which each node comes to the database, the desk first: {name: port}.
    """

    def __init__(self, directory, program, asker, ways, delay_ms, settings=""):
        (desk, way), *ways = ways.items()
        self.nodes = []
        self.sink = Sink(directory, delay_ms, doors=len(ways))
        try:
            self.desk = Node(directory, desk, program, asker, way, self.sink.ports, settings)
            self.desk.run("migrate")
            for (name, port), door in zip(ways, self.sink.doors):
                node = Node(directory, name, program, asker, port, door, settings)
                node.share_keys(self.desk)
                self.nodes.append(node)
        except BaseException:
            self.sink.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.kill()
        self.sink.stop()

    def until_settled(self, patience=PATIENCE_S):
        """Waits for the end of the queue; when it does not come, tells what is in the way."""
        try:
            wait_for("the end of the queue", lambda: installation.settled(self.desk), patience, every=0.1)
        except Failed as failure:
            waiting = self.desk.rows("select way, state, count(*) as n from reminders group by way, state order by way, state")
            stopped = self.desk.rows("select name, reason from switches order by name")
            raise Failed(f"{failure}; reminders: {[tuple(row.values()) for row in waiting]}; what is on hold: {stopped}") from failure

    def panics(self):
        return [line for node in self.nodes for line in node.panics()]
