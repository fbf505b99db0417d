"""The account at the end: what was promised, what the ledger says, and what the sink has."""

from dataclasses import dataclass, field


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
