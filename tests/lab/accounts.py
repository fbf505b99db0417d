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


# An attempt starts only when its lease has so long to run: nobody else takes the reminder over sooner, unless its holder is dead.
LEASE_LEFT_MS = 20_000
# Where somebody has it on their desk.
WITH_A_PERSON = {"uncertain", "held", "task", "refused"}
ARRIVED = {"accepted", "delivered", "no_receipt", "bounced"}


class Ledger:
    """What the database says, read once."""

    def __init__(self, lab):
        self.attempts = lab.rows("select wire_id, outcome, way, reminder_id, started_ms, ended_ms from attempts")
        self.reminders = lab.rows("select id, case_id, mark, way, state from reminders where case_id <> ''")


def account(lab, records, promised):
    """Compares. `promised` is {case: number of promises}; each is an e-mail and an SMS. A fault is a broken promise."""
    damage = lab.damage()
    return Account(faults=[damage]) if damage else judge(Ledger(lab), records, promised)


def judge(ledger, records, promised):
    found = Account()
    copies = {}
    for record in records:
        copies.setdefault((record["way"], record["id"]), []).append(record)
    by_wire, by_reminder = {}, {}
    for row in ledger.attempts:
        by_wire.setdefault((row["way"], row["wire_id"]), []).append(row)
        by_reminder.setdefault(row["reminder_id"], []).append(row)
        found.uncertain += row["outcome"] == "uncertain"
    for (way, wire), records in copies.items():
        judge_copies(found, way, wire, records, by_wire.get((way, wire), []))
    reminders = {}
    for row in ledger.reminders:
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
    late = sum(was_in_doubt(attempt, attempts) for attempt in attempts)
    found.uncertain += late
    doubts, accepted = doubts + late, accepted - late
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


def was_in_doubt(attempt, attempts):
    """Accepted, but known only after another node had waited for its lease and begun anew: the node that sent it was away meanwhile."""
    return attempt["outcome"] in ARRIVED and any(
        attempt["started_ms"] + LEASE_LEFT_MS <= other["started_ms"] < attempt["ended_ms"] for other in attempts
    )


def lies_are_found(ledger, records, promised):
    """What the judgement says nothing about although the record was doctored."""
    came = {}
    for record in records:
        came.setdefault(record["way"], {}).setdefault(record["id"], []).append(record)
    sms, mail = (next(copies[0] for copies in reversed(came[way].values()) if len(copies) == 1) for way in ("sms", "email"))

    def without(one):
        return [record for record in records if record is not one]

    lies = (
        ("an SMS that never came", without(sms), promised),
        ("an e-mail that never came", without(mail), promised),
        ("an SMS that came twice", [*records, sms], promised),
        ("an e-mail that came twice", [*records, mail], promised),
        ("an e-mail with other bytes", [*records, mail | {"sha256": "?"}], promised),
        ("an e-mail to two", [*without(mail), mail | {"to": mail["to"] * 2}], promised),
        ("an SMS that is not on record", [*records, sms | {"id": "?"}], promised),
        ("a case that is gone", records, promised | {"?": 1}),
    )
    honest = set(judge(ledger, records, promised).faults)
    return [f"nobody notices {what}" for what, *doctored in lies if set(judge(ledger, *doctored).faults) <= honest]
