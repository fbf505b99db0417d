"""Cases that become due, one after the other, for as long as it takes."""

import threading
import time

from common import Failed
from installation import Ended
from pgwire import Refused

# A case holds as many promises as one resident may get SMS a day.
PROMISES = 20
# So many promises are kept waiting, so that every fault meets something under way.
BACKLOG = 80
# After a case that was not taken in.
PAUSE_S = 0.2


class Load:
    """Takes in cases for as long as it runs, whatever happens to the daemon meanwhile.

    `every_s` spreads them evenly. `excused` are the codes with which the verb may end while the database is gone: what it then says it has
    not taken in was never promised.
    """

    def __init__(self, lab, promises=PROMISES, every_s=0.0, excused=()):
        self.lab, self.promises, self.every_s, self.excused = lab, promises, every_s, excused
        self.promised = {}
        self.refused = 0
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        number = 0
        following = time.monotonic()
        try:
            while not self.stopping.is_set():
                try:
                    if time.monotonic() < following or self.open() > BACKLOG:
                        time.sleep(0.02)
                        continue
                    following += self.every_s
                    number += 1
                    self.promised[self.lab.promise(number, self.promises)] = self.promises
                except (Ended, Refused) as refusal:
                    if isinstance(refusal, Ended) and refusal.code not in self.excused:
                        raise
                    self.refused += 1
                    time.sleep(PAUSE_S)
        except Failed as error:  # told by whoever stops the load
            self.failure = error

    def open(self):
        """Promises that are neither at the sink nor with a person."""
        states = "'queued', 'claimed', 'attempting'"
        undecided = sum(self.promised.values()) - self.lab.rows(
            "select count(*) as n from reminders where case_id <> '' and way = 'email'"
        )[0]["n"]
        return undecided + self.lab.rows(f"select count(*) as n from reminders where state in ({states})")[0]["n"]

    def check(self):
        if self.failure:
            raise self.failure

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.check()
