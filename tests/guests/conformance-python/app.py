"""Does what each record's value commands; tests/conformance/cases.json says what must come of it. The same in Rust and C."""

from columns import Out, cells
from stores import Stores
from wit_world import exports
from wit_world.exports import processing
from wit_world.imports import config, context, logging, manifest, metrics, state, types

PORTS = ["out", "other", "third"]


class Refused(Exception):
    """A business error of the record in progress."""


class Description(exports.Description):
    def describe(self):
        manifest.about("conformance-python", "0.1.0", "componentize-py")
        for name in PORTS:
            manifest.port(name, "", "")
        for name, kind in [("kv", "key-value"), ("win", "window"), ("ses", "session")]:
            manifest.store(name, kind, "string", "string")
        manifest.timers()


class Processing(exports.Processing):
    def create(self, text):
        return Processor()


class Processor(processing.Processor):
    def __init__(self):
        self.stores = Stores()

    def process(self, batch):
        out = Out(batch)
        for row, value in enumerate(cells(batch.values)):
            out.begin(row)
            mark = state.mark()
            try:
                run(value, row, out, self.stores)
            except Refused as refused:
                state.undo(mark)
                out.refuse(*refused.args)
            except Exception as error:  # its last words, as it could not tell them otherwise
                logging.fault(row, str(error), repr(error))
                raise
            if out.stopped:
                break
        return out.finish()


class Timing(exports.Timing):
    def on_timers(self, instance, names, at):
        out = Out(types.Batch(0, names, None, at.to_bytes(8, "little", signed=True) * len(list(cells(names)))))
        for row, name in enumerate(cells(names)):
            out.begin(row)
            instance.stores.kv.put(name, b"fired")
            out.emit("fired " + name.decode(), port=PORTS.index("other"))
        return out.finish()


def run(value, row, out, stores):
    if value is None:
        return out.emit(None)
    text = value.decode()
    command, _, rest = text.partition(" ")
    first, _, second = rest.partition(" ")
    simple = {
        "echo": lambda: out.emit(rest),
        "upper": lambda: out.emit(rest.encode().upper()),  # ASCII alone, as in the other languages
        "null": lambda: out.emit(None),
        "drop": lambda: None,
        "many": lambda: [out.emit(f"{second}{index}") for index in range(int(first))],
        "show-key": lambda: out.emit("<null>" if out.key() is None else out.key()),
        "key": lambda: out.emit(command, key=rest),
        "null-key": lambda: out.emit(command, key=None),
        "show-time": lambda: out.emit(str(out.timestamp())),
        "time": lambda: out.emit(command, timestamp=int(first)),
        "show-headers": lambda: out.emit("".join(f"{n.decode()}={shown(v)};" for n, v in out.headers())),
        "header": lambda: out.emit(command, headers=out.headers() + [(first, second)]),
        "only-header": lambda: out.emit(command, headers=[(first, second)]),
        "no-headers": lambda: out.emit(command, headers=[]),
        "null-header": lambda: out.emit(command, headers=out.headers() + [(first, None)]),
        "port": lambda: out.emit(command, port=PORTS.index(first)),
    }
    if command in simple:
        simple[command]()
    elif command == "reject":
        raise Refused(first, second)
    elif command == "emit-and-reject":
        out.emit(command)
        raise Refused("case.late", "after an output")
    elif command == "trap":
        raise RuntimeError("commanded to trap")
    elif command == "stop":
        out.stopped = True
        out.emit(rest)
    elif command == "then-reject":
        stores.run(first, second.split(" "), row)
        raise Refused("case.late", "after a write")
    else:
        answer = stores.run(command, rest.split(" "), row)
        if answer is None:
            answer = asked(command, rest, row)
        out.emit(value if answer is None else answer)


def asked(command, rest, row):
    """What the host is asked for, or told."""
    name, _, amount = rest.partition(" ")
    if command == "source":
        sources = context.row_sources()
        number = lambda column, kind: memoryview(column).cast(kind)[row]
        topic = sources.topics[number(sources.topic, "I")]
        return f"{topic}/{number(sources.partitions, 'I')}@{number(sources.offsets, 'q')}"
    if command == "stream-time":
        return str(memoryview(context.stream_times()).cast("q")[row])
    if command == "random":
        return context.random(row, int(rest)).hex()
    if command == "where":
        return f"{context.application()}/{context.node()}/{context.partition()}"
    if command == "config":
        found = config.get(rest)
        return "<none>" if found is None else found
    if command == "count":
        metrics.count(name, int(amount))
        return "counted"
    if command == "gauge":
        metrics.gauge(name, float(amount))
        return "gauged"
    if command == "observe":
        metrics.observe(name, float(amount))
        return "observed"
    if command == "log":
        logging.log(logging.Level.INFO, row, rest)
        return "logged"
    return None


def shown(value):
    return "<null>" if value is None else value.decode()
