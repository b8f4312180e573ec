"""The commands about stores and timers, as a node lends them for a call."""

from columns import cells, column
from wit_world.imports import state, timers


class Stores:
    """Opened when an instance is made."""

    def __init__(self):
        self.kv = state.open_key_value("kv")
        self.win = state.open_window("win")
        self.ses = state.open_session("ses")

    def run(self, command, words, row):
        """The answer, or None: it is no such command. A refused row has written too: its caller takes that back."""
        kv, win, ses, number = self.kv, self.win, self.ses, lambda at: int(words[at])
        byte = [word.encode() for word in words]
        simple = {
            "put": lambda: kv.put(byte[0], byte[1]),
            "del": lambda: kv.delete(byte[0]),
            "get": lambda: shown(kv.get(byte[0])),
            "get-many": lambda: ",".join(shown(value) for value in cells(kv.get_many(column(byte)))),
            "put-many": lambda: kv.put_many(state.Entries(column(byte[::2]), column(byte[1::2]))),
            "range": lambda: listed(kv.range(bound(byte[0]), bound(byte[1]), number(2), False)),
            "range-back": lambda: listed(kv.range(bound(byte[0]), bound(byte[1]), number(2), True)),
            "prefix": lambda: listed(kv.prefix(byte[0], bound(byte[1]), number(2))),
            "win-put": lambda: win.put(byte[0], number(1), byte[2]),
            "win-del": lambda: win.delete(byte[0], number(1)),
            "win-get": lambda: shown(win.get(byte[0], number(1))),
            "win-fetch": lambda: starts(win.fetch(byte[0], number(1), number(2), number(3), False)),
            "win-fetch-back": lambda: starts(win.fetch(byte[0], number(1), number(2), number(3), True)),
            "win-all": lambda: windows(win.range(None, None, number(0), number(1), None, number(2))),
            "win-after": lambda: windows(win.range(byte[3], None, number(0), number(1), number(4), number(2))),
            "ses-put": lambda: ses.put(byte[0], number(1), number(2), byte[3]),
            "ses-del": lambda: ses.delete(byte[0], number(1), number(2)),
            "ses-get": lambda: shown(ses.get(byte[0], number(1), number(2))),
            "ses-fetch": lambda: sessions(ses.fetch(byte[0], number(1), number(2), None, number(3), False)),
            "ses-after": lambda: sessions(ses.fetch(byte[0], number(1), number(2), (number(4), number(5)), number(3), False)),
            "timer": lambda: timers.schedule(row, byte[0], number(1)),
            "timer-after": lambda: timers.schedule_after(row, byte[0], number(1)),
            "cancel": lambda: timers.cancel(byte[0]),
        }
        if command not in simple:
            return None
        answer = simple[command]()
        return command if answer is None else answer


def bound(word):
    return None if word == b"-" else word


def shown(value):
    return "<none>" if value is None else value.decode()


def listed(page):
    return ",".join(f"{key.decode()}={value.decode()}" for key, value in zip(cells(page.keys), cells(page.values)))


def times(column):
    return memoryview(column).cast("q")


def starts(page):
    return ",".join(f"{start}={value.decode()}" for start, value in zip(times(page.starts), cells(page.values)))


def windows(page):
    rows = zip(cells(page.keys), times(page.starts), cells(page.values))
    return ",".join(f"{key.decode()}@{start}={value.decode()}" for key, start, value in rows)


def sessions(page):
    rows = zip(times(page.starts), times(page.ends), cells(page.values))
    return ",".join(f"{start}-{end}={value.decode()}" for start, end, value in rows)
