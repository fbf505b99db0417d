"""The same run again and again, by several installations side by side."""

import concurrent.futures
import shutil
import threading
import time

from common import wait_for
from installation import Lab, settled
from sink import Sink

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
