//! Joins: the table or the stream on the right side, and what is made of both.

use super::super::model::{Input, NodeKind};
use super::super::read::{RawJoin, RawKind, RawNode};
use super::super::{Format, Join, Joined, StreamJoin, TableJoin};
use super::stores::StoreUse;
use super::{Flow, Resolver};
use crate::expression::compile_joiner;

impl<'a> Resolver<'a> {
    /// The table or stream that `node` is joined with, if it is a join.
    pub(super) fn right(&mut self, node: &'a RawNode) -> Option<Input> {
        let (RawKind::Join(join) | RawKind::JoinTables(join)) = &node.kind else { return None };
        let right = self.reads(node, &join.right)?;
        let target = &self.raw[right.node.0];
        let name = &target.name.text;
        match (&target.kind, &join.within) {
            (RawKind::ToTable(_), None) => Some(right),
            (RawKind::Bad, _) => None,
            (RawKind::ToTable(_), Some(within)) => {
                let message =
                    format!("`within` joins two streams, and node `{}` is joined with `{name}`, a table", node.shown());
                let help = format!("remove `within`, or join what `{name}` is made of");
                self.diagnostics.error(within.span, message, help);
                None
            }
            (_, Some(_)) => Some(right),
            (_, None) => {
                let message = format!("node `{}` is joined with `{name}`, which is no table", node.shown());
                let help = format!(
                    "add `NODE: {{ from: {name}, to-table: STORE }}` and join NODE, or `within: 10s` to join two streams"
                );
                self.diagnostics.error(join.right.span, message, help);
                None
            }
        }
    }

    pub(super) fn join(
        &mut self,
        index: usize,
        join: &'a RawJoin,
        sides: (Flow, Flow),
        stores: &StoreUse,
    ) -> (Option<NodeKind>, Flow) {
        let (value, output) = self.joined(index, join, sides);
        let (how, right_first) = (join.how, false);
        let kind = || {
            let Some(within) = join.within else {
                return Some(NodeKind::Join(Box::new(Join { table: stores.own?, how, value: value?, right_first })));
            };
            let (left, right, waiting) = stores.join?;
            let (within, value) = (within.times, value?);
            Some(NodeKind::StreamJoin(Box::new(StreamJoin { left, right, waiting, how, within, value, right_first })))
        };
        (kind(), output)
    }

    pub(super) fn join_tables(
        &mut self,
        index: usize,
        join: &'a RawJoin,
        sides: (Flow, Flow),
        stores: &StoreUse,
    ) -> (Option<NodeKind>, Flow) {
        let (value, output) = self.joined(index, join, sides);
        let kind = || {
            let (left, right) = (stores.left?, stores.own?);
            let join = TableJoin { left, right, how: join.how, value: value?, sees_left: false, sees_right: false };
            Some(NodeKind::JoinTables(Box::new(join)))
        };
        (kind(), output)
    }

    /// What makes the values of a join, and what is known of its rows.
    fn joined(&mut self, index: usize, join: &'a RawJoin, (input, right): (Flow, Flow)) -> (Option<Joined>, Flow) {
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
        // Neither side's window is one of both.
        let windowed = join.within.is_none() && input.formats().2;
        let (key, left_format, _) = input.formats();
        let right_format = right.formats().1;
        let value = match &join.value {
            None => Some(Joined::Both { left: left_format, right: right_format }),
            Some(source) => {
                let compiled = compile_joiner(&source.text, key, left_format, right_format, windowed);
                self.compiled(source, compiled).map(|joiner| Joined::Expression { joiner, format })
            }
        };
        let closes_ms = input.closes_ms.filter(|_| join.within.is_none());
        let output = Flow { key: input.key, value: Some(format), closes_ms };
        (value, output)
    }
}
