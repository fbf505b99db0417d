"""The real servers that xixin meets, each a process of its own: aiosmtpd, Postfix's smtp-sink, Kannel, and an SMS centre."""

import base64
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from common import Failed, wait_for

HERE = Path(__file__).resolve().parent
PASSWORD = "geheim"


def which(name):
    """Debian has its servers where an ordinary path does not lead."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/kannel/test")


def python_with_aiosmtpd():
    """Debian's package belongs to Debian's Python, which need not be the first one of the path."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", "import aiosmtpd.controller"], capture_output=True).returncode == 0:
                return python
    return None


def missing():
    """Debian packages without which none of this can run."""
    wanted = {
        "python3-aiosmtpd": python_with_aiosmtpd(),
        "postfix": which("smtp-sink"),
        "kannel": which("bearerbox") and which("smsbox"),
        "openssl": which("openssl"),
        "libnet-smpp-perl": which("perl") and subprocess.run(["perl", "-MNet::SMPP", "-e", ""], capture_output=True).returncode == 0,
    }
    return [package for package, found in wanted.items() if not found]


def free_port():
    """A port that is free now; whoever needs it must not let it grow old."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def national(number):
    """A mainland number without its country."""
    return number[-11:]


def die_with_us(by=signal.SIGKILL):
    """For those that do not end with their standard input: the kernel ends them with the tool, or with the thread of it that started them."""
    ctypes.CDLL(None).prctl(1, by)


class Neighbour:
    """One process, its log, and what it has written down."""

    # What the kernel sends it when the tool dies, and as whom it runs.
    dies_by = signal.SIGKILL
    becomes = {}

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.record = directory / f"{name}.jsonl"
        self.record.touch()
        self.process = None

    def run(self, *command):
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                env={"PATH": os.environ["PATH"]},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.directory,
                preexec_fn=lambda: die_with_us(self.dies_by),
                start_new_session=True,
                text=True,
                **self.becomes,
            )

    def told(self):
        """The first thing it says: it is ready."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended while it started: see its log")
        return line.strip()

    def listening(self, port):
        """Waits until it takes connections."""

        def look():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended while it started: see its log")
            return answers(port)

        wait_for(self.name, look)

    def lines(self):
        with self.record.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def kill(self):
        """At once, as a power cut would have it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        self.gone()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
        self.gone()

    def gone(self):
        if self.process:
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()


class Aiosmtpd(Neighbour):
    """STARTTLS and a login, with a certificate of an authority that nobody else knows."""

    def __init__(self, directory):
        super().__init__(directory, "aiosmtpd")
        self.ca, self.certificate, self.key = (directory / name for name in ("ca.pem", "server.pem", "server.key"))
        certify(directory)
        self.port = free_port()
        self.start()

    def start(self):
        self.run(python_with_aiosmtpd(), HERE / "mail_server.py", self.record, self.port, self.certificate, self.key)
        self.told()

    def mails(self):
        """(envelope sender, recipients, bytes) of each."""
        for line in self.lines():
            if not line["tls"] or not line["login"]:
                raise Failed("a mail came without TLS or without a login")
            yield line["from"], line["to"], base64.b64decode(line["content"])


def certify(directory):
    """An authority, and a certificate of localhost by it."""
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for command in (
        ["req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=lab"],
        ["req", *ec[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-out", "server.pem", "-extfile", "names"],
    ):
        (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        ran = subprocess.run(["openssl", *command], cwd=directory, capture_output=True, text=True)
        if ran.returncode:
            raise Failed(f"openssl {command[0]}: {ran.stderr}")


class SmtpSink(Neighbour):
    """Postfix's smtp-sink: a file for each mail, with what the envelope said above it."""

    def __init__(self, directory):
        super().__init__(directory, "smtp-sink")
        self.kept = directory / "kept"
        self.kept.mkdir()
        self.port = free_port()
        self.start()

    def start(self):
        # Started by root it wants to be told whom it shall become.
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self.run(which("smtp-sink"), *user, "-d", self.kept / "%s.", f"127.0.0.1:{self.port}", "100")
        self.listening(self.port)

    def mails(self):
        for path in sorted(self.kept.iterdir()):
            content = path.read_bytes()
            envelope, rest = {}, content
            while rest.startswith(b"X-"):
                line, _, rest = rest.partition(b"\n")
                name, _, value = line.decode().partition(": ")
                envelope.setdefault(name, []).append(value.strip("<>"))
            # Its own line of the way, folded twice.
            rest = b"".join(rest.split(b"\n", 3)[3:])
            # An empty line of its own follows. What was cut off when it was killed, it never said yes to.
            content = rest.removesuffix(b"\n").replace(b"\n", b"\r\n")
            if content.endswith(b"--\r\n"):
                yield envelope["X-Mail-Args"][0], envelope["X-Rcpt-Args"], content


class Smsc(Neighbour):
    """The SMS centre, in Perl: Net::SMPP knows the protocol, `smsc.pl` how a centre behaves."""

    def __init__(self, directory, name="smsc"):
        super().__init__(directory, name)
        self.port = 0
        self.start()

    def start(self):
        self.run("perl", HERE / "smsc.pl", self.record, self.port)
        self.port = int(self.told())

    def order(self, **order):
        """Returns once the centre knows."""
        before = sum(line["pdu"] == "ordered" for line in self.lines())
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        wait_for("the SMS centre to obey", lambda: sum(line["pdu"] == "ordered" for line in self.lines()) > before)

    def plan(self, number, **how):
        self.order(plan=number, **how)

    def said(self, pdu):
        return [line for line in self.lines() if line["pdu"] == pdu]

    def texts(self):
        """What was submitted and not refused: {number: [text, text]}, the parts of long ones joined; three dots for one that never came."""
        found, parts = {}, {}
        for line in self.said("submit_sm"):
            if line["status"]:
                continue
            data = bytes.fromhex(line["data"] or line["payload"])
            if line["class"] & 0x40:
                length, tag, size, reference, total, number = data[:6]
                if (length, tag, size) != (5, 0, 3) or len(data) > 140:
                    raise Failed(f"a part of {len(data)} bytes with the header {data[:6].hex()}")
                joined = parts.setdefault((line["to"], reference), {})
                if number in joined:
                    # Another one with the same number; the one before stays without its other parts.
                    found.setdefault(national(line["to"]), []).append(self.torn(joined))
                    joined.clear()
                joined[number] = data[6:]
                joined["total"] = total
                if len(joined) <= total:
                    continue
                data = b"".join(joined[number] for number in range(1, total + 1))
                del parts[(line["to"], reference)]
            found.setdefault(national(line["to"]), []).append(data.decode("utf-16-be" if line["coding"] == 8 else "latin-1"))
        for (number, _), joined in parts.items():
            found.setdefault(national(number), []).append(self.torn(joined))
        return found

    def whole(self, number):
        """How many came whole to a number that gets the same text again and again: the parts of several may lie between each other."""
        single, parts = 0, {}
        for line in self.said("submit_sm"):
            if line["status"] == 0 and national(line["to"]) == number:
                if line["class"] & 0x40:
                    total, part = bytes.fromhex(line["data"])[4:6]
                    parts.setdefault(total, {part: 0 for part in range(1, total + 1)})[part] += 1
                else:
                    single += 1
        return single + sum(min(counts.values()) for counts in parts.values())

    @staticmethod
    def torn(joined):
        dots = "…".encode("utf-16-be")
        return b"".join(joined.get(part, dots) for part in range(1, joined["total"] + 1)).decode("utf-16-be")


class Kannel:
    """bearerbox and smsbox before an SMS centre."""

    def __init__(self, directory, smsc, hook):
        self.boxes = [Neighbour(directory, name) for name in ("bearerbox", "smsbox")]
        self.sendsms, self.admin, between = free_port(), free_port(), free_port()
        self.port, self.between = self.sendsms, between
        self.config = directory / "kannel.conf"
        self.config.write_text(
            f"""group = core
admin-interface = 127.0.0.1
admin-port = {self.admin}
admin-password = {PASSWORD}
smsbox-interface = 127.0.0.1
smsbox-port = {between}
sms-resend-freq = 1
dlr-storage = internal
store-type = spool
store-location = {directory}/store

group = smsc
smsc = smpp
smsc-id = lab
host = 127.0.0.1
port = {smsc.port}
transceiver-mode = true
smsc-username = kannel
smsc-password = {PASSWORD}
system-type = ""
reconnect-delay = 1
enquire-link-interval = 5
source-addr-ton = 0
source-addr-npi = 1
dest-addr-ton = 1
dest-addr-npi = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-interface = 127.0.0.1
sendsms-port = {self.sendsms}

group = sendsms-user
username = xixin
password = {PASSWORD}
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{hook}?from=%p&text=%b&charset=%C&id=%I"
""",
            encoding="utf-8",
        )
        (directory / "store").mkdir()
        self.start()

    def start(self):
        bearerbox, smsbox = self.boxes
        bearerbox.run(which("bearerbox"), "-v", "1", self.config)
        bearerbox.listening(self.between)
        smsbox.run(which("smsbox"), "-v", "1", self.config)
        smsbox.listening(self.sendsms)

    def stop(self):
        for box in reversed(self.boxes):
            box.stop()

    def kill(self):
        for box in reversed(self.boxes):
            box.kill()
