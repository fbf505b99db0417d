"""An installation of its own: the shipped configuration with the ladder of the lab, and the daemon in it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from common import ROOT, Failed, wait_for

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


class Ended(Failed):
    """A verb ended with a code that was not expected."""

    def __init__(self, what, code):
        super().__init__(what)
        self.code = code


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

    def place(self):
        """Where its data are, and nothing listening where somebody else might."""
        return f"""state_dir = "{self.state}"
[http]
listen = "127.0.0.1:0"
[log]
format = "text"
"""

    def connect(self, ports):
        """Writes where the daemon finds its data and, unless the settings say where messages go, the sink."""
        text = self.place() + (sink_settings(ports) if ports else "")
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
            raise Ended(f"xixin {' '.join(map(str, arguments))} ended with {ran.returncode}: {ran.stderr or ran.stdout}", ran.returncode)
        return ran

    def promise(self, number, count, phone=None, due_in_s=DUE_IN_S):
        """Takes in one case with this many promised calls due in a moment. Returns its number once it is acknowledged."""
        for due_in in due_in_s:
            due = time.time() + due_in
            words = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(due + 8 * 3600)) + f".{int(due * 1000) % 1000:03}"
            case = {
                "resident": {"name": f"示例{number}", "phone": phone or f"139{number:08}", "born": 1980},
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
        raise Ended(f"a case was refused: {ran.stderr}", ran.returncode)

    def serve(self, wrap=(), wait=True):
        return Daemon(self, wrap, wait)

    def damage(self):
        """What is wrong with the database itself; nothing when it is whole."""
        return None if [tuple(row) for row in self.rows("pragma integrity_check")] == [("ok",)] else "the database is corrupt"

    def rows(self, sql):
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            return database.execute(sql).fetchall()


def sink_settings(ports):
    body = '{"mobile": {{ to|tojson }}, "content": {{ text|tojson }}, "ref": {{ id|tojson }}}'
    return f"""[mail]
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
"""


def change(path, before, after):
    text = path.read_text(encoding="utf-8")
    if before not in text:
        raise Failed(f"{path.name} has no {before!r}: adapt tests/lab/installation.py")
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
        self.is_ready = False
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
        """Waits for READY=1; false when the process has ended."""

        def said():
            with contextlib.suppress(TimeoutError):
                self.is_ready = self.is_ready or b"READY=1" in self.notify.recv(4096)
            return self.is_ready or self.process.poll() is not None

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
