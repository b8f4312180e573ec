"""Columns into cells and back, as wit/types.wit has them."""

from wit_world.imports import context, types

INHERITED = object()


def cells(column):
    """The cells of a column; None is null."""
    start, index = 0, 0
    for index, end in enumerate(memoryview(column.ends).cast("I")):
        present = column.validity is None or column.validity[index >> 3] >> (index & 7) & 1
        yield column.data[start:end] if present else None
        start = end


def column(cells):
    """A column of cells: bytes, text, or None."""
    data, ends, bits = bytearray(), bytearray(), bytearray((len(cells) + 7) // 8)
    for index, cell in enumerate(cells):
        if cell is not None:
            bits[index >> 3] |= 1 << (index & 7)
            data += cell.encode() if isinstance(cell, str) else cell
        ends += len(data).to_bytes(4, "little")
    validity = bytes(bits) if None in cells else None
    return types.Column(bytes(data), bytes(ends), validity)


def numbers(values, size):
    return b"".join(value.to_bytes(size, "little", signed=size == 8) for value in values)


class Out:
    """Outputs of a call: what none of them sets is inherited as a whole, else row by row."""

    def __init__(self, batch):
        self.batch, self.row, self.stopped = batch, 0, False
        self.outputs, self.rejects = [], []
        self.in_keys = self.in_times = self.in_headers = None

    def begin(self, row):
        self.row, self.before = row, len(self.outputs)

    def emit(self, value, key=INHERITED, timestamp=INHERITED, headers=INHERITED, port=0):
        self.outputs.append((self.row, value, key, timestamp, headers, port))

    def refuse(self, code, message):
        del self.outputs[self.before :]
        self.rejects.append(types.Reject(self.row, code, message))

    def key(self, row=None):
        if self.in_keys is None:
            self.in_keys = list(cells(self.batch.keys))
        return self.in_keys[self.row if row is None else row]

    def timestamp(self, row=None):
        if self.in_times is None:
            self.in_times = memoryview(self.batch.timestamps).cast("q")
        return self.in_times[self.row if row is None else row]

    def headers(self, row=None):
        row = self.row if row is None else row
        if self.in_headers is None:
            all_headers = context.row_headers()
            self.in_ends = [0, *memoryview(all_headers.row_ends).cast("I")]
            self.in_headers = list(zip(cells(all_headers.names), cells(all_headers.values)))
        return self.in_headers[self.in_ends[row] : self.in_ends[row + 1]]

    def set_or_inherited(self, part, inherited):
        """Part `part` of all outputs, or None where none sets it."""
        if all(output[part] is INHERITED for output in self.outputs):
            return None
        return [inherited(output[0]) if output[part] is INHERITED else output[part] for output in self.outputs]

    def finish(self):
        keys = self.set_or_inherited(2, self.key)
        times = self.set_or_inherited(3, self.timestamp)
        headers = self.set_or_inherited(4, self.headers)
        ports = [output[5] for output in self.outputs]
        return types.Output(
            rows=numbers([output[0] for output in self.outputs], 4),
            ports=numbers(ports, 4) if any(ports) else None,
            keys=None if keys is None else column(keys),
            values=column([output[1] for output in self.outputs]),
            timestamps=None if times is None else numbers(times, 8),
            headers=None if headers is None else header_columns(headers),
            rejects=self.rejects,
            taken=self.row + 1 if self.stopped else None,
        )


def header_columns(rows):
    ends, names, values = [], [], []
    for headers in rows:
        names += [name for name, _ in headers]
        values += [value for _, value in headers]
        ends.append(len(names))
    return types.Headers(numbers(ends, 4), column(names), column(values))
