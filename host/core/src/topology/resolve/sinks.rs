//! Sinks whose topic is an expression: the topics that it may name, and what these take.

use super::super::model::{NodeKind, TopicIndex};
use super::super::read::{RawKind, RawSink};
use super::super::{DynamicSink, Format};
use super::{Flow, Resolver};

impl Resolver<'_> {
    /// The topics that `sink` may write to, in the order of their names. Those that do not exist are left out.
    fn targets(&self, sink: &RawSink) -> Vec<TopicIndex> {
        let read = |name: &str| {
            self.raw.iter().any(|node| {
                matches!(&node.kind, RawKind::Source { topics, .. } if topics.iter().any(|topic| topic.text == name))
            })
        };
        // In the order of their names, and each once.
        let named = |name: &str| match &sink.of {
            Some(topics) => topics.iter().any(|topic| topic.text == name),
            None => !read(name),
        };
        self.names.iter().filter(|(name, _)| named(name)).map(|(_, topic)| *topic).collect()
    }

    /// The formats that all targets of `sink` take; none where they differ.
    pub(super) fn targets_take(&self, sink: &RawSink) -> Option<(Format, Format)> {
        let targets = self.targets(sink);
        let mut formats = targets.iter().map(|topic| &self.file.topics[topic.0]).map(|topic| (topic.key, topic.value));
        let first = formats.next()?;
        formats.all(|other| other == first).then_some(first)
    }

    pub(super) fn dynamic_sink(&mut self, name: &str, sink: &RawSink, input: Flow) -> Option<NodeKind> {
        for topic in sink.of.iter().flatten() {
            self.topic(name, "writes", topic);
        }
        let targets = self.targets(sink);
        targets.iter().for_each(|topic| self.used[topic.0] = true);
        if targets.is_empty() && sink.of.is_none() {
            let message = format!("node `{name}` has no topic to write to: nodes read every topic that is declared");
            let help = "declare another under `topics:`, or name those that it may write with `of: [TOPIC]`";
            self.diagnostics.error(sink.topic.span, message, help);
        }
        for &target in &targets {
            self.target_takes(name, sink, target, input);
        }
        let topic = self.mapping(&sink.topic, input)?;
        Some(NodeKind::DynamicSink(DynamicSink { topic, targets }))
    }

    /// Refuses a target whose format is not that of the rows: with bytes for a topic of anything nothing is wrong.
    fn target_takes(&mut self, name: &str, sink: &RawSink, target: TopicIndex, input: Flow) {
        let topic = &self.file.topics[target.0];
        let parts = [("keys", input.key, topic.key), ("values", input.value, topic.value)];
        let unfit = |(_, have, takes): &(&str, Option<Format>, Format)| {
            *takes != Format::Bytes && have.is_some_and(|have| have != *takes)
        };
        let Some((part, Some(have), takes)) = parts.into_iter().find(unfit) else { return };
        let topic = &topic.name.text;
        let message = format!("node `{name}` may write to topic `{topic}`, whose {part} are {takes}; these are {have}");
        let named = sink.of.iter().flatten().find(|other| other.text == *topic);
        let help = match named {
            Some(_) => format!("make them {takes} by a map before, or leave it out"),
            None => "name the topics that it may write: `sink: { topic: EXPR, of: [TOPIC] }`".to_owned(),
        };
        self.diagnostics.error(named.unwrap_or(&sink.topic).span, message, help);
    }
}
