"""What every tool of the lab does: wait, fail, keep a directory when something goes wrong, and have the last word."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Longer than anything takes: reached only when it never comes.
PATIENCE_S = 120


class Failed(Exception):
    """A promise was broken, or could not be looked at."""


def wait_for(what, look, patience=PATIENCE_S, every=0.02):
    """Looks until there is something to see."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(every)
    raise Failed(f"waited {patience} s in vain for {what}")


@contextlib.contextmanager
def bench(name, keep=False, base=ROOT / "target" / "lab"):
    """A directory below target/, on a real disk. It stays when something goes wrong."""
    base = Path(os.environ.get("XIXIN_LAB_DIR", base))
    base.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    # Whoever ends a tool, with ^C or a signal, ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
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
