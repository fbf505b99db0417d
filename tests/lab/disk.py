"""A disk that remembers what was promised: replays the file operations of a traced run and tells what may be left after a power cut.

What a file held when its last fsync began is there. Of everything written since, any part may be: each write whole, torn at a sector,
or not at all. A new or removed name is certain once anything was synced after it, as on a journalling file system.
"""

import re
from dataclasses import dataclass, field, replace

SECTOR = 512
TRACED = "openat,write,pwrite64,pwritev,pwritev2,writev,ftruncate,fallocate,fsync,fdatasync,unlink,unlinkat,link,linkat,rename,renameat,renameat2"

CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
FILE = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def plain(hexed):
    return bytes.fromhex(hexed.replace("\\x", ""))


@dataclass
class Event:
    """One call of the traced run that counts: what, to which file, with what."""

    kind: str
    path: str
    data: bytes = b""
    offset: int | None = None
    # Of a sync: how many events came before it began. What came during it may not be covered.
    began: int = 0


def read_trace(path):
    """The events of an `strace -f -y -xx` in their order. A write counts from its beginning, a sync from its end."""
    events = []
    syncs = {}
    with path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            call, resumed = CALL.match(line), RESUMED.match(line)
            if call:
                thread, kind, rest = call.groups()
                unfinished = rest.endswith("<unfinished ...>")
                if " = -1 " in rest[-120:]:
                    continue
                event = of_call(kind, rest, len(events))
                if event is None:
                    continue
                if event.kind == "sync" and unfinished:
                    syncs[thread] = event
                else:
                    events.append(event)
            elif resumed and resumed.group(1) in syncs:
                event = syncs.pop(resumed.group(1))
                if " = -1 " not in resumed.group(3):
                    events.append(event)
    return events


def of_call(kind, rest, position):
    if kind in ("fsync", "fdatasync"):
        return Event("sync", name(rest), began=position)
    if kind == "ftruncate":
        size = re.search(r">, (\d+)", rest)
        return Event("truncate", name(rest), offset=int(size.group(1)))
    if kind in ("write", "pwrite64"):
        text = STRING.search(rest)
        if not text or not FILE.match(rest):
            return None
        offset = re.search(r'", \d+, (\d+)', rest) if kind == "pwrite64" else None
        return Event("write", name(rest), plain(text.group(1)), int(offset.group(1)) if offset else None)
    if kind == "openat" and "O_CREAT" in rest:
        paths = STRING.search(rest)
        truncates = "O_TRUNC" in rest
        return Event("create", plain(paths.group(1)).decode(), offset=0 if truncates else None)
    if kind in ("unlink", "unlinkat"):
        return Event("unlink", plain(STRING.search(rest).group(1)).decode())
    if kind in ("link", "linkat"):
        old, new = (plain(text).decode() for text in STRING.findall(rest))
        return Event("link", old, new.encode())
    if kind.startswith("rename"):
        old, new = (plain(text).decode() for text in STRING.findall(rest))
        return Event("rename", old, new.encode())
    if kind in ("pwritev", "pwritev2", "writev", "fallocate"):
        path = name(rest)
        if path.startswith("/") and not path.startswith("/dev/"):
            raise ValueError(f"{kind} to {path}: teach tests/lab/disk.py to replay it")
    return None


def name(rest):
    found = FILE.match(rest)
    return plain(found.group(1)).decode(errors="replace") if found else ""


@dataclass
class File:
    durable: bytearray = field(default_factory=bytearray)
    # (position of the event, offset or None for a truncation, data or size)
    pending: list = field(default_factory=list)
    size: int = 0
    # Whether its name is certain to be there.
    named: bool = False
    # What stands under that name as long as it is not.
    before: "File | None" = None

    def synced(self, began):
        kept = [change for change in self.pending if change[0] < began]
        self.pending = [change for change in self.pending if change[0] >= began]
        for change in kept:
            apply(self.durable, change)


def apply(content, change):
    _, offset, what = change
    if offset is None:
        del content[what:]
        content.extend(bytes(max(0, what - len(content))))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(what)] = what


class Disk:
    """The state of every file below a directory, event by event."""

    def __init__(self, root):
        self.root = f"{root}/"
        self.files = {}
        # Names that were removed, and nothing synced since: they may still be there.
        self.ghosts = {}

    def happens(self, position, event):
        if event.kind == "sync":
            self.commit_names()
            if event.path in self.files:
                self.files[event.path].synced(event.began)
            return
        if not event.path.startswith(self.root):
            return
        if event.kind == "create":
            file = self.files.setdefault(event.path, File())
            if event.offset == 0:
                self.change(position, file, None, 0)
        elif event.kind == "unlink":
            self.ghosts[event.path] = self.files.pop(event.path, File())
        elif event.kind == "link":
            # One file under two names: nobody writes to it any more when it gets the second (see src/vault/key_file.rs).
            old = self.files.get(event.path, File())
            self.files[event.data.decode()] = replace(old, durable=bytearray(old.durable), pending=list(old.pending), named=False)
        elif event.kind == "rename":
            self.ghosts[event.path] = self.files.get(event.path, File())
            new = event.data.decode()
            replaced = self.files.get(new)
            self.files[new] = replace(self.files.pop(event.path, File()), named=False, before=replaced)
        elif event.kind == "truncate":
            self.change(position, self.files.setdefault(event.path, File()), None, event.offset)
        elif event.kind == "write":
            file = self.files.setdefault(event.path, File())
            self.change(position, file, file.size if event.offset is None else event.offset, event.data)

    @staticmethod
    def change(position, file, offset, what):
        file.pending.append((position, offset, what))
        file.size = what if offset is None else max(file.size, offset + len(what))

    def commit_names(self):
        self.ghosts.clear()
        for file in self.files.values():
            file.named = True
            file.before = None

    def after_power_cut(self, rng):
        """What may be found: {path: bytes}."""
        mood = rng.random()
        found = {}
        for path, file in {**self.ghosts, **self.files}.items():
            # A name that was given away shows the old file until the new one's is certain.
            while file is not None and not (file.named and path not in self.ghosts) and rng.random() < 0.5:
                file = file.before
            if file is None:
                continue
            content = bytearray(file.durable)
            for change in file.pending:
                # Everything, nothing, or any part of what was not synced.
                if mood < 0.2 or (mood > 0.4 and rng.random() < 0.5):
                    apply(content, change)
                elif mood > 0.4 and change[1] is not None and rng.random() < 0.5:
                    apply(content, torn(change, rng))
            found[path] = bytes(content)
        return found


def torn(change, rng):
    """Some sectors of a write, at its beginning or at its end."""
    position, offset, data = change
    sectors = -(-len(data) // SECTOR)
    kept = rng.randrange(sectors) * SECTOR
    if rng.random() < 0.5:
        return (position, offset, data[:kept])
    return (position, offset + kept, data[kept:])
