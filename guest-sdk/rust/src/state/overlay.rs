use std::collections::BTreeMap;
use std::ops::Bound;

use crate::Column;

/// What a call knows of a store beyond what the host has: writes of the row in progress, which a reject drops; writes of the
/// rows before it, which go to the host at the end of the call, all at once; and what was read already.
///
/// `A` is what a store's entries are found by: a key, or a key and times. Its order is the host's.
#[derive(Debug)]
pub(crate) struct Overlay<A> {
    row: BTreeMap<A, Option<Vec<u8>>>,
    known: BTreeMap<A, Known>,
}

#[derive(Debug)]
struct Known {
    value: Option<Vec<u8>>,
    written: bool,
}

/// Entries in order.
pub(crate) type Page<A> = Vec<(A, Vec<u8>)>;

/// A cell of what the host gave, to keep; none is empty.
pub(crate) fn cell(column: &Column, index: usize) -> Vec<u8> {
    column.get(index).unwrap_or_default().to_vec()
}

/// From where to where.
pub(crate) type Bounds<A> = (Bound<A>, Bound<A>);

impl<A: Ord + Clone> Overlay<A> {
    pub(crate) fn new() -> Self {
        Self { row: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// The value at `at`; `ask` asks the host, once a call.
    pub(crate) fn get(&mut self, at: &A, ask: impl FnOnce() -> Option<Vec<u8>>) -> Option<&[u8]> {
        if !self.row.contains_key(at) && !self.known.contains_key(at) {
            self.learn(at.clone(), ask());
        }
        match self.row.get(at) {
            Some(value) => value.as_deref(),
            None => self.known.get(at)?.value.as_deref(),
        }
    }

    /// What the host has at `at`, unless this call knows better.
    pub(crate) fn learn(&mut self, at: A, value: Option<Vec<u8>>) {
        self.known.entry(at).or_insert(Known { value, written: false });
    }

    /// Writes; none deletes.
    pub(crate) fn put(&mut self, at: A, value: Option<Vec<u8>>) {
        self.row.insert(at, value);
    }

    /// The row in progress has come to a good end.
    pub(crate) fn keep(&mut self) {
        while let Some((at, value)) = self.row.pop_first() {
            self.known.insert(at, Known { value, written: true });
        }
    }

    /// The row in progress is refused.
    pub(crate) fn forget(&mut self) {
        self.row.clear();
    }

    /// The call is over: takes what is to be written, and forgets all.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (A, Option<Vec<u8>>)> + use<A> {
        let known = std::mem::take(&mut self.known);
        known.into_iter().filter(|(_, known)| known.written).map(|(at, known)| (at, known.value))
    }

    /// At most `limit` entries within `bounds` that `wanted` lets pass, as the row in progress sees them. `ask` asks the host
    /// for at most so many entries within bounds, in order of `backward`; fewer are the last.
    pub(crate) fn page(
        &self,
        bounds: Bounds<A>,
        (limit, backward): (usize, bool),
        wanted: impl Fn(&A) -> bool,
        mut ask: impl FnMut(&Bounds<A>, usize) -> Page<A>,
    ) -> Page<A> {
        let (mut page, mut rest) = (Page::new(), bounds);
        while page.len() < limit {
            let asked = limit - page.len();
            let hosts = ask(&rest, asked);
            // Beyond the last entry of a full page the host may have more, so what is written there must wait.
            let last = (hosts.len() == asked).then(|| hosts[asked - 1].0.clone());
            let seen = match (&last, backward) {
                (None, _) => rest.clone(),
                (Some(last), false) => (rest.0.clone(), Bound::Included(last.clone())),
                (Some(last), true) => (Bound::Included(last.clone()), rest.1.clone()),
            };
            let mut merged: BTreeMap<A, Option<Vec<u8>>> =
                hosts.into_iter().map(|(at, value)| (at, Some(value))).collect();
            if !is_empty(&seen) {
                let known = self.known.range(seen.clone()).map(|(at, known)| (at, &known.value));
                let written = known.chain(self.row.range(seen)).filter(|(at, _)| wanted(at));
                merged.extend(written.map(|(at, value)| (at.clone(), value.clone())));
            }
            let present = merged.into_iter().filter_map(|(at, value)| Some((at, value?)));
            match backward {
                false => page.extend(present.take(asked)),
                true => page.extend(present.rev().take(asked)),
            }
            match last {
                None => break,
                Some(last) if backward => rest.1 = Bound::Excluded(last),
                Some(last) => rest.0 = Bound::Excluded(last),
            }
        }
        page
    }
}

/// Whether nothing can lie between them. `BTreeMap::range` panics on such bounds.
pub(crate) fn is_empty<A: Ord>(bounds: &Bounds<A>) -> bool {
    match bounds {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
            lower >= upper
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the host has: every even number to 20, as its text.
    fn host(bounds: &Bounds<u32>, limit: usize, backward: bool) -> Page<u32> {
        let all: BTreeMap<u32, Vec<u8>> = (0..10).map(|n| (n * 2, (n * 2).to_string().into_bytes())).collect();
        if is_empty(bounds) {
            return Page::new();
        }
        let entries = all.range(*bounds).map(|(at, value)| (*at, value.clone()));
        if backward { entries.rev().take(limit).collect() } else { entries.take(limit).collect() }
    }

    fn pages(overlay: &Overlay<u32>, bounds: Bounds<u32>, limit: usize, backward: bool) -> Vec<u32> {
        let page = overlay.page(bounds, (limit, backward), |_| true, |rest, limit| host(rest, limit, backward));
        page.into_iter().map(|(at, _)| at).collect()
    }

    #[test]
    fn a_page_shows_what_this_call_wrote_wherever_the_hosts_pages_end() {
        let mut overlay = Overlay::new();
        [0, 1, 4, 5].iter().for_each(|&at| overlay.put(at, Some(b"kept".to_vec())));
        [2, 6, 8].iter().for_each(|&at| overlay.put(at, None));
        overlay.keep();
        overlay.put(8, Some(b"row".to_vec()));
        overlay.put(4, None);
        let whole = [0, 1, 5, 8, 10, 12, 14, 16, 18];
        for limit in 1..=whole.len() + 1 {
            let unbounded = (Bound::Unbounded, Bound::Unbounded);
            let wanted = &whole[..limit.min(whole.len())];
            assert_eq!(pages(&overlay, unbounded, limit, false), wanted, "{limit}");
            let backward: Vec<u32> = whole.iter().rev().take(limit).copied().collect();
            assert_eq!(pages(&overlay, unbounded, limit, true), backward, "{limit}");
        }
        assert_eq!(pages(&overlay, (Bound::Excluded(1), Bound::Included(8)), 9, false), [5, 8]);
        assert_eq!(pages(&overlay, (Bound::Included(9), Bound::Excluded(9)), 9, false), [0; 0]);
    }

    #[test]
    fn a_refused_row_leaves_nothing_and_the_rows_before_it_stay() {
        let mut overlay = Overlay::new();
        overlay.put(1, Some(b"a".to_vec()));
        overlay.keep();
        overlay.put(1, Some(b"b".to_vec()));
        overlay.put(2, None);
        assert_eq!(overlay.get(&1, || None), Some(&b"b"[..]));
        overlay.forget();
        assert_eq!(overlay.get(&1, || None), Some(&b"a"[..]));
        assert_eq!(overlay.get(&2, || Some(b"2".to_vec())), Some(&b"2"[..]));
        assert_eq!(overlay.get(&2, || unreachable!("the host is asked once")), Some(&b"2"[..]));
        assert_eq!(overlay.take().collect::<Vec<_>>(), [(1, Some(b"a".to_vec()))]);
        assert_eq!(overlay.take().count(), 0);
    }
}
