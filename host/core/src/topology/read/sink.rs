//! `sink`.

use super::super::yaml::{Kind, Name, Yaml};
use super::node::RawKind;
use super::reader::{Reader, field};

/// A sink whose topic is an expression.
#[derive(Debug)]
pub(crate) struct RawSink {
    pub topic: Name,
    /// The topics that it may name; none: every topic that no node reads.
    pub of: Option<Vec<Name>>,
}

impl Reader<'_> {
    /// A topic, or `{ topic: EXPR, of: [TOPIC] }`.
    pub(super) fn sink(&mut self, value: &Yaml) -> Option<RawKind> {
        let fields = match &value.kind {
            Kind::Map(fields) => fields,
            Kind::List(_) => {
                let help = "write to several topics with a sink each, or to one of them with \
                            `sink: { topic: EXPR, of: [A, B] }`";
                self.diagnostics.error(value.span, "`sink` should be a topic; here is a list", help);
                return None;
            }
            _ => return Some(RawKind::Sink(self.word(value, "`sink`", "a topic")?)),
        };
        self.check_keys(fields, "`sink`", &["topic", "of"], &[]);
        let of = field(fields, "of").map(|(_, topics)| self.targets(topics));
        if field(fields, "topic").is_none() {
            let help = "add `topic:` with an expression that yields the name of one, such as `value.kind`";
            self.diagnostics.error(value.span, "this sink has no topic", help);
        }
        Some(RawKind::DynamicSink(RawSink { topic: self.written(fields, "topic")?, of }))
    }

    fn targets(&mut self, value: &Yaml) -> Vec<Name> {
        let Kind::List(topics) = &value.kind else {
            self.wrong(value, "`of`", "a list of topics");
            return Vec::new();
        };
        if topics.is_empty() {
            self.diagnostics.error(value.span, "this sink may write to no topic", "name one at least");
        }
        topics.iter().filter_map(|topic| self.word(topic, "an item of `of`", "a topic")).collect()
    }
}
