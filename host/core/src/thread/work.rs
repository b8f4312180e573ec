//! Taking rows through the tasks, and asking for the commit of what that did.

use std::collections::BTreeSet;

use super::transaction::{Open, Transaction};
use super::{Effect, StreamThread, WallTime, swap_record};
use crate::ports::Outgoing;
use crate::task::{Stepped, Task, TaskId};
use crate::thread::{Report, ReportKind};

/// What a row costs beside its bytes, for the bound of a transaction.
const ROW_BYTES: usize = 32;

impl StreamThread {
    /// Takes what waits through the tasks, each in its turn, until nothing waits or the transaction is full.
    pub(super) fn work(&mut self, now: WallTime, effects: &mut Vec<Effect>) {
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        self.fire_timers(&ids, now, effects);
        loop {
            let mut idle = true;
            for &id in &ids {
                if !self.takes_rows() {
                    return;
                }
                if let Some(stepped) = self.step_task(id, now) {
                    idle = false;
                    self.take_in(id, stepped, now, effects);
                    self.commit_if_full(now, effects);
                }
            }
            if idle {
                break;
            }
        }
        self.commit_if_due(now, effects);
    }

    fn takes_rows(&self) -> bool {
        !self.stopping && self.starts.is_empty() && matches!(self.transaction, Transaction::Idle | Transaction::Open(_))
    }

    /// Timers of the host's clock that are due.
    fn fire_timers(&mut self, ids: &[TaskId], now: WallTime, effects: &mut Vec<Effect>) {
        for &id in ids {
            if !self.takes_rows() {
                return;
            }
            let fired = self.task_with(id, now).and_then(|(task, mut environment)| task.tick(&mut environment));
            if let Some(stepped) = fired {
                self.take_in(id, stepped, now, effects);
                self.commit_if_full(now, effects);
            }
        }
    }

    fn step_task(&mut self, id: TaskId, now: WallTime) -> Option<Stepped> {
        let rows_max = self.config.batch_rows_max;
        let (task, mut environment) = self.task_with(id, now)?;
        task.step(rows_max, &mut environment)
    }

    fn take_in(&mut self, id: TaskId, stepped: Stepped, now: WallTime, effects: &mut Vec<Effect>) {
        if stepped.wrote {
            self.join(id, now, effects);
        }
        for outgoing in stepped.outgoing {
            self.produce(outgoing, effects);
        }
        let failed = stepped.reports.iter().any(|report| matches!(report.kind, ReportKind::Failed { .. }));
        effects.extend(stepped.reports.into_iter().map(Effect::Report));
        if let Some(task) = self.tasks.get(&id).filter(|_| failed) {
            effects.push(Effect::Pause(task.partitions()));
        }
    }

    /// Makes `id` part of the transaction, which begins with its first task.
    pub(super) fn join(&mut self, id: TaskId, now: WallTime, effects: &mut Vec<Effect>) {
        if self.transaction == Transaction::Idle {
            self.transaction = Transaction::Open(Open { began: now, wrote: BTreeSet::new(), bytes: 0 });
            effects.push(Effect::Begin);
        }
        let Transaction::Open(open) = &mut self.transaction else { return };
        if open.wrote.insert(id)
            && let Some(record) =
                self.tasks.get(&id).and_then(|task| swap_record::make(&self.topology, &self.partitions, task))
        {
            self.produce(record, effects);
        }
    }

    fn produce(&mut self, outgoing: Outgoing, effects: &mut Vec<Effect>) {
        if let Transaction::Open(open) = &mut self.transaction {
            let cells = outgoing.rows.keys.iter().chain(outgoing.rows.values.iter());
            let bytes: usize = cells.map(|cell| cell.map_or(0, <[u8]>::len)).sum();
            open.bytes += bytes + outgoing.rows.len() * ROW_BYTES;
        }
        effects.push(Effect::Produce(outgoing));
    }

    fn commit_if_full(&mut self, now: WallTime, effects: &mut Vec<Effect>) {
        let Transaction::Open(open) = &self.transaction else { return };
        let written = open.wrote.iter().filter_map(|id| self.tasks.get(id)).map(Task::written_bytes);
        if open.bytes + written.sum::<usize>() >= self.config.transaction_bytes_max {
            self.commit(now, effects);
        }
    }

    pub(super) fn commit_if_due(&mut self, now: WallTime, effects: &mut Vec<Effect>) {
        let interval = self.config.commit_interval_us;
        if matches!(&self.transaction, Transaction::Open(open) if now.micros_since(open.began) >= interval) {
            self.commit(now, effects);
        }
    }

    /// Asks for the commit of the open transaction; nothing happens where there is none.
    pub(super) fn commit(&mut self, now: WallTime, effects: &mut Vec<Effect>) {
        let Transaction::Open(open) = &self.transaction else { return };
        let wrote = open.wrote.clone();
        for &id in &wrote {
            let flushed = self.task_with(id, now).map(|(task, mut environment)| task.flush(&mut environment));
            match flushed {
                Some(Ok(stepped)) => self.take_in(id, stepped, now, effects),
                Some(Err(report)) => return self.give_up(id, *report, effects),
                None => {}
            }
        }
        for outgoing in wrote.iter().filter_map(|id| self.tasks.get(id)).flat_map(Task::changes).collect::<Vec<_>>() {
            effects.push(Effect::Produce(outgoing));
        }
        let tasks = wrote.iter().filter_map(|id| self.tasks.get(id));
        effects.push(Effect::Commit(tasks.flat_map(|task| task.positions()).collect()));
        self.transaction = Transaction::Committing { since: now, wrote };
    }

    /// What a task would send with the commit does not pass a node: nothing of the transaction can be committed. The task has
    /// stopped; the others do their work again.
    fn give_up(&mut self, id: TaskId, report: Report, effects: &mut Vec<Effect>) {
        effects.push(Effect::Report(report));
        self.abort(Some(id), effects);
    }

    /// Aborts the open transaction. It held the work of all tasks, so all go back to their last commit; `stopped` waits there.
    pub(super) fn abort(&mut self, stopped: Option<TaskId>, effects: &mut Vec<Effect>) {
        effects.push(Effect::Abort);
        self.transaction = Transaction::Idle;
        for task in self.tasks.values_mut() {
            if stopped == Some(task.id) {
                task.go_back();
                effects.push(Effect::Pause(task.partitions()));
            } else {
                if task.reset(None) {
                    effects.push(Effect::Resume(task.partitions()));
                }
                effects.push(Effect::Seek(task.offsets()));
            }
        }
        self.settle(effects);
    }

    /// What comes once no transaction is open any more: partitions that wait for it are released, versions that wait for
    /// it are swapped in, and a thread that is to stop stops.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        debug_assert_eq!(self.transaction, Transaction::Idle);
        self.release(effects);
        self.swap(effects);
        if self.stopping {
            effects.push(Effect::Stop);
        }
    }
}
