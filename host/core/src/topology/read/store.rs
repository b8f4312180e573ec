//! `stores:`.

use super::super::Span;
use super::super::yaml::{Kind, Name, Yaml};
use super::reader::{Reader, Time, field};

/// A store as the file declares it.
#[derive(Debug)]
pub(crate) struct RawStore {
    pub name: Name,
    pub kind: RawStoreKind,
    pub in_memory: bool,
    pub changelog: bool,
    /// Where it says that there is none, else the name.
    pub changelog_span: Span,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum RawStoreKind {
    KeyValue {
        ttl: Option<Time>,
    },
    /// Without a retention: as long as its aggregate needs.
    Window {
        retention: Option<Time>,
    },
    Session {
        retention: Option<Time>,
    },
    /// Reported already.
    Bad,
}

/// The names of kinds, and the field that each has beside those of all.
const KINDS: [(&str, (RawStoreKind, &str)); 3] = [
    ("key-value", (RawStoreKind::KeyValue { ttl: None }, "ttl")),
    ("window", (RawStoreKind::Window { retention: None }, "retention")),
    ("session", (RawStoreKind::Session { retention: None }, "retention")),
];

impl Reader<'_> {
    pub fn store(&mut self, name: &Name, value: &Yaml) -> RawStore {
        self.check_part_name(name, "a store");
        let mut store = RawStore {
            name: name.clone(),
            kind: RawStoreKind::Bad,
            in_memory: false,
            changelog: true,
            changelog_span: name.span,
        };
        let what = format!("store `{}`", name.text);
        let Some(fields) = self.map(value, &what, "a map such as `{ kind: key-value }`") else { return store };
        self.check_keys(fields, "a store", &["kind", "ttl", "retention", "in", "changelog"], &[]);
        let places = [("rocksdb", false), ("memory", true)];
        if let Some((_, place)) = field(fields, "in") {
            store.in_memory = self.one_of(place, "`in`", &places).unwrap_or_default();
        }
        if let (Some((key, _)), Some(changelog)) = (field(fields, "changelog"), self.truth(fields, "changelog")) {
            (store.changelog, store.changelog_span) = (changelog, key.span);
        }
        store.kind = self.store_kind(name, fields).unwrap_or(RawStoreKind::Bad);
        store
    }

    fn store_kind(&mut self, name: &Name, fields: &[(Name, Yaml)]) -> Option<RawStoreKind> {
        let Some((_, kind)) = field(fields, "kind").filter(|(_, kind)| !matches!(kind.kind, Kind::Null)) else {
            let message = format!("store `{}` has no kind", name.text);
            self.diagnostics.error(name.span, message, "add `kind: key-value`, `window` or `session`");
            return None;
        };
        let (kind, own) = self.one_of(kind, "`kind`", &KINDS)?;
        for other in ["ttl", "retention"].into_iter().filter(|other| *other != own) {
            if let Some((key, _)) = field(fields, other) {
                let message = format!("this kind of store has no `{other}`");
                self.diagnostics.error(key.span, message, format!("write `{own}`, or another kind"));
            }
        }
        let time = self.duration(fields, own, 1);
        Some(match kind {
            RawStoreKind::KeyValue { .. } => RawStoreKind::KeyValue { ttl: time },
            RawStoreKind::Window { .. } => RawStoreKind::Window { retention: time },
            _ => RawStoreKind::Session { retention: time },
        })
    }
}
