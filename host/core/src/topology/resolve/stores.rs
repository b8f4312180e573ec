//! What each node keeps: stores that the file declares, and those that a node keeps for itself.

use std::collections::BTreeMap;

use super::super::duration_text;
use super::super::model::Input;
use super::super::read::{RawAggregate, RawJoin, RawKind, RawStoreKind, Time};
use super::super::yaml::Name;
use super::super::{JoinHow, Span, Store, StoreIndex, StoreKind, WindowKind, Within, did_you_mean};
use super::Resolver;

/// The stores of a topology and who uses them.
#[derive(Debug, Default)]
pub(super) struct Stores {
    /// Declared ones first, in file order.
    pub stores: Vec<Store>,
    /// Of each store: its nodes, in file order.
    pub users: Vec<Vec<usize>>,
    /// Of each node.
    pub of_nodes: Vec<StoreUse>,
}

/// The stores of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreUse {
    /// Of an aggregate or a suppress; of the table on the right side of a join.
    pub own: Option<StoreIndex>,
    /// Of the table on the left side of a join of tables.
    pub left: Option<StoreIndex>,
    /// Of a plugin, by its names for them.
    pub plugin: Vec<(String, StoreIndex)>,
    pub timers: Option<StoreIndex>,
    /// Of a join of streams: of its left side, of its right side, and of what waits.
    pub join: Option<(StoreIndex, StoreIndex, Option<StoreIndex>)>,
}

/// The kind of store that an aggregate wants, with the least retention.
fn wanted(aggregate: &RawAggregate) -> StoreKind {
    let Some(window) = aggregate.window else {
        return StoreKind::KeyValue { ttl_ms: None };
    };
    match window.kind {
        WindowKind::Hopping { size_ms, .. } => StoreKind::Window { retention_ms: size_ms + window.grace_ms },
        // A row looks back for windows that ended just before its own begins.
        WindowKind::Sliding { difference_ms } => {
            StoreKind::Window { retention_ms: 2 * difference_ms + window.grace_ms }
        }
        WindowKind::Session { gap_ms } => StoreKind::Session { retention_ms: gap_ms + window.grace_ms },
    }
}

impl Resolver<'_> {
    pub(super) fn stores(&mut self) -> Stores {
        let mut stores = Stores { of_nodes: vec![StoreUse::default(); self.raw.len()], ..Stores::default() };
        for store in &self.file.stores {
            let kind = match store.kind {
                RawStoreKind::KeyValue { ttl } => StoreKind::KeyValue { ttl_ms: ttl.map(|ttl| ttl.ms) },
                RawStoreKind::Window { retention } => StoreKind::Window { retention_ms: milliseconds(retention) },
                RawStoreKind::Session { retention } => StoreKind::Session { retention_ms: milliseconds(retention) },
                RawStoreKind::Bad => StoreKind::KeyValue { ttl_ms: None },
            };
            stores.add(&store.name.text, kind, store.in_memory, store.name.span);
        }
        let mut aggregates: BTreeMap<StoreIndex, usize> = BTreeMap::new();
        for (index, node) in self.raw.iter().enumerate() {
            let name = &node.name;
            match &node.kind {
                RawKind::Aggregate(aggregate) => {
                    let Some(store) = self.aggregate_store(index, aggregate, &mut stores) else { continue };
                    stores.of_nodes[index].own = Some(store);
                    if let Some(other) = aggregates.insert(store, index) {
                        let message = format!(
                            "aggregates `{}` and `{}` would write over each other's results in store `{}`",
                            self.raw[other].name.text, name.text, stores.stores[store.0].name
                        );
                        let span = aggregate.store.as_ref().map_or(name.span, |store| store.span);
                        self.diagnostics.error(span, message, "give each a store of its own");
                    }
                }
                RawKind::ToTable(table) => {
                    let store = table.store.as_ref().unwrap_or(name);
                    stores.of_nodes[index].own = self.table_store(index, store, &mut stores);
                }
                RawKind::Suppress(_) => {
                    stores.of_nodes[index].own =
                        self.own_store(index, "suppressed", StoreKind::Suppressed, true, &mut stores);
                }
                RawKind::Join(RawJoin { how, within: Some(within), .. }) => {
                    stores.of_nodes[index].join = self.join_stores(index, *how, within.times, &mut stores);
                }
                RawKind::Process(process) => {
                    for (plugin, store) in &process.stores {
                        let found = self.named_store(index, store, &mut stores);
                        stores.of_nodes[index].plugin.extend(found.map(|found| (plugin.text.clone(), found)));
                    }
                    if process.timers {
                        stores.of_nodes[index].timers =
                            self.own_store(index, "timers", StoreKind::Timers, false, &mut stores);
                    }
                }
                _ => {}
            }
        }
        self.lend_tables(&mut stores);
        self.tables_are_written_by_their_nodes(&stores);
        self.retentions_are_known(&stores);
        for (store, users) in stores.stores.iter_mut().zip(&stores.users) {
            let expires = matches!(store.kind, StoreKind::KeyValue { ttl_ms: Some(_) });
            store.row_at_a_time = expires || self.meet(users);
        }
        stores
    }

    fn aggregate_store(&mut self, index: usize, aggregate: &RawAggregate, stores: &mut Stores) -> Option<StoreIndex> {
        let node = &self.raw[index].name;
        let wanted = wanted(aggregate);
        let Some(name) = &aggregate.store else {
            if stores.find(&node.text).is_some() {
                let message = format!("node `{}` keeps a store of its own name, and `stores:` declares one", node.text);
                let help = format!("add `store: {}` to keep results in it, or rename it", node.text);
                self.diagnostics.error(node.span, message, help);
                return None;
            }
            let store = stores.add(&node.text, wanted, false, node.span);
            stores.users[store.0].push(index);
            return Some(store);
        };
        let store = self.named_store(index, name, stores)?;
        let raw = &self.file.stores[store.0];
        match (raw.kind, wanted, &mut stores.stores[store.0].kind) {
            (RawStoreKind::Bad, ..) | (RawStoreKind::KeyValue { .. }, StoreKind::KeyValue { .. }, _) => {}
            (
                RawStoreKind::Window { retention },
                StoreKind::Window { retention_ms: least },
                StoreKind::Window { retention_ms },
            )
            | (
                RawStoreKind::Session { retention },
                StoreKind::Session { retention_ms: least },
                StoreKind::Session { retention_ms },
            ) => match retention {
                None => *retention_ms = least.max(*retention_ms),
                Some(retention) if retention.ms < least => {
                    let message = format!(
                        "store `{}` forgets rows that node `{}` still needs: size and grace of its window want {}",
                        raw.name.text,
                        node.text,
                        duration_text(least)
                    );
                    self.diagnostics.error(
                        retention.span,
                        message,
                        format!("write `retention: {}`, or more", duration_text(least)),
                    );
                }
                Some(_) => {}
            },
            (_, wanted, is) => {
                let message =
                    format!("node `{}` needs a store of kind {wanted}; `{}` is {is}", node.text, raw.name.text);
                let help = format!("declare another, `{{ kind: {wanted} }}`, or leave `store:` out");
                self.diagnostics.error(name.span, message, help);
                return None;
            }
        }
        Some(store)
    }

    /// Whether a row could read in a store what one after it wrote, were they taken together: several nodes use it, and it is
    /// not that of a table, whose changes go to the joins that read it.
    fn meet(&self, users: &[usize]) -> bool {
        let [writer, others @ ..] = users else { return false };
        let reads = |user: &usize| matches!(self.raw[*user].kind, RawKind::Join(_) | RawKind::JoinTables(_));
        let is_table = matches!(self.raw[*writer].kind, RawKind::ToTable(_)) && others.iter().all(reads);
        !others.is_empty() && !is_table
    }

    /// Gives joins the stores of the tables that they look up.
    fn lend_tables(&self, stores: &mut Stores) {
        for (index, node) in self.raw.iter().enumerate() {
            let store_of = |table: Option<&Input>| table.and_then(|table| stores.of_nodes[table.node.0].own);
            let right = store_of(self.rights[index].as_ref());
            let is_of_tables = matches!(node.kind, RawKind::JoinTables(_));
            let left = store_of(self.inputs[index].first()).filter(|_| is_of_tables);
            let uses = &mut stores.of_nodes[index];
            (uses.own, uses.left) = (uses.own.or(right), left);
            for store in right.into_iter().chain(left) {
                if !stores.users[store.0].contains(&index) {
                    stores.users[store.0].push(index);
                }
            }
        }
    }

    /// Refuses a table's store to other nodes that would write it.
    fn tables_are_written_by_their_nodes(&mut self, stores: &Stores) {
        for (index, node) in self.raw.iter().enumerate() {
            let (RawKind::ToTable(_), Some(store)) = (&node.kind, stores.of_nodes[index].own) else { continue };
            let is_join = |other: &usize| matches!(self.raw[*other].kind, RawKind::Join(_) | RawKind::JoinTables(_));
            let other = stores.users[store.0].iter().find(|other| **other != index && !is_join(other));
            if let Some(&other) = other {
                let (table, store) = (&node.name.text, &stores.stores[store.0].name);
                let message = format!(
                    "node `{}` uses store `{store}`, which is that of table `{table}`",
                    self.raw[other].shown()
                );
                let help = format!("give it a store of its own; to read the table, `join: {table}`");
                self.diagnostics.error(self.raw[other].name.span, message, help);
            }
        }
    }

    /// The store of a table: declared, or made here.
    fn table_store(&mut self, index: usize, name: &Name, stores: &mut Stores) -> Option<StoreIndex> {
        let declared = self.file.stores.iter().any(|store| store.name.text == name.text);
        let store = match (declared, stores.find(&name.text)) {
            (true, _) => self.named_store(index, name, stores)?,
            (false, Some(_)) => {
                let message = format!("another node keeps a store `{}` for itself", name.text);
                self.diagnostics.error(name.span, message, "rename one of them");
                return None;
            }
            (false, None) => {
                let store = stores.add(&name.text, StoreKind::KeyValue { ttl_ms: None }, false, name.span);
                stores.users[store.0].push(index);
                store
            }
        };
        if stores.stores[store.0].kind != (StoreKind::KeyValue { ttl_ms: None }) {
            let node = &self.raw[index].name.text;
            let message =
                format!("table `{node}` needs a store of kind key-value without `ttl`; `{}` is another", name.text);
            self.diagnostics.error(name.span, message, "declare another, `{ kind: key-value }`");
            return None;
        }
        Some(store)
    }

    /// The declared store `name`, which node `index` uses.
    fn named_store(&mut self, index: usize, name: &Name, stores: &mut Stores) -> Option<StoreIndex> {
        let Some(at) = self.file.stores.iter().position(|store| store.name.text == name.text) else {
            let known = self.file.stores.iter().map(|store| store.name.text.as_str());
            let help = did_you_mean(&name.text, known).unwrap_or_else(|| {
                format!("declare it under `stores:`, such as `{}: {{ kind: key-value }}`", name.text)
            });
            let node = self.raw[index].shown();
            let message = format!("node `{node}` uses store `{}`, which is not declared", name.text);
            self.diagnostics.error(name.span, message, help);
            return None;
        };
        if !stores.users[at].contains(&index) {
            stores.users[at].push(index);
        }
        Some(StoreIndex(at))
    }

    /// What a join of streams keeps: the rows of each side, and those that wait.
    fn join_stores(
        &mut self,
        index: usize,
        how: JoinHow,
        within: Within,
        stores: &mut Stores,
    ) -> Option<(StoreIndex, StoreIndex, Option<StoreIndex>)> {
        let side = StoreKind::Joined { retention_ms: within.retention_ms() };
        let left = self.own_store(index, "left", side, false, stores);
        let right = self.own_store(index, "right", side, false, stores);
        let waits = how != JoinHow::Inner;
        let waiting =
            if waits { Some(self.own_store(index, "waiting", StoreKind::Waiting, false, stores)?) } else { None };
        Some((left?, right?, waiting))
    }

    /// A store that node `index` keeps for itself, named after it.
    fn own_store(
        &mut self,
        index: usize,
        suffix: &str,
        kind: StoreKind,
        in_memory: bool,
        stores: &mut Stores,
    ) -> Option<StoreIndex> {
        let node = &self.raw[index].name;
        let name = format!("{}-{suffix}", node.text);
        if stores.find(&name).is_some() {
            let message = format!("node `{}` needs the name `{name}` for a store of its own", node.text);
            self.diagnostics.error(node.span, message, "rename the other store");
            return None;
        }
        let store = stores.add(&name, kind, in_memory, node.span);
        stores.users[store.0].push(index);
        Some(store)
    }

    /// An aggregate tells how long its windows are needed; a plugin does not.
    fn retentions_are_known(&mut self, stores: &Stores) {
        for (raw, (store, users)) in self.file.stores.iter().zip(stores.stores.iter().zip(&stores.users)) {
            let (StoreKind::Window { retention_ms: 0 } | StoreKind::Session { retention_ms: 0 }) = store.kind else {
                continue;
            };
            if !users.is_empty() {
                let message = format!("store `{}` does not say how long it keeps its rows", store.name);
                self.diagnostics.error(raw.name.span, message, "add `retention: 1h`");
            }
        }
    }

    pub(super) fn warn_of_stores(&mut self, stores: &Stores) {
        for (raw, users) in self.file.stores.iter().zip(&stores.users) {
            if users.is_empty() {
                let message = format!("no node uses store `{}`", raw.name.text);
                self.diagnostics.warning(raw.name.span, message, "name it in an aggregate or a process, or remove it");
            } else if !raw.changelog {
                let message = format!("without a changelog store `{}` is empty after a crash or a move", raw.name.text);
                let help = "remove `changelog: false` unless what it keeps may be lost";
                self.diagnostics.warning(raw.changelog_span, message, help);
            }
        }
    }
}

impl Stores {
    fn add(&mut self, name: &str, kind: StoreKind, in_memory: bool, span: Span) -> StoreIndex {
        self.stores.push(Store {
            name: name.to_owned(),
            kind,
            in_memory,
            changelog: None,
            source: None,
            subtopology: 0,
            row_at_a_time: false,
            span,
        });
        self.users.push(Vec::new());
        StoreIndex(self.stores.len() - 1)
    }

    fn find(&self, name: &str) -> Option<StoreIndex> {
        self.stores.iter().position(|store| store.name == name).map(StoreIndex)
    }
}

/// 0: the file does not say.
fn milliseconds(time: Option<Time>) -> i64 {
    time.map_or(0, |time| time.ms)
}
