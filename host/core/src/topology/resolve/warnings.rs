//! What can be run but hardly says what was meant.

use super::super::read::RawKind;
use super::Resolver;

impl Resolver<'_> {
    pub(super) fn warn_of_what_is_not_read(&mut self) {
        let all: Vec<_> = (0..self.raw.len()).flat_map(|index| self.read_by(index)).cloned().collect();
        let read = |index: usize, port: Option<u32>| {
            let mut inputs = all.iter();
            inputs.any(|input| input.node.0 == index && port.is_none_or(|port| input.port == port))
        };
        for (index, node) in self.raw.iter().enumerate() {
            let name = &node.name.text;
            match &node.kind {
                // The results of aggregates and plugins may be kept in a store, or be a message to the world.
                RawKind::Source { .. }
                | RawKind::Filter(_)
                | RawKind::Map(_)
                | RawKind::FlatMap(_)
                | RawKind::Repartition(_)
                | RawKind::Suppress(_)
                | RawKind::Join(_)
                | RawKind::JoinTables(_)
                | RawKind::FilterTable(_)
                | RawKind::MapTable(_)
                    if !read(index, None) =>
                {
                    let help = format!("add a node `{{ from: {name}, … }}`, or remove it");
                    self.diagnostics.warning(node.name.span, format!("no node reads from `{name}`"), help);
                }
                RawKind::Branch(cases) => {
                    for (port, (case, _)) in cases.iter().enumerate() {
                        if !read(index, Some(port as u32)) {
                            let output = format!("{name}.{}", case.text);
                            let message =
                                format!("rows of case `{}` are dropped: no node reads from `{output}`", case.text);
                            self.diagnostics.warning(
                                case.span,
                                message,
                                format!("add a node `{{ from: {output}, … }}`"),
                            );
                        }
                    }
                }
                _ => {}
            }
        }
        for (topic, _) in self.file.topics.iter().zip(&self.used).filter(|(_, used)| !**used) {
            let message = format!("no node reads or writes topic `{}`", topic.name.text);
            self.diagnostics.warning(topic.name.span, message, "");
        }
    }
}
