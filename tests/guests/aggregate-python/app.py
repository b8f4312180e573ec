"""Sums whole numbers; tests/tests/aggregation.rs says what must come of it. The same in Rust."""

from columns import cells, column
from wit_world import exports
from wit_world.exports import aggregation
from wit_world.imports import manifest, types


class Description(exports.Description):
    def describe(self):
        manifest.about("aggregate-python", "0.1.0", "componentize-py")
        manifest.reads(False, True, False)
        manifest.aggregates(True, False)


class Aggregation(exports.Aggregation):
    def create(self, text):
        return Aggregator()


class Aggregator(aggregation.Aggregator):
    def fold(self, work):
        results, rejects, row = [], [], 0
        values = list(cells(work.rows.values))
        for before, end in zip(cells(work.accumulators), memoryview(work.row_ends).cast("I")):
            kept = before
            while row < end:
                try:
                    kept = str(int(kept or 0) + int(values[row].decode())).encode()
                except ValueError:
                    message = f"`{values[row].decode()}` is no whole number"
                    rejects.append(types.Reject(row, "sum.number", message))
                if work.every_row:
                    results.append(kept)
                row += 1
            if not work.every_row:
                results.append(kept)
        return aggregation.Folded(column(results), rejects)

    def merge(self, keys, left, right):
        return column([str(int(a) + int(b)).encode() for a, b in zip(cells(left), cells(right))])
