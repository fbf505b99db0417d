#!/usr/bin/env python3
"""Real servers, end to end: what leaves, what comes back about it, and what people answer.

Two halls work side by side. One sends its mail to aiosmtpd (STARTTLS, a login, an authority of its own) and its SMS to Kannel, which has
an SMS centre behind it; the other sends mail to Postfix's smtp-sink and speaks SMPP with an SMS centre itself. The centre's protocol is
Net::SMPP's. Servers hang up, say no, die with a message in their hands, and lose a receipt, which has to be noticed.

    tests/lab/servers.py            target/release/xixin; then 400 promises in each hall while its servers die again and again
    tests/lab/servers.py --short    target/debug/xixin, without that
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import email
import email.policy
import hashlib
import json
import random
import re
import sys
import time

import common
import installation
import neighbours
from common import Failed, wait_for

# As many SMS as one resident may get a day.
PROMISES = 20
FROM_NUMBER = "1065000000"
BOUNCES = "tuixin@example.org"
# Every second resident gets an SMS of three parts, the others one that fits.
TEXT = (
    "{{ greeting }}您好,您委托的事项有进展,工作人员{{ when }}会给您打电话,请留意接听。"
    "{% if case[-1:] in '02468' %}届时请准备好您的身份证件和您认为有用的材料,如果您那时不方便接听,或者您的号码有变,请提前打电话告诉我们,我们会另约时间。"
    "工作人员不会向您索要验证码,不会请您转账,也不会收取任何费用;有疑问时请先打下面的电话核实。"
    "本短信由系统发出,回复1表示已知悉,回复2请我们回电。{% endif %}电话{{ hall_phone }}"
)
AT_LENGTH = "请问材料要带原件还是复印件," * 10
THROTTLED, REFUSED = 0x58, 0x0B
GSM, UCS2 = 0, 8


@dataclasses.dataclass
class Resident:
    """One promise, how its SMS fares, and what the ledger and the case must say in the end."""

    about: str
    outcome: str = "delivered"
    # What the SMS centre does.
    plan: dict = dataclasses.field(default_factory=dict)
    # What they answer, in which alphabet, and what stands in the case afterwards.
    says: str = ""
    coding: int = UCS2
    shown: str = ""
    opted_out: bool = False
    number: int = 0
    case: str = ""

    @property
    def phone(self):
        return f"139{self.number:08}"


def answering(first, second, third):
    """What people answer, as their phones send it. Three of their SMS fare as told."""
    return [
        Resident("answers 1", says="1", shown="短信回复 1", **first),
        Resident("answers 2", says="2", coding=GSM, shown="居民短信回复 2", **second),
        Resident("answers 退订", says="退订", shown="短信回复退订", opted_out=True),
        Resident("answers T", says="T", coding=GSM, shown="短信回复退订", opted_out=True),
        Resident("writes Chinese", says="中", shown="请阅处 / an SMS came: 中", **third),
        Resident("writes at length", says=AT_LENGTH, shown=AT_LENGTH),
        Resident("writes English", says="Mail a_b@example.org, 5 €", coding=GSM, shown="Mail a_b@example.org, 5 €"),
    ]


NOT_REACHED = {"outcome": "bounced", "plan": {"stat": "UNDELIV"}}
TOO_LATE = {"outcome": "bounced", "plan": {"stat": "EXPIRED"}}


class Hall:
    """One xixin with its neighbours."""

    gateway = ""

    def __init__(self, directory, program):
        directory.mkdir()
        self.directory = directory
        self.residents, self.faults = [], []
        self.daemon = None
        with contextlib.ExitStack() as started:
            self.smsc = neighbours.Smsc(directory)
            started.callback(self.smsc.kill)
            self.secret("password", neighbours.PASSWORD)
            settings = self.neighbourhood(started)
            self.lab = installation.Lab(directory, program, None, settings)
            text = self.lab.config / "templates" / "zh-CN" / "callback_due" / "resident" / "sms.txt"
            text.write_text(TEXT, encoding="utf-8")
            self.lab.run("check")
            self.daemon = self.lab.serve()
            started.callback(lambda: self.daemon.kill())
            self.started = started.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.started.close()

    def secret(self, name, content):
        path = self.directory / name
        path.write_text(content, encoding="utf-8")
        path.chmod(0o600)
        return f'{{ file = "{path}" }}'

    # --- what happens

    def expect(self, *residents):
        """Takes in a case for each."""
        for resident in residents:
            resident.number = len(self.residents) + 1
            self.smsc.plan(resident.phone, **resident.plan)
            # Half of them with the country, as people write it.
            phone = f"+86 {resident.phone}" if resident.number % 2 else resident.phone
            resident.case = self.lab.promise(resident.number, 1, phone)
            self.residents.append(resident)

    def sms(self, resident):
        """(reminder, its attempts) of the SMS of a case, the oldest attempt first."""
        found = self.lab.rows(
            "select r.id, r.state, a.outcome, a.wire_id, a.gateway from reminders r left join attempts a on a.reminder_id = r.id"
            f" where r.case_id = '{resident.case}' and r.way = 'sms' order by a.started_ms"
        )
        return (found[0]["id"] if found else None), [row["outcome"] for row in found if row["outcome"]]

    def outcome(self, resident):
        attempts = self.sms(resident)[1]
        return attempts[-1] if attempts else None

    def until(self, what, look, patience=30):
        """Waits, but leaves it to the judgement to say what did not come."""
        with contextlib.suppress(Failed):
            wait_for(what, look, patience, every=0.1)

    def until_known(self, residents):
        self.until("what becomes of the SMS", lambda: all(self.outcome(one) == one.outcome for one in residents))

    def hear_answers(self):
        answering = [resident for resident in self.residents if resident.says]
        for one in answering:
            self.smsc.order(text=one.says, coding=one.coding, to=FROM_NUMBER, **{"from": "86" + one.phone})
        handled = "select count(*) as n from inbound where id like 'sms:%:message:%' and handled_ms is not null"
        self.until("the answers", lambda: self.lab.rows(handled)[0]["n"] == len(answering))

    def restart(self, change):
        """Something changes while xixin is down."""
        self.daemon.stop()
        change()
        self.daemon = self.lab.serve()

    def storm(self, rng, cases):
        """Every server dies again and again while promises come due. Returns what is wrong then."""
        promised = {}
        for number in range(len(self.residents) + 1, len(self.residents) + 1 + cases):
            promised[self.lab.promise(number, PROMISES)] = f"139{number:08}"
            for server in self.servers():
                time.sleep(rng.uniform(0, 0.5))
                server.kill()
                time.sleep(rng.uniform(0, 0.5))
                server.start()
        wait_for("the end of the queue", lambda: installation.settled(self.lab), every=0.2)
        faults = self.judge_mails(list(self.mail.mails()))
        for case, phone in promised.items():
            faults += self.judge_many(case, self.smsc.whole(phone))
        return [f"{self.gateway}, while its servers died: {fault}" for fault in faults]

    # --- the judgement: what is wrong

    def judge(self):
        faults = self.faults + self.judge_mails(list(self.mail.mails()))
        texts = self.smsc.texts()
        for resident in self.residents:
            faults += self.judge_sms(resident, texts)
            faults += self.judge_answer(resident)
        known = {resident.phone for resident in self.residents}
        faults += [f"an SMS went to {number}, who is nobody" for number in texts if number not in known]
        for resident in self.residents[:1]:
            faults += self.judge_why(resident)
        return [f"{self.gateway}: {fault}" for fault in faults]

    def judge_sms(self, resident, texts):
        told = f"{resident.case} ({resident.about})"
        reminder, outcomes = self.sms(resident)
        faults = []
        if not outcomes or outcomes[-1] != resident.outcome:
            faults.append(f"{told}: the ledger has {outcomes}, it should end with {resident.outcome}")
        came = texts.get(resident.phone, [])
        # Of a doubt and of what the centre refused for good nothing need have come, but never two.
        least = 0 if resident.outcome in ("uncertain", "bounced", "refused") else 1
        if not least <= len(came) <= 1:
            faults.append(f"{told}: {len(came)} SMS came to the centre")
        for text in came:
            if resident.outcome != "uncertain" and not re.fullmatch(r"【陶然亭街道政务服务中心】您好,您委托的事项有进展,.*电话010-00002\d+", text):
                faults.append(f"{told}: the centre has {text!r}")
        if resident.outcome == "uncertain":
            tasks = self.lab.rows(f"select id from reminders where case_id = '{resident.case}' and way = 'phone'")
            if len(outcomes) != 1 or not tasks:
                faults.append(f"{told}: in doubt, with the attempts {outcomes} and {len(tasks)} call tasks")
        return faults

    def judge_many(self, case, whole):
        """Of each promise an SMS came or somebody has to call; none came twice by our doing."""
        faults = []
        rows = self.lab.rows(
            "select r.id, r.way, r.state, group_concat(a.outcome) as outcomes from reminders r left join attempts a on a.reminder_id = r.id"
            f" where r.case_id = '{case}' and r.way in ('sms', 'phone') group by r.id"
        )
        sms, tasks = ([row for row in rows if row["way"] == way] for way in ("sms", "phone"))
        if len(sms) != PROMISES:
            faults.append(f"{case}: {PROMISES} SMS promised, {len(sms)} in the ledger")
        for row in sms:
            final = [outcome for outcome in (row["outcomes"] or "").split(",") if outcome != "deferred"]
            if len(final) != 1 or final[0] not in ("accepted", "delivered", "uncertain"):
                faults.append(f"{case} {row['id']}: {row['state']} with {row['outcomes']}")
        in_doubt = sum(row["state"] == "uncertain" for row in sms)
        if in_doubt > len(tasks):
            faults.append(f"{case}: {in_doubt} SMS in doubt and {len(tasks)} call tasks")
        if whole < len(sms) - in_doubt:
            faults.append(f"{case}: {len(sms) - in_doubt} SMS were taken, {whole} came")
        if self.repeats_nothing and whole > PROMISES:
            faults.append(f"{case}: {PROMISES} SMS promised, {whole} came")
        return faults

    def judge_answer(self, resident):
        if not resident.says:
            return []
        shown = self.lab.run("case", "show", resident.case, "--json", fine=(0, 1)).stdout
        told = f"{resident.case} ({resident.about})"
        faults = []
        if resident.shown not in shown:
            faults.append(f"{told}: the case does not show {resident.shown!r}")
        if resident.opted_out != ('"opted_out": true' in shown or '"opted_out":true' in shown):
            faults.append(f"{told}: opted out is not {resident.opted_out}")
        return faults

    def judge_why(self, resident):
        said = self.lab.run("why", resident.case).stdout
        reminder, outcomes = self.sms(resident)
        if not reminder or reminder not in said:
            return [f"{resident.case}: xixin why does not name the SMS"]
        return []

    def judge_mails(self, mails):
        faults = []
        wanted = {}
        for row in self.lab.rows("select wire_id, outcome from attempts where way = 'email'"):
            wanted.setdefault(row["wire_id"], []).append(row)
        paths = set()
        came = {}
        for sender, recipients, content in mails:
            wrong, message = look_at(sender, recipients, content, self.return_paths)
            identity = message["Message-ID"]
            faults += [f"mail {identity}: {what}" for what in wrong]
            came.setdefault(identity, []).append(hashlib.sha256(content).hexdigest())
            if self.return_paths and sender in paths:
                faults.append(f"mail {identity}: its return path was another's")
            paths.add(sender)
        for identity, digests in came.items():
            rows = wanted.get(identity, [])
            doubts = sum(row["outcome"] in ("uncertain", "attempting") for row in rows)
            if not rows or len(digests) > doubts + sum(row["outcome"] == "accepted" for row in rows):
                faults.append(f"mail {identity} came {len(digests)} times, attempts {[row['outcome'] for row in rows]}")
            if len(set(digests)) > 1:
                faults.append(f"mail {identity} came again with other bytes")
        for identity, rows in wanted.items():
            if any(row["outcome"] == "accepted" for row in rows) and identity not in came:
                faults.append(f"mail {identity} never came")
        for resident in self.residents:
            mails = self.lab.rows(f"select state from reminders where case_id = '{resident.case}' and way = 'email'")
            if {row["state"] for row in mails} != {"accepted"}:
                faults.append(f"{resident.case}: its mail is {[row['state'] for row in mails]}")
        return faults

    def lies_are_found(self, lost):
        """The judgement has to see a receipt that was lost, a mail and an SMS that are missing, and both twice."""
        faults = []
        mails, texts = list(self.mail.mails()), self.smsc.texts()
        delivered = dataclasses.replace(lost, outcome="delivered")
        doubled = {**texts, lost.phone: texts.get(lost.phone, []) * 2}
        missing = {number: text for number, text in texts.items() if number != lost.phone}
        wrong = dataclasses.replace(self.residents[0], says="?", shown="短信回复 9")
        for what, found in (
            ("a lost receipt", self.judge_sms(delivered, texts)),
            ("an SMS that came twice", self.judge_sms(lost, doubled)),
            ("an SMS that never came", self.judge_sms(lost, missing)),
            ("an answer that is not in the case", self.judge_answer(wrong)),
            ("a mail that came twice", self.judge_mails(mails + mails[-1:])),
            ("a mail that never came", self.judge_mails(mails[:-1])),
            ("a mail with a raw head", self.judge_mails(mails[:-1] + [(*mails[-1][:2], "Comments: 退订\r\n".encode() + mails[-1][2])])),
            ("a mail with an endless line", self.judge_mails(mails[:-1] + [(*mails[-1][:2], mails[-1][2] + b"x" * 999)])),
        ):
            if not found:
                faults.append(f"{self.gateway}: nobody notices {what}")
        return faults


def look_at(sender, recipients, content, return_paths):
    """What is wrong with a mail as it came, and the mail."""
    wrong = []
    message = email.message_from_bytes(content, policy=email.policy.default)
    head = content.split(b"\r\n\r\n", 1)[0]
    if not head.isascii():
        wrong.append("its head is not ASCII")
    if max(map(len, content.split(b"\r\n"))) > 998 or b"\n" in content.replace(b"\r\n", b""):
        wrong.append("a line is too long, or ends as none should")
    for name in ("From", "To", "Date", "Subject", "Message-ID", "MIME-Version"):
        if len(message.get_all(name, [])) != 1:
            wrong.append(f"{name} is not there once")
    if message["From"].addresses[0].addr_spec != "tixing@example.org":
        wrong.append(f"it is from {message['From']}")
    if [address.addr_spec for address in message["To"].addresses] != recipients or len(recipients) != 1:
        wrong.append(f"it is to {message['To']}, its envelope to {recipients}")
    if not re.fullmatch(r"<[^<>@\s]+@example\.org>", message["Message-ID"]):
        wrong.append("its Message-ID is none")
    if message["DKIM-Signature"]:
        wrong.append("it is signed, and nobody asked for that")
    expected = r"tuixin\+[a-z0-9]+@example\.org" if return_paths else r"tixing@example\.org"
    if not re.fullmatch(expected, sender):
        wrong.append(f"its return path is {sender!r}")
    kinds = set()
    for part in message.walk():
        wrong += [f"{part.get_content_type()}: {defect!r}" for defect in part.defects]
        if not part.is_multipart():
            kinds.add(part.get_content_type())
            text = part.get_content()
            if not text.strip() or "\ufffd" in text:
                wrong.append(f"{part.get_content_type()} is empty or cannot be read")
    if not {"text/plain", "text/html"} <= kinds:
        wrong.append(f"it has {sorted(kinds)}")
    return wrong, message


class KannelHall(Hall):
    """Mail to aiosmtpd, SMS over Kannel."""

    gateway = "kannel"
    # Kannel itself sends again what it had in its hands when it was killed.
    repeats_nothing = False
    return_paths = True

    def neighbourhood(self, started):
        self.mail = neighbours.Aiosmtpd(self.directory)
        started.callback(self.mail.kill)
        door = neighbours.free_port()
        hook = f"http://127.0.0.1:{door}/c0ffee/hall"
        self.kannel = neighbours.Kannel(self.directory, self.smsc, hook)
        started.callback(self.kannel.kill)
        return f"""
[mail]
transport = "smtp"
[mail.smtp]
host = "localhost"
port = {self.mail.port}
tls = "starttls"
ca = "{self.mail.ca}"
user = "tixing"
password = {self.secret("mail-password", neighbours.PASSWORD)}
connections = 4
[mail.bounces]
address = "{BOUNCES}"
key = {self.secret("bounce-key", "0123456789abcdef0123456789abcdef")}
[inbound]
listen = "127.0.0.1:{door}"
secret = {self.secret("inbound-secret", "c0ffee")}
[sms]
transport = "gateways"
[sms.gateway.hall]
order = 1
receipts = true
[sms.gateway.hall.kannel]
url = "http://127.0.0.1:{self.kannel.port}/cgi-bin/sendsms"
username = "xixin"
password = {self.secret("password", neighbours.PASSWORD)}
from = "{FROM_NUMBER}"
report_to = {self.secret("report-to", hook)}
timeout_s = 5
"""

    def servers(self):
        return [self.mail, self.kannel]

    def story(self):
        lost = Resident("its receipt is lost", "accepted", {"lost": True})
        self.expect(
            # Kannel tries again by itself when the centre has too much to do.
            *answering({"plan": {"answers": [THROTTLED]}}, NOT_REACHED, TOO_LATE),
            Resident("is refused by the centre", "bounced", {"answers": [REFUSED] * 3}),
            lost,
        )
        self.until_known(self.residents)
        self.hear_answers()
        return lost


class SmppHall(Hall):
    """Mail to smtp-sink, SMS over a line of its own to the SMS centre."""

    gateway = "smpp"
    repeats_nothing = True
    return_paths = False

    def neighbourhood(self, started):
        self.mail = neighbours.SmtpSink(self.directory)
        started.callback(self.mail.kill)
        return f"""
[mail]
transport = "smtp"
[mail.smtp]
host = "127.0.0.1"
port = {self.mail.port}
connections = 4
[sms]
transport = "gateways"
[sms.gateway.centre]
order = 1
receipts = true
[sms.gateway.centre.smpp]
host = "127.0.0.1"
port = {self.smsc.port}
system_id = "xixin"
password = {self.secret("password", neighbours.PASSWORD)}
from = "{FROM_NUMBER}"
enquire_s = 5
"""

    def servers(self):
        return [self.mail, self.smsc]

    def story(self):
        lost = Resident("its receipt is lost", "accepted", {"lost": True})
        throttled = Resident("the centre has too much to do", "deferred", {"answers": [THROTTLED]})
        silent = Resident("no receipt comes", "accepted", {"stat": ""})
        doubtful = Resident("the centre dies with its SMS", "attempting", {"silent": True})
        self.until("the bind", lambda: self.smsc.said("bind"))
        self.expect(
            *answering({"plan": {"early": True}}, NOT_REACHED, TOO_LATE),
            # The eighth: its SMS is a long one.
            Resident("loses a part", "uncertain", {"answers": [0, THROTTLED]}),
            throttled,
            silent,
            lost,
            doubtful,
        )
        self.until_known(self.residents)
        self.hear_answers()
        self.smsc.order(enquire=1)
        self.until("its answer", lambda: self.smsc.said("answer 0x80000015"))
        self.until("its own question", lambda: self.smsc.said("enquire_link"))
        if not self.smsc.said("answer 0x80000015") or not self.smsc.said("enquire_link"):
            self.faults.append("nobody asks, or answers, whether the line stands")
        self.die(doubtful)
        self.hang_up()
        self.days_pass(throttled, silent)
        return lost

    def binds(self):
        return len(self.smsc.said("bind"))

    def die(self, doubtful):
        """The centre dies while it owes an answer: nobody knows, so nothing is sent again, and somebody has to call."""
        before = self.binds()
        self.smsc.kill()
        self.smsc.start()
        self.until("another bind", lambda: self.binds() > before)
        doubtful.outcome = "uncertain"
        self.until_known([doubtful])

    def hang_up(self):
        """The centre says goodbye; xixin has to be polite, and to come back."""
        before = self.binds()
        self.smsc.order(unbind=1)
        self.until("another bind", lambda: self.binds() > before)
        if not self.smsc.said("answer 0x80000006"):
            self.faults.append("an unbind is not answered")

    def days_pass(self, throttled, silent):
        """The database is made to believe that the next try is due, and that a receipt has been missing for three days."""

        def days():
            with contextlib.closing(installation.sqlite3.connect(self.lab.database)) as database, database:
                past = int(time.time() * 1000) - 1000
                database.execute("update reminders set not_before_ms = ? where case_id = ? and state = 'queued'", (past, throttled.case))
                reminder = self.sms(silent)[0]
                database.execute("update attempts set receipt_ms = ? where reminder_id = ?", (past, reminder))

        self.restart(days)
        throttled.outcome, silent.outcome = "delivered", "no_receipt"
        self.until_known([throttled, silent])
        if self.outcome(silent) != "no_receipt":
            self.faults.append(f"without a receipt the ledger has {self.outcome(silent)}")
        # It comes after all.
        [submitted] = [line for line in self.smsc.said("submit_sm") if line["to"][-11:] == silent.phone][-1:]
        self.smsc.order(receipt=submitted["id"], stat="DELIVRD", **{"from": "86" + silent.phone, "to": FROM_NUMBER})
        silent.outcome = "delivered"
        self.until_known([silent])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--missing", action="store_true", help="names the packages that are missing, and does nothing")
    arguments.add_argument("--cases", type=int, default=20, help=f"of {PROMISES} promises each, while the servers die")
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    chosen = arguments.parse_args()
    missing = neighbours.missing()
    if chosen.missing:
        print(" ".join(missing))
        return
    if missing:
        sys.exit(f"install the packages {' '.join(missing)}")
    program = installation.program(not chosen.short)
    print(f"seed {chosen.seed}")
    with common.bench("servers") as directory:

        def tell(kind):
            with kind(directory / kind.gateway, program) as hall:
                lost = hall.story()
                faults = hall.judge() + hall.lies_are_found(lost)
                if not chosen.short:
                    faults += hall.storm(random.Random(chosen.seed), chosen.cases)
                return faults, len(hall.residents), len(list(hall.mail.mails()))

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(tell, (KannelHall, SmppHall)))
        for kind, (faults, promised, mails) in zip((KannelHall, SmppHall), results):
            print(f"{kind.gateway}: {promised} promises, {mails} mails with those of the day, {len(faults)} faults")
        common.conclude([fault for faults, _, _ in results for fault in faults])


if __name__ == "__main__":
    main()
