//! Which message meets which fate. A test sets rules while connections run, waits until one has been met, and ends it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::frame::{ApiKey, RequestHeader};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker: the broker has not done it.
    Request,
    /// From the broker to the client: the broker has done it.
    Response,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It arrives later, and so do those behind it on the same connection; a request arrives even if the client has
    /// hung up meanwhile, as one does that is caught in a network. [`RuleHandle::release`] ends the wait.
    Delay(Duration),
    /// It never arrives.
    Drop,
    /// It never arrives, and the connection breaks.
    Cut,
}

/// A rule: by default it concerns the next such message of anybody, once.
#[derive(Clone, Debug)]
pub struct Rule {
    api: ApiKey,
    direction: Direction,
    action: Action,
    client_prefix: String,
    skip: u32,
    times: u32,
}

impl Rule {
    /// What to do to the next request of this kind, or to its answer.
    pub fn new(api: ApiKey, direction: Direction, action: Action) -> Self {
        Self { api, direction, action, client_prefix: String::new(), skip: 0, times: 1 }
    }

    /// Concerns only clients whose `client.id` begins so.
    pub fn client(mut self, prefix: &str) -> Self {
        self.client_prefix = prefix.to_owned();
        self
    }

    /// Lets the first `count` pass.
    pub fn skip(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Concerns so many; `u32::MAX`: all.
    pub fn times(mut self, count: u32) -> Self {
        self.times = count;
        self
    }

    fn concerns(&self, header: &RequestHeader, direction: Direction) -> bool {
        self.api == header.api && self.direction == direction && header.client.starts_with(&self.client_prefix)
    }
}

/// A rule that was set, and what became of it.
#[derive(Debug)]
struct Entry {
    id: u64,
    rule: Rule,
    passed: u32,
    met: u32,
    is_released: bool,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    entries: Vec<Entry>,
}

/// All rules of a proxy, in the order in which they were set: the first that concerns a message decides.
#[derive(Debug, Default)]
pub(super) struct Rules {
    state: Mutex<State>,
    changed: Condvar,
}

impl Rules {
    pub(super) fn add(self: &Arc<Self>, rule: Rule) -> RuleHandle {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.entries.push(Entry { id, rule, passed: 0, met: 0, is_released: false });
        RuleHandle { rules: Arc::clone(self), id }
    }

    /// The fate of a message, and the rule that says so.
    pub(super) fn decide(&self, header: &RequestHeader, direction: Direction) -> Option<(u64, Action)> {
        let mut state = self.lock();
        for entry in &mut state.entries {
            if entry.is_released || entry.met >= entry.rule.times || !entry.rule.concerns(header, direction) {
                continue;
            }
            if entry.passed < entry.rule.skip {
                entry.passed += 1;
                continue;
            }
            entry.met += 1;
            let decision = (entry.id, entry.rule.action);
            self.changed.notify_all();
            return Some(decision);
        }
        None
    }

    /// Waits as a delayed message does: for its time, or until the rule is released.
    pub(super) fn hold(&self, id: u64, delay: Duration) {
        let is_held = |state: &mut State| state.entries.iter().any(|entry| entry.id == id && !entry.is_released);
        let result = self.changed.wait_timeout_while(self.lock(), delay, is_held);
        drop(result.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn release_all(&self) {
        self.lock().entries.iter_mut().for_each(|entry| entry.is_released = true);
        self.changed.notify_all();
    }

    /// A thread that panicked with the lock held has left counters behind, nothing worse.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rule in force. To let go of the handle changes nothing: the rule stays.
#[derive(Debug)]
pub struct RuleHandle {
    rules: Arc<Rules>,
    id: u64,
}

impl RuleHandle {
    /// How many messages have met this rule.
    pub fn met(&self) -> u32 {
        self.rules.lock().entries.iter().find(|entry| entry.id == self.id).map_or(0, |entry| entry.met)
    }

    /// Waits until so many messages have met it.
    pub fn wait_met(&self, count: u32, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        let mut state = self.rules.lock();
        loop {
            let Some(entry) = state.entries.iter().find(|entry| entry.id == self.id) else {
                bail!("this rule is not in force any more");
            };
            if entry.met >= count {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (rule, met) = (&entry.rule, entry.met);
                bail!("waited {wait:?} in vain for message {count} to meet {rule:?}: {met} did");
            }
            let (guard, _) = self.rules.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = guard;
        }
    }

    /// Ends the rule: what it delays goes on at once, and nothing more meets it.
    pub fn release(&self) {
        if let Some(entry) = self.rules.lock().entries.iter_mut().find(|entry| entry.id == self.id) {
            entry.is_released = true;
        }
        self.rules.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_txn_of(client: &str) -> RequestHeader {
        RequestHeader { api: ApiKey::END_TXN, version: 1, correlation: 1, client: client.into() }
    }

    fn fates(rules: &Rules, client: &str, count: usize) -> Vec<Option<Action>> {
        let decide = |_| rules.decide(&end_txn_of(client), Direction::Request).map(|(_, action)| action);
        (0..count).map(decide).collect()
    }

    fn drop_end_txn() -> Rule {
        Rule::new(ApiKey::END_TXN, Direction::Request, Action::Drop)
    }

    #[test]
    fn a_rule_concerns_the_next_message_once() {
        let rules = Arc::new(Rules::default());
        let handle = rules.add(drop_end_txn());
        assert_eq!(fates(&rules, "a", 2), [Some(Action::Drop), None]);
        assert_eq!(handle.met(), 1);
    }

    #[test]
    fn only_the_nth_message_of_the_named_client_is_concerned() {
        let rules = Arc::new(Rules::default());
        rules.add(drop_end_txn().client("host-1").skip(1));
        assert_eq!(fates(&rules, "host-2", 3), [None; 3]);
        assert_eq!(fates(&rules, "host-1-thread", 3), [None, Some(Action::Drop), None]);
    }

    #[test]
    fn another_direction_or_another_request_is_not_concerned() {
        let rules = Arc::new(Rules::default());
        rules.add(drop_end_txn());
        assert_eq!(rules.decide(&end_txn_of("a"), Direction::Response), None);
        let fetch = RequestHeader { api: ApiKey::FETCH, ..end_txn_of("a") };
        assert_eq!(rules.decide(&fetch, Direction::Request), None);
    }

    #[test]
    fn a_released_rule_lets_go_of_what_it_holds_and_concerns_nothing_more() {
        let rules = Arc::new(Rules::default());
        let day = Duration::from_secs(86_400);
        let handle = rules.add(Rule::new(ApiKey::END_TXN, Direction::Request, Action::Delay(day)).times(u32::MAX));
        let (id, _) = rules.decide(&end_txn_of("a"), Direction::Request).unwrap();
        let holder = std::thread::spawn({
            let rules = Arc::clone(&rules);
            move || rules.hold(id, day)
        });
        handle.release();
        holder.join().unwrap();
        assert_eq!(fates(&rules, "a", 1), [None]);
    }

    #[test]
    fn waiting_in_vain_for_a_rule_to_be_met_names_the_rule() {
        let rules = Arc::new(Rules::default());
        let error = rules.add(drop_end_txn()).wait_met(1, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("ApiKey(26)"), "{error}");
    }
}
