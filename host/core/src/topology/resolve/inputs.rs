//! Which node reads from which, in an order in which each comes after what it reads.

use std::collections::BTreeMap;

use super::super::model::{Input, NodeIndex};
use super::super::read::{RawKind, RawNode};
use super::super::yaml::Name;
use super::super::{PORT_LATE, Span, did_you_mean};
use super::Resolver;

impl<'a> Resolver<'a> {
    /// What `node` reads, but for the right side of a join.
    pub(super) fn inputs_of(&mut self, node: &'a RawNode) -> Vec<Input> {
        if matches!(node.kind, RawKind::Source { .. } | RawKind::Repartition(_)) {
            return Vec::new();
        }
        node.from.iter().filter_map(|from| self.reads(node, from)).collect()
    }

    /// What `from` names, for `node`.
    pub(super) fn reads(&mut self, node: &'a RawNode, from: &'a Name) -> Option<Input> {
        let (name, port) = match from.text.split_once('.') {
            Some((name, port)) => (name, Some(port)),
            None => (from.text.as_str(), None),
        };
        let is_it =
            |other: &RawNode| other.name.text == name && !matches!(other.kind, RawKind::RepartitionWrite { .. });
        let Some(index) = self.raw.iter().position(is_it) else {
            self.no_such_node(node, from, name);
            return None;
        };
        let port_index = self.port(node, &self.raw[index], from, port)?;
        Some(Input { node: NodeIndex(index), port: port_index, port_name: port.map(str::to_owned), span: from.span })
    }

    /// The output `port` of `target`, counted from 0.
    fn port(&mut self, node: &RawNode, target: &RawNode, from: &Name, port: Option<&str>) -> Option<u32> {
        let name = &target.name.text;
        let (message, help) = match (&target.kind, port) {
            (RawKind::Branch(cases), port) => {
                let found = port.and_then(|port| cases.iter().position(|(case, _)| case.text == port));
                if found.is_none() {
                    self.no_such_case(from, name, port, cases.iter().map(|(case, _)| case.text.as_str()).collect());
                }
                return found.map(|found| found as u32);
            }
            (RawKind::Sink(topic), _) => (
                format!("node `{}` reads from `{name}`, which is a sink", node.shown()),
                format!("read what `{name}` reads, or add a source of topic `{}`", topic.text),
            ),
            (RawKind::DynamicSink(_), _) => (
                format!("node `{}` reads from `{name}`, which is a sink", node.shown()),
                format!("read what `{name}` reads, or add a source of the topics that it writes"),
            ),
            // A plugin's ports are known when the plugin is.
            (RawKind::Bad | RawKind::Process(_), _) | (_, None) => return Some(0),
            (RawKind::Aggregate(aggregate), Some("late")) if aggregate.window.is_some() => return Some(PORT_LATE),
            (RawKind::Aggregate(aggregate), Some(port)) if aggregate.window.is_some() => (
                format!("aggregate `{name}` has no output `{port}`"),
                format!("write `from: {name}` for results, `from: {name}.late` for rows that came too late"),
            ),
            (RawKind::Aggregate(_), Some("late")) => (
                format!("aggregate `{name}` has no windows, so no row is late"),
                format!("write `from: {name}`, or give it a `window:`"),
            ),
            (_, Some(port)) => {
                (format!("node `{name}` has one output and no `{port}`"), format!("write `from: {name}`"))
            }
        };
        self.diagnostics.error(from.span, message, help);
        None
    }

    fn no_such_node(&mut self, node: &RawNode, from: &Name, name: &str) {
        let message = format!("node `{}` reads from `{name}`, which does not exist", node.shown());
        let others = self.raw.iter().map(RawNode::shown).filter(|other| *other != node.shown());
        let help = if self.names.contains_key(from.text.as_str()) {
            format!("this is a topic: read from a node `{{ source: {} }}`", from.text)
        } else {
            did_you_mean(name, others).unwrap_or_else(|| "add a node of this name, or name one that exists".to_owned())
        };
        let span = Span { start: from.span.start, end: (from.span.start + name.len()).min(from.span.end) };
        self.diagnostics.error(span, message, help);
    }

    fn no_such_case(&mut self, from: &Name, name: &str, port: Option<&str>, cases: Vec<&str>) {
        let all = || {
            let ways: Vec<String> = cases.iter().map(|case| format!("`from: {name}.{case}`")).collect();
            format!("write {}", ways.join(" or "))
        };
        let (message, help) = match port {
            None => (format!("`{name}` is a branch: which of its cases is read?"), all()),
            Some(port) => (
                format!("branch `{name}` has no case `{port}`"),
                did_you_mean(port, cases.iter().copied()).unwrap_or_else(all),
            ),
        };
        self.diagnostics.error(from.span, message, help);
    }

    /// What node `index` reads, be it by way of a topic, and the table that it is joined with.
    fn upstreams(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let write = match self.raw[index].kind {
            RawKind::Repartition(_) => index.checked_sub(1), // what writes its topic stands before it
            _ => None,
        };
        let nodes: Vec<usize> = self.read_by(index).map(|input| input.node.0).collect();
        write.into_iter().chain(nodes)
    }

    /// All that node `index` reads; the right side of a join comes last.
    pub(super) fn read_by(&self, index: usize) -> impl DoubleEndedIterator<Item = &Input> {
        self.inputs[index].iter().chain(&self.rights[index])
    }

    /// Nodes so that each comes after what it reads. Nodes of a cycle, and behind one, are left out.
    pub(super) fn order(&mut self) -> Vec<usize> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            OnTheWay,
            Placed,
            LeftOut,
        }
        let mut order = Vec::new();
        let mut seen = vec![Seen::No; self.raw.len()];
        for start in 0..self.raw.len() {
            if seen[start] != Seen::No {
                continue;
            }
            seen[start] = Seen::OnTheWay;
            // Against the way of the rows: each node with what of its upstreams is still to be seen.
            let mut way = vec![(start, self.upstreams(start).collect::<Vec<_>>(), true)];
            while let Some((node, rest, sound)) = way.last_mut() {
                let Some(next) = rest.pop() else {
                    let (node, sound) = (*node, *sound);
                    seen[node] = if sound { Seen::Placed } else { Seen::LeftOut };
                    order.extend(sound.then_some(node));
                    way.pop();
                    if let Some((_, _, below)) = way.last_mut() {
                        *below &= sound;
                    }
                    continue;
                };
                match seen[next] {
                    Seen::Placed => {}
                    Seen::LeftOut => *sound = false,
                    Seen::OnTheWay => {
                        *sound = false;
                        let nodes: Vec<usize> = way.iter().map(|(node, ..)| *node).collect();
                        self.cycle(&nodes, next);
                    }
                    Seen::No => {
                        seen[next] = Seen::OnTheWay;
                        way.push((next, self.upstreams(next).collect(), true));
                    }
                }
            }
        }
        order
    }

    fn cycle(&mut self, way: &[usize], first: usize) {
        let start = way.iter().position(|&node| node == first).unwrap_or(0);
        // Against the way of the walk is with the way of the rows.
        let mut names: Vec<&str> = way[start..].iter().rev().map(|&node| self.raw[node].shown()).collect();
        names.insert(0, self.raw[first].shown());
        if names.len() > 2 {
            names.dedup(); // both halves of a repartition
        }
        let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let span = self.read_by(first).next().or_else(|| self.read_by(first.saturating_sub(1)).next());
        let span = span.map_or(self.raw[first].name.span, |input| input.span);
        let message = format!("these nodes read from one another in a cycle: {}", shown.join(" -> "));
        self.diagnostics.error(
            span,
            message,
            "one of them must read from a source; to go round, write to a topic and read it",
        );
    }

    /// As in Kafka Streams: two readers of one partition in one group would share its offset.
    pub(super) fn sources_share_no_topic(&mut self) {
        let mut readers: BTreeMap<&str, &str> = BTreeMap::new();
        for node in self.raw {
            let RawKind::Source { topics, .. } = &node.kind else { continue };
            for topic in topics {
                if let Some(reader) = readers.insert(&topic.text, node.shown()) {
                    let message =
                        format!("topic `{}` is read twice, by `{reader}` and by `{}`", topic.text, node.shown());
                    self.diagnostics.error(topic.span, message, format!("let what comes after read `from: {reader}`"));
                    readers.insert(&topic.text, reader);
                }
            }
        }
    }
}
