//! Joins: the table on the right side, and what is made of both.

use super::super::model::{Input, NodeKind};
use super::super::read::{RawJoin, RawKind, RawNode};
use super::super::{Format, Join, Joined, StoreIndex};
use super::{Flow, Resolver};
use crate::expression::compile_joiner;

impl<'a> Resolver<'a> {
    /// The table that `node` is joined with, if it is a join.
    pub(super) fn right(&mut self, node: &'a RawNode) -> Option<Input> {
        let RawKind::Join(join) = &node.kind else { return None };
        let right = self.reads(node, &join.right)?;
        let target = &self.raw[right.node.0];
        match target.kind {
            RawKind::ToTable(_) => Some(right),
            RawKind::Bad => None,
            _ => {
                let name = &target.name.text;
                let message = format!("node `{}` is joined with `{name}`, which is no table", node.shown());
                let help = format!("add `NODE: {{ from: {name}, to-table: STORE }}` and join NODE");
                self.diagnostics.error(join.right.span, message, help);
                None
            }
        }
    }

    pub(super) fn join(
        &mut self,
        index: usize,
        join: &'a RawJoin,
        input: Flow,
        right: Flow,
        table: Option<StoreIndex>,
    ) -> (Option<NodeKind>, Flow) {
        if let (Some(left), Some(other)) = (input.key, right.key)
            && left != other
        {
            let message = format!(
                "keys of format {left} are joined with `{}`, whose keys are of format {other}",
                join.right.text
            );
            self.diagnostics.error(
                join.right.span,
                message,
                "declare `key:` alike for both topics, or map one of them",
            );
        }
        let of_sinks = self.sinks_take(index).map(|(_, value)| value);
        let format = join.value_format.or(join.value.as_ref().and(of_sinks)).unwrap_or(Format::Json);
        let (key, left_format, windowed) = input.formats();
        let right_format = right.formats().1;
        let value = match &join.value {
            None => Some(Joined::Both { left: left_format, right: right_format }),
            Some(source) => {
                let compiled = compile_joiner(&source.text, key, left_format, right_format, windowed);
                self.compiled(source, compiled).map(|joiner| Joined::Expression { joiner, format })
            }
        };
        let output = Flow { key: input.key, value: Some(format), closes_ms: input.closes_ms };
        let kind =
            || Some(NodeKind::Join(Box::new(Join { table: table?, how: join.how, value: value?, right_first: false })));
        (kind(), output)
    }
}
