"""What the tools of the lab share: an installation of its own, a sink that writes down what it has before it says yes, the load, and
the account at the end.

The sink is a process of its own (`python3 common.py sink DIR`), so that it answers however busy the tool is. Every message becomes one
line of DIR/sink.jsonl, written before the 250 or the 200: whatever the daemon may believe was sent, the line says what was.
"""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Longer than anything takes: reached only when it never comes.
PATIENCE_S = 120

# Taking a case in takes a while on a busy machine, and nobody may promise for the past: then later.
DUE_IN_S = (5, 20, 60)

# The ladder of the lab: at the very instant of a promise its keeper gets an e-mail and the resident an SMS.
RUNGS = """
[[ladder.callback.rung]]
name = "lab-mail"
when = "on due"
to = ["assignee"]
by = ["email"]
text = "callback_due"

[[ladder.callback.rung]]
name = "lab-sms"
when = "on due"
to = ["resident"]
by = ["sms", "phone"]
text = "callback_due"
"""

def program(release):
    """The daemon to test: XIXIN_LAB_PROGRAM, else what cargo has built."""
    given = os.environ.get("XIXIN_LAB_PROGRAM")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = Path(given) if given else target / ("release" if release else "debug") / "xixin"
    if not path.exists():
        sys.exit(f"{path} is missing: cargo build --locked{' --release' if release else ''}")
    return path


def wait_for(what, look, patience=PATIENCE_S, every=0.02):
    """Looks until there is something to see."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(every)
    raise Failed(f"waited {patience} s in vain for {what}")


class Failed(Exception):
    """A promise was broken, or could not be looked at."""


# --- the sink


class Sink:
    """The sink as the tools see it."""

    def __init__(self, directory, delay_ms=0, wrap=()):
        self.path = directory / "sink.jsonl"
        self.path.touch()
        self.read_to = 0
        self.records = []
        script = [sys.executable, str(Path(__file__).resolve()), "sink", str(directory), str(delay_ms)]
        self.process = subprocess.Popen([*wrap, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.process.stdout.readline())

    def seen(self):
        """Every record so far."""
        with self.path.open("rb") as lines:
            lines.seek(self.read_to)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.read_to += len(line)
                self.records.append(json.loads(line))
        return self.records

    def stop(self):
        self.process.communicate()


async def serve_sink(directory, delay_ms):
    record = os.open(directory / "sink.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(entry):
        entry["at"] = time.time()
        line = json.dumps(entry) + "\n"
        if os.write(record, line.encode()) != len(line):
            raise OSError("the record could not be written whole")

    async def dawdle():
        # Half of the answers come at once: both sides of the commit point are to be hit.
        if delay_ms and random.random() < 0.5:
            await asyncio.sleep(random.uniform(0, delay_ms) / 1000)

    def guarded(handler):
        async def handle(reader, writer):
            # The daemon dies in the middle of everything here; that is the point.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, BrokenPipeError):
                writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await handler(reader, writer)
            with contextlib.suppress(Exception):
                writer.close()

        return handle

    async def smtp(reader, writer):
        writer.write(b"220 sink\r\n")
        rcpt = []
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await writer.drain()
                text = bytearray()
                while (line := await reader.readline()) != b".\r\n":
                    if not line:
                        return
                    text += line[1:] if line.startswith(b"..") else line
                head = bytes(text).split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace")
                found = re.search(r"(?im)^Message-ID:\s*(\S+)", head)
                note(
                    {
                        "way": "email",
                        "id": found.group(1) if found else "",
                        "to": rcpt,
                        "sha256": hashlib.sha256(text).hexdigest(),
                    }
                )
                rcpt = []
                await dawdle()
                writer.write(b"250 kept\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                await writer.drain()
                return
            else:
                if verb == b"RCPT":
                    rcpt.append(line.decode("utf-8", "replace").split("<")[-1].split(">")[0])
                writer.write(b"250 ok\r\n")
            await writer.drain()

    async def gateway(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length.group(1)) if length else 0)
            sms = json.loads(body)
            note(
                {
                    "way": "sms",
                    "id": sms["ref"],
                    "to": [sms["mobile"]],
                    "sha256": hashlib.sha256(body).hexdigest(),
                }
            )
            await dawdle()
            answer = json.dumps({"code": "0", "id": sms["ref"]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer))
            writer.write(answer)
            await writer.drain()

    servers = [await asyncio.start_server(guarded(handler), "127.0.0.1", 0, limit=1 << 20) for handler in (smtp, gateway)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps({"smtp": ports[0], "http": ports[1]}), flush=True)
    # It ends with the tool, however that ends.
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


# --- an installation


class Lab:
    """A directory with the shipped configuration, the ladder of the lab, and the daemon in it."""

    def __init__(self, directory, program, ports, settings="", rungs=RUNGS, state=None):
        self.dir = Path(directory)
        self.program = program
        self.config = self.dir / "config"
        self.state = state or self.dir / "state"
        self.database = self.state / "xixin.db"
        self.log = self.dir / "daemon.log"
        self.last_due = 0.0
        if not self.config.exists():
            self.furnish(ports, settings, rungs)

    def furnish(self, ports, settings, rungs):
        shutil.copytree(ROOT / "config", self.config)
        ladders = self.config / "ladders.toml"
        parts = re.split(r"(?m)^(?=\[\[?ladder\.)", ladders.read_text(encoding="utf-8"))
        kept = [part for part in parts if not part.startswith("[[ladder.callback.rung]]")]
        ladders.write_text("".join(kept) + rungs, encoding="utf-8")
        # The lab runs at every hour of the day, sends far more than usual, and to everybody more than anybody should get.
        for key, before, after in (
            ("sending", '"08:00-21:00"', '"00:00-24:00"'),
            ("late_after_minutes", 15, 1440),
            ("sms_per_resident_per_day", 2, 20),
            ("sms_per_topic_per_day", 1, 20),
            ("messages_per_resident_per_day", 3, 20),
            ("run_min", 50, 1_000_000),
            ("same_text", 100, 1_000_000),
            ("failures_percent", 20, 100),
            ("new_text_first", 5, 100),
        ):
            change(self.config / "schedule.toml", f"\n{key} = {before}\n", f"\n{key} = {after}\n")
        (self.config / "conf.d").mkdir(exist_ok=True)
        (self.config / "conf.d" / "20-lab.toml").write_text(settings, encoding="utf-8")
        self.connect(ports)

    def connect(self, ports):
        """Writes where the daemon finds the sink, and its data."""
        body = '{"mobile": {{ to|tojson }}, "content": {{ text|tojson }}, "ref": {{ id|tojson }}}'
        text = f"""state_dir = "{self.state}"
[http]
listen = "127.0.0.1:0"
[mail]
transport = "smtp"
[mail.smtp]
host = "127.0.0.1"
port = {ports["smtp"]}
connections = 4
[sms]
transport = "http"
[sms.http]
method = "POST"
url = "http://127.0.0.1:{ports["http"]}/send"
headers = {{ "Content-Type" = "application/json" }}
body = '{body}'
success = {{ status = [200], pointer = "/code", equals = "0" }}
reference = "/id"
connections = 4
timeout_s = 30
[log]
format = "text"
"""
        (self.config / "conf.d" / "10-lab.toml").write_text(text, encoding="utf-8")

    def run(self, *arguments, given=None, fine=(0,)):
        """Runs a verb to its end; anything but a fine exit code is a failure of the lab."""
        ran = subprocess.run(
            [self.program, "--config", self.config, *arguments],
            env={"PATH": os.environ["PATH"]},
            input=given,
            capture_output=True,
            text=True,
        )
        if ran.returncode not in fine:
            raise Failed(f"xixin {' '.join(arguments)} ended with {ran.returncode}: {ran.stderr or ran.stdout}")
        return ran

    def promise(self, number, count):
        """Takes in one case with this many promised calls due in a moment. Returns its number once it is acknowledged."""
        for due_in in DUE_IN_S:
            due = time.time() + due_in
            words = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(due + 8 * 3600)) + f".{int(due * 1000) % 1000:03}"
            case = {
                "resident": {"name": f"示例{number}", "phone": f"139{number:08}", "born": 1980},
                "matter": "hard_case",
                "request": f"请帮我问一问。{number}",
                "callbacks": [{"words": f"问到就告诉您{n}", "due": words} for n in range(count)],
            }
            ran = self.run("case", "add", "-", "--as", "zhou", "--json", given=json.dumps(case), fine=(0, 1))
            if ran.returncode == 0:
                self.last_due = max(self.last_due, due)
                return json.loads(ran.stdout)["case"]["id"]
            if "the promised time has passed" not in ran.stderr:
                break
        raise Failed(f"a case was refused: {ran.stderr}")

    def serve(self, wrap=(), wait=True):
        return Daemon(self, wrap, wait)

    def rows(self, sql):
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            return database.execute(sql).fetchall()


def change(path, before, after):
    text = path.read_text(encoding="utf-8")
    if before not in text:
        raise Failed(f"{path.name} has no {before!r}: adapt tests/lab/common.py")
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


class Daemon:
    """A running daemon, perhaps below another program such as strace, in a process group of its own."""

    def __init__(self, lab, wrap, wait):
        self.lab = lab
        path = lab.dir / "notify.sock"
        path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(path))
        self.notify.settimeout(0.05)
        with lab.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrap, lab.program, "--config", lab.config, "serve"],
                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait and not self.ready():
            last = lab.log.read_text(errors="replace").splitlines()[-10:]
            raise Failed("the daemon ended while it started: " + " / ".join(last))

    def ready(self):
        """Waits for READY=1; false when the process ended before."""

        def said():
            with contextlib.suppress(TimeoutError):
                return b"READY=1" in self.notify.recv(4096)
            return self.process.poll() is not None

        wait_for("READY=1", said)
        return self.process.poll() is None

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.ended()

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        return self.ended()

    def ended(self):
        code = self.process.wait()
        self.notify.close()
        return code


# --- the same run again and again

# About 50 messages.
TEMPLATE_CASES, TEMPLATE_PROMISES = 2, 13
# A template is used for so long: its reminders must not become stale.
TEMPLATE_S = 240


class Worker:
    """One installation with its sink, used again and again."""

    def __init__(self, directory, program):
        directory.mkdir()
        self.sink = Sink(directory, delay_ms=20)
        self.lab = Lab(directory, program, self.sink.ports)
        self.template = directory / "template"
        self.made = None

    def reset(self):
        """The database of the template: promises that are due, and nothing sent of them yet."""
        if self.made is None or time.monotonic() - self.made > TEMPLATE_S:
            self.renew()
        shutil.rmtree(self.lab.state)
        shutil.copytree(self.template, self.lab.state)

    def renew(self):
        shutil.rmtree(self.lab.state, ignore_errors=True)
        shutil.rmtree(self.template, ignore_errors=True)
        # The digests of the day leave first, so that they are in nobody's way.
        daemon = self.lab.serve()
        try:
            time.sleep(0.5)
            wait_for("the digests", lambda: settled(self.lab))
        finally:
            daemon.stop()
        self.promised = {self.lab.promise(number, TEMPLATE_PROMISES): TEMPLATE_PROMISES for number in range(TEMPLATE_CASES)}
        time.sleep(max(0.0, self.lab.last_due - time.time()))
        shutil.copytree(self.lab.state, self.template)
        self.made = time.monotonic()


def share(points, workers, work, account):
    """Every point is taken by one worker; results are told one at a time."""
    lock = threading.Lock()
    points = list(reversed(points))

    def run(worker):
        while True:
            with lock:
                if not points:
                    return
                point = points.pop()
            result = work(worker, point)
            with lock:
                account(point, result)

    with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(run, workers))


# --- the account


@dataclass
class Account:
    """What was promised, against what the ledger says and what the sink has."""

    expected: int = 0
    sent: int = 0
    to_a_person: int = 0
    surplus_mail: int = 0
    surplus_sms: int = 0
    uncertain: int = 0
    faults: list = field(default_factory=list)

    def line(self):
        return (
            f"{self.expected} promised: {self.sent} at the sink, {self.to_a_person} with a person, "
            f"{len(self.faults)} faults; {self.surplus_mail} e-mails and {self.surplus_sms} SMS came again, "
            f"{self.uncertain} attempts in doubt"
        )


# Where somebody has it on their desk.
WITH_A_PERSON = {"uncertain", "held", "task", "refused"}
ARRIVED = {"accepted", "delivered", "no_receipt", "bounced"}


def account(lab, records, promised):
    """Compares. `promised` is {case: number of promises}; each is an e-mail and an SMS. A fault is a broken promise."""
    found = Account()
    copies = {}
    for record in records:
        copies.setdefault((record["way"], record["id"]), []).append(record)
    if [tuple(row) for row in lab.rows("pragma integrity_check")] != [("ok",)]:
        found.faults.append("the database is corrupt")
        return found
    by_wire, by_reminder = {}, {}
    for row in lab.rows("select wire_id, outcome, way, reminder_id from attempts"):
        by_wire.setdefault((row["way"], row["wire_id"]), []).append(row)
        by_reminder.setdefault(row["reminder_id"], []).append(row)
        found.uncertain += row["outcome"] == "uncertain"
    for (way, wire), records in copies.items():
        judge_copies(found, way, wire, records, by_wire.get((way, wire), []))
    reminders = {}
    for row in lab.rows("select id, case_id, mark, way, state from reminders where case_id <> ''"):
        reminders.setdefault((row["case_id"], row["mark"].split("|")[3], row["way"]), []).append(row)
    for case, count in promised.items():
        for rung, way in (("lab-mail", "email"), ("lab-sms", "sms")):
            rows = reminders.get((case, rung, way), [])
            tasks = reminders.get((case, rung, "phone"), [])
            found.expected += count
            if len(rows) != count:
                found.faults.append(f"{case} {rung}: {count} promised, {len(rows)} in the ledger")
            for row in rows:
                attempts = by_reminder.get(row["id"], [])
                at_sink = any((way, attempt["wire_id"]) in copies for attempt in attempts)
                found.sent += at_sink
                if row["state"] in WITH_A_PERSON:
                    found.to_a_person += 1
                elif row["state"] not in ARRIVED:
                    found.faults.append(f"{case} {rung} {row['id']}: still {row['state']}")
                elif not at_sink:
                    found.faults.append(f"{case} {rung} {row['id']}: {row['state']}, but the sink never had it")
            in_doubt = sum(row["state"] in WITH_A_PERSON for row in rows)
            if way == "sms" and in_doubt > len(tasks):
                found.faults.append(f"{case}: {in_doubt} SMS in doubt, but only {len(tasks)} call tasks")
    return found


def judge_copies(found, way, wire, records, attempts):
    """Every copy has its attempt, every surplus its doubt, and all are the same bytes."""
    outcomes = [attempt["outcome"] for attempt in attempts]
    doubts = sum(outcome in ("uncertain", "attempting") for outcome in outcomes)
    accepted = sum(outcome not in ("uncertain", "attempting", "deferred", "refused") for outcome in outcomes)
    told = f"{way} {wire}: {len(records)} at the sink, attempts {outcomes}"
    if len(records) > accepted + doubts or accepted > 1:
        found.faults.append(told)
    if len({record["sha256"] for record in records}) > 1:
        found.faults.append(f"{told}, not all of the same bytes")
    if any(len(record["to"]) != 1 for record in records):
        found.faults.append(f"{told}, not to exactly one")
    if way == "sms" and len(records) > 1:
        found.faults.append(told)
    found.surplus_mail += (way == "email") * (len(records) - 1)
    found.surplus_sms += (way == "sms") * (len(records) - 1)


def settled(lab):
    """Nothing is on its way or waits to be, and every promise of the lab has come."""
    now = int(time.time() * 1000)
    if now <= lab.last_due * 1000:
        return False
    waiting = lab.rows(
        "select (select count(*) from reminders where state in ('queued', 'claimed', 'attempting')"
        f" and not_before_ms <= {now + 90_000}) + (select count(*) from cases where wake_ms <= {now}) as n"
    )
    return waiting[0]["n"] == 0


@contextlib.contextmanager
def bench(name, keep=False):
    """A directory below target/, on a real disk. It stays when something goes wrong."""
    base = Path(os.environ.get("XIXIN_LAB_DIR", ROOT / "target" / "lab"))
    base.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    try:
        yield path
    except BaseException:
        print(f"everything lies in {path}", file=sys.stderr)
        raise
    if not keep:
        shutil.rmtree(path)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def conclude(faults):
    """The last word of a tool."""
    for fault in faults[:20]:
        print(f"FAULT {fault}", file=sys.stderr)
    if faults:
        print(f"{len(faults)} faults", file=sys.stderr)
        sys.exit(1)
    print("all promises kept")


if __name__ == "__main__" and sys.argv[1:2] == ["sink"]:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_sink(Path(sys.argv[2]), float(sys.argv[3])))
