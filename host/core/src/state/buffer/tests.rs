use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;
use crate::ports::Changes;
use crate::state::MemoryStore;

const STORE: StoreIndex = StoreIndex(0);

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Act {
    Put(Vec<u8>, Option<Vec<u8>>),
    Get(Vec<u8>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>, usize, bool),
    Mark,
    Undo,
    EndStep,
    Commit,
    Abort,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..3, 0..3)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

fn act() -> impl Strategy<Value = Act> {
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..30));
    prop_oneof![
        5 => (key(), value).prop_map(|(key, value)| Act::Put(key, value)),
        3 => key().prop_map(Act::Get),
        3 => (bound(), bound(), 0_usize..9, any::<bool>()).prop_map(|(a, b, limit, back)| Act::Range(a, b, limit, back)),
        1 => Just(Act::Mark),
        1 => Just(Act::Undo),
        1 => Just(Act::EndStep),
        1 => Just(Act::Commit),
        1 => Just(Act::Abort),
    ]
}

/// What the buffer and the store below it should say, by copying everything.
#[derive(Default)]
struct Reference {
    committed: Model,
    now: Model,
    marks: Vec<(Mark, Model)>,
}

fn in_range(model: &Model, range: &KeyRange, limit: usize, backward: bool) -> Entries {
    let holds = |key: &Vec<u8>| {
        let above = match &range.lower {
            Bound::Included(lower) => key >= lower,
            Bound::Excluded(lower) => key > lower,
            Bound::Unbounded => true,
        };
        let below = match &range.upper {
            Bound::Included(upper) => key <= upper,
            Bound::Excluded(upper) => key < upper,
            Bound::Unbounded => true,
        };
        above && below
    };
    let mut entries: Entries = model.clone().into_iter().filter(|(key, _)| holds(key)).collect();
    if backward {
        entries.reverse();
    }
    entries.truncate(limit);
    entries
}

fn apply(
    act: Act,
    buffer: &mut WriteBuffer,
    store: &MemoryStore,
    reference: &mut Reference,
) -> Result<(), TestCaseError> {
    match act {
        Act::Put(key, value) => {
            buffer.put(STORE, &key, value.as_deref());
            match value {
                Some(value) => reference.now.insert(key, value),
                None => reference.now.remove(&key),
            };
        }
        Act::Get(key) => {
            if buffer.find(STORE, &key).is_none() {
                buffer.note(STORE, &key, store.get(STORE, &key).unwrap().as_deref());
            }
            let found = buffer.value(buffer.find(STORE, &key).unwrap());
            prop_assert_eq!(found, reference.now.get(&key).map(|value| &value[..]));
        }
        Act::Range(lower, upper, limit, backward) => {
            let range = KeyRange { lower, upper };
            let found = buffer.range(STORE, store, &range, limit, backward).unwrap();
            prop_assert_eq!(found, in_range(&reference.now, &range, limit, backward));
        }
        Act::Mark => reference.marks.push((buffer.mark(), reference.now.clone())),
        Act::Undo => {
            if let Some((mark, before)) = reference.marks.pop() {
                buffer.undo(mark);
                reference.now = before;
            }
        }
        Act::EndStep => {
            buffer.end_step();
            reference.marks.clear();
        }
        Act::Commit => {
            let writes: Vec<_> =
                buffer.written().map(|(store, key, value)| (store, key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            store.apply(&Changes { writes, ..Changes::default() }).unwrap();
            // Now and then everything that is known is forgotten.
            buffer.committed(if reference.now.len().is_multiple_of(3) { 0 } else { usize::MAX });
            reference.committed = reference.now.clone();
            reference.marks.clear();
        }
        Act::Abort => {
            buffer.forget();
            reference.now = reference.committed.clone();
            reference.marks.clear();
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn writes_over_a_store_read_like_one_map(acts in proptest::collection::vec(act(), 0..80)) {
        let store = MemoryStore::default();
        let mut buffer = WriteBuffer::new(1);
        let mut reference = Reference::default();
        for act in acts {
            apply(act, &mut buffer, &store, &mut reference)?;
        }
        let everything = KeyRange { lower: Bound::Unbounded, upper: Bound::Unbounded };
        let left = store.range(STORE, &everything, usize::MAX, false).unwrap();
        prop_assert_eq!(left, in_range(&reference.committed, &everything, usize::MAX, false));
    }
}
