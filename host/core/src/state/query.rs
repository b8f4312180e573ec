//! Parts of a store for readers from outside: a range of keys, a time of windows, page by page.

use std::ops::Bound;

use super::keys;
use super::view::{StoreEntry, StoreView};
use crate::ports::{KeyRange, StateStore, StoreError};
use crate::topology::StoreKind;

/// Rows that are read from a store at one time.
const PAGE_ROWS: usize = 1_024;

/// Which entries of a store to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The first key.
    pub from: Option<Vec<u8>>,
    /// The last key.
    pub to: Option<Vec<u8>>,
    /// What keys begin with.
    pub prefix: Option<Vec<u8>>,
    /// Windows that start at this time or later, sessions that end then or later.
    pub window_from: Option<i64>,
    /// Windows and sessions that start at this time or earlier.
    pub window_to: Option<i64>,
    /// Goes on after this row.
    pub after: Option<Vec<u8>>,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// The store's own key of each entry, where a reader goes on, and the entry; in the order of keys, then of windows.
    pub entries: Vec<(Vec<u8>, StoreEntry)>,
    /// The last row that was looked at, where there may be more beyond it.
    pub known_to: Option<Vec<u8>>,
}

impl StoreView<'_> {
    /// The first `limit` entries of `selection`. Looks at `rows_max` rows at most. `stream_time` is the task's as of its
    /// last commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn select(
        &self,
        rows: &dyn StateStore,
        selection: &Selection,
        stream_time: Option<i64>,
        (limit, rows_max): (usize, usize),
    ) -> Result<Selected, StoreError> {
        let mut range = self.range(selection);
        let (horizon, mut selected, mut seen) = (self.horizon(rows, stream_time)?, Selected::default(), 0);
        loop {
            let page = PAGE_ROWS.min(rows_max - seen);
            let found = rows.range(self.index, &range, page, false)?;
            seen += found.len();
            let is_last = found.len() < page;
            for (row, value) in found {
                if let Some(entry) = self.decode(&row, &value, horizon).filter(|entry| selection.takes(entry, &row)) {
                    selected.entries.push((row.clone(), entry));
                }
                selected.known_to = Some(row);
                if selected.entries.len() >= limit {
                    return Ok(selected);
                }
            }
            if is_last {
                selected.known_to = None;
                return Ok(selected);
            }
            if seen >= rows_max {
                return Ok(selected);
            }
            range.lower = selected.known_to.clone().map_or(Bound::Unbounded, Bound::Excluded);
        }
    }

    fn range(&self, selection: &Selection) -> KeyRange {
        let is_plain = matches!(self.store.kind, StoreKind::KeyValue { .. });
        let begin = |key: &[u8]| if is_plain { keys::key_value(key) } else { keys::of_key(key) };
        let mut range = match &selection.prefix {
            Some(prefix) if is_plain => KeyRange::prefix(&keys::key_value(prefix)),
            Some(prefix) => {
                let mut row = keys::of_key(prefix);
                row.truncate(row.len() - keys::KEY_END_BYTES);
                KeyRange::prefix(&row)
            }
            None => KeyRange::prefix(&[keys::DATA]),
        };
        if let Some(from) = selection.from.as_deref().map(begin) {
            narrow_lower(&mut range, Bound::Included(from));
        }
        if let Some(to) = selection.to.as_deref().map(begin) {
            let upper = if is_plain { Bound::Included(to) } else { KeyRange::prefix(&to).upper };
            narrow_upper(&mut range, upper);
        }
        if let Some(after) = &selection.after {
            narrow_lower(&mut range, Bound::Excluded(after.clone()));
        }
        range
    }
}

impl Selection {
    /// All windows of one key.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Self {
        Self { from: Some(key.to_vec()), to: Some(key.to_vec()), ..Self::default() }
    }

    fn takes(&self, entry: &StoreEntry, row: &[u8]) -> bool {
        let Some((start, _)) = entry.window else { return true };
        // What is asked for by time is whole windows by their starts, and sessions that reach into the time.
        let reaches = keys::last_time(row).unwrap_or(start);
        self.window_from.is_none_or(|from| reaches >= from) && self.window_to.is_none_or(|to| start <= to)
    }
}

fn narrow_lower(range: &mut KeyRange, lower: Bound<Vec<u8>>) {
    let (Bound::Included(new) | Bound::Excluded(new)) = &lower else { return };
    let narrower = match &range.lower {
        Bound::Unbounded => true,
        Bound::Included(old) => new >= old,
        Bound::Excluded(old) => new > old,
    };
    if narrower {
        range.lower = lower;
    }
}

fn narrow_upper(range: &mut KeyRange, upper: Bound<Vec<u8>>) {
    let (Bound::Included(new) | Bound::Excluded(new)) = &upper else { return };
    let narrower = match &range.upper {
        Bound::Unbounded => true,
        Bound::Included(old) | Bound::Excluded(old) => new < old,
    };
    if narrower {
        range.upper = upper;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Changes;
    use crate::state::MemoryStore;
    use crate::topology::{StoreIndex, Topology};

    const FILE: &str = "
application: a
topics: { in: { key: string, value: json }, out: { key: string, value: json } }
stores:
  notes: { kind: key-value, ttl: 10s }
  raw: { kind: window, retention: 60s }
nodes:
  source: { source: in }
  count: { from: source, aggregate: count }
  windows: { from: source, aggregate: { n: count }, window: { tumbling: 10s, grace: 0s } }
  visits: { from: source, aggregate: count, window: { session: 5s, grace: 0s } }
  note: { from: source, process: { plugin: ./p.wasm, stores: [notes, raw], timers: true } }
  sink: { from: count, sink: out }
";

    fn topology() -> Topology {
        crate::topology::parse("t.yaml", FILE).unwrap_or_else(|mistakes| panic!("{}", mistakes.render()))
    }

    /// A store with these rows.
    fn store(topology: &Topology, name: &str, rows: &[(Vec<u8>, Vec<u8>)]) -> (StoreIndex, MemoryStore) {
        let index = topology.find_store(name).unwrap();
        let writes = rows.iter().map(|(key, value)| (index, key.clone(), Some(value.clone()))).collect();
        let store = MemoryStore::default();
        store.apply(&Changes { writes, ..Changes::default() }).unwrap();
        (index, store)
    }

    fn timed(at: i64, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        keys::push_time(&mut bytes, at);
        bytes.extend_from_slice(value);
        bytes
    }

    fn count(at: i64, count: i64) -> Vec<u8> {
        timed(at, &count.to_le_bytes())
    }

    fn shown(entries: &[(Vec<u8>, StoreEntry)]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let window =
            |entry: &StoreEntry| entry.window.map_or_else(String::new, |(start, end)| format!("@{start}..{end}"));
        let value = |entry: &StoreEntry| entry.value.as_deref().map_or_else(|| "null".to_owned(), text);
        entries.iter().map(|(_, it)| format!("{}{}={}", text(&it.key), window(it), value(it))).collect()
    }

    struct Reader<'a>(StoreView<'a>, &'a MemoryStore, Option<i64>);

    fn reader<'a>(topology: &'a Topology, index: StoreIndex, rows: &'a MemoryStore, time: Option<i64>) -> Reader<'a> {
        Reader(StoreView::new(topology, index), rows, time)
    }

    fn select(reader: &Reader<'_>, selection: &Selection) -> Vec<String> {
        let selected = reader.0.select(reader.1, selection, reader.2, (100, 100)).unwrap();
        assert_eq!(selected.known_to, None);
        shown(&selected.entries)
    }

    #[test]
    fn keys_are_found_by_range_and_by_prefix_and_both_ends_belong_to_it() {
        let topology = topology();
        let keys: Vec<&[u8]> = vec![b"a", b"ab", b"b", b"ba", b"c"];
        let rows: Vec<_> = keys.iter().map(|key| (keys::key_value(key), count(0, 1))).collect();
        let (index, rows) = store(&topology, "count", &rows);
        let view = reader(&topology, index, &rows, None);
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        let some = |from: &str, to: &str| Selection { from: bytes(from), to: bytes(to), ..Selection::default() };
        assert_eq!(select(&view, &some("ab", "ba")), ["ab=1", "b=1", "ba=1"]);
        assert_eq!(select(&view, &some("d", "a")), [""; 0]);
        let prefix = Selection { prefix: bytes("b"), ..Selection::default() };
        assert_eq!(select(&view, &prefix), ["b=1", "ba=1"]);
        assert_eq!(select(&view, &Selection { from: bytes("ba"), ..prefix }), ["ba=1"]);
        assert_eq!(select(&view, &Selection::default()).len(), 5);
    }

    #[test]
    fn windows_have_their_ends_and_expired_ones_are_not_shown_though_they_are_there() {
        let topology = topology();
        let one = |count: i64| timed(1, &[&8_u32.to_le_bytes()[..], &count.to_le_bytes()].concat());
        let mut clock = Vec::new();
        [25_000, 19_999, i64::MIN / 4].into_iter().for_each(|time| keys::push_time(&mut clock, time));
        let mut rows: Vec<_> = [("a", 0), ("a", 10_000), ("a", 20_000), ("a\0", 10_000), ("b", 20_000)]
            .map(|(key, start)| (keys::window(key.as_bytes(), start), one(start / 10_000)))
            .into();
        rows.push((keys::own("time"), clock));
        let (index, rows) = store(&topology, "windows", &rows);
        let view = reader(&topology, index, &rows, None);
        let of_a = Selection::of_key(b"a");
        assert_eq!(select(&view, &of_a), ["a@10000..20000={\"n\":1}", "a@20000..30000={\"n\":2}"]);
        let late = Selection { window_from: Some(15_000), ..Selection::default() };
        assert_eq!(select(&view, &late), ["a@20000..30000={\"n\":2}", "b@20000..30000={\"n\":2}"]);
        let early = Selection { window_to: Some(19_999), prefix: Some(b"a".to_vec()), ..Selection::default() };
        assert_eq!(select(&view, &early), ["a@10000..20000={\"n\":1}", "a\0@10000..20000={\"n\":1}"]);
    }

    #[test]
    fn a_session_is_found_by_any_time_that_it_reaches_into() {
        let topology = topology();
        let rows =
            [(1_000, 4_000), (10_000, 10_000)].map(|(start, end)| (keys::session(b"k", start, end), count(end, 3)));
        let (index, rows) = store(&topology, "visits", &rows);
        let view = reader(&topology, index, &rows, None);
        let at = |from, to| Selection { window_from: Some(from), window_to: Some(to), ..Selection::of_key(b"k") };
        assert_eq!(select(&view, &at(2_000, 3_000)), ["k@1000..4000=3"]);
        assert_eq!(select(&view, &at(4_000, 10_000)), ["k@1000..4000=3", "k@10000..10000=3"]);
        assert_eq!(select(&view, &at(4_001, 9_999)), [""; 0]);
    }

    #[test]
    fn what_a_plugin_wrote_is_shown_as_it_is_until_its_time_is_over() {
        let topology = topology();
        let rows = [(keys::key_value(b"k"), timed(5_000, b"note")), (keys::by_time(5_000, b"k", b""), Vec::new())];
        let (index, rows) = store(&topology, "notes", &rows);
        let at = |time| reader(&topology, index, &rows, Some(time));
        assert_eq!(select(&at(14_999), &Selection::default()), ["k=note"]);
        assert_eq!(select(&at(15_000), &Selection::default()), [""; 0]);
        let rows = [(keys::window(b"k", 1_000), b"old".to_vec()), (keys::window(b"k", 61_000), b"new".to_vec())];
        let (index, rows) = store(&topology, "raw", &rows);
        let view = reader(&topology, index, &rows, Some(61_001));
        assert_eq!(select(&view, &Selection::default()), ["k@61000..61000=new"]);
    }

    #[test]
    fn a_reader_that_goes_on_after_the_last_row_sees_each_entry_once() {
        let topology = topology();
        let rows: Vec<_> =
            (0..25).map(|number| (keys::key_value(format!("{number:02}").as_bytes()), count(0, 1))).collect();
        let (index, rows) = store(&topology, "count", &rows);
        let view = reader(&topology, index, &rows, None);
        for (limit, rows_max) in [(7, 100), (100, 4), (3, 2), (25, 25)] {
            let (mut selection, mut seen) = (Selection::default(), Vec::new());
            for _ in 0..30 {
                let selected = view.0.select(view.1, &selection, None, (limit, rows_max)).unwrap();
                seen.extend(shown(&selected.entries));
                selection.after = selected.known_to;
                if selection.after.is_none() {
                    break;
                }
            }
            let all: Vec<String> = (0..25).map(|number| format!("{number:02}=1")).collect();
            assert_eq!(seen, all, "{limit} {rows_max}");
        }
    }
}
