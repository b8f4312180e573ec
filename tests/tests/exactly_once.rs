//! Exactly once, on a real Apache Kafka, while hosts are killed, frozen and cut off from the broker.
//!
//! Every test puts numbered orders in, disturbs the hosts, and then reads all committed verdicts: each order has its verdict
//! once, under its key, in the order of its key. Moments are random; `WEIR_SEED` repeats the choice of them, not the timing.

use std::ops::Range;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::application::Application;
use weir_tests::host::{HostOptions, WeirHost};
use weir_tests::kafka::Isolation;
use weir_tests::proxy::{Action, ApiKey, Direction, Rule};

const READY_WAIT: Duration = Duration::from_secs(60);
/// Verdicts that have not come so long after the last disturbance never will.
const VERDICTS_WAIT: Duration = Duration::from_secs(90);
/// The group expels a member that was not heard of for so long.
const SESSION_TIMEOUT_MS: u64 = 6_000;

/// A host that the group expels soon.
fn member(application: &Application, host: &str) -> HostOptions {
    application.host(host).kafka_property("session.timeout.ms", &SESSION_TIMEOUT_MS.to_string())
}

/// Random moments; what they are is told by the seed.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let given = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        println!("WEIR_SEED={seed}");
        Self(seed)
    }

    fn wait(&mut self, millis: Range<u64>) {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        thread::sleep(Duration::from_millis(millis.start + z % (millis.end - millis.start)));
    }
}

fn join(producer: JoinHandle<Result<()>>) -> Result<()> {
    producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))?
}

#[test]
fn every_verdict_comes_exactly_once_while_hosts_are_killed() -> Result<()> {
    const ORDERS: u64 = 200_000;
    const KILLS_ALONE: usize = 8;
    const KILLS_BESIDE: usize = 4;
    let application = Application::of_orders("kills")?;
    let mut moments = Moments::new();
    let mut first = WeirHost::start_ready(&member(&application, "a"), READY_WAIT)?;
    let producer = application.produce(0..ORDERS, 5_000);
    // Alone, what is open after the kill was open at the kill.
    let mut open_at_kill = 0;
    for kill in 0..KILLS_ALONE {
        moments.wait(300..1500);
        // A random moment meets an open transaction as often as the load has it; every second kill is sure to.
        if kill % 2 == 1 {
            freeze_with_open_transaction(&application, &first)?;
        }
        first.kill()?;
        open_at_kill += usize::from(application.kafka.has_open_transaction(&application.output())?);
        first = WeirHost::start_ready(&member(&application, "a"), READY_WAIT)?;
    }
    // Two hosts: each kill moves partitions to the one that stays, each start moves some back. Some are started anew at
    // once, some after the group has given their partitions away.
    let mut hosts = [Some(first), Some(WeirHost::start_ready(&member(&application, "b"), READY_WAIT)?)];
    for kill in 0..KILLS_BESIDE {
        moments.wait(1000..4000);
        let host = &mut hosts[kill % 2];
        host.take().map(WeirHost::kill).transpose()?;
        moments.wait(10..SESSION_TIMEOUT_MS + 3000);
        *host = Some(WeirHost::start_ready(&member(&application, ["a", "b"][kill % 2]), READY_WAIT)?);
    }
    join(producer)?;
    application.check(0..ORDERS, VERDICTS_WAIT)?;
    println!(
        "{} kills, {open_at_kill} of the {KILLS_ALONE} alone with an open transaction",
        KILLS_ALONE + KILLS_BESIDE
    );
    ensure!(open_at_kill * 2 >= KILLS_ALONE, "only {open_at_kill} of {KILLS_ALONE} kills met an open transaction");
    for host in hosts.into_iter().flatten() {
        host.terminate()?;
    }
    Ok(())
}

#[test]
fn a_zombie_that_wakes_after_its_partitions_moved_commits_nothing() -> Result<()> {
    const ORDERS: u64 = 60_000;
    let application = Application::of_orders("zombie")?;
    let mut zombie = WeirHost::start_ready(&member(&application, "zombie"), READY_WAIT)?;
    let producer = application.produce(0..ORDERS, 4_000);
    let mut moments = Moments::new();
    moments.wait(1000..1500);
    // Frozen with a transaction open: what it has written there must never be seen.
    let frozen = freeze_with_open_transaction(&application, &zombie)?;
    let second = WeirHost::start_ready(&member(&application, "second"), READY_WAIT)?;
    let committed_before = application.kafka.end_offsets(&application.output(), Isolation::Committed)?;
    weir_tests::wait::until("the second host commits in the zombie's place", READY_WAIT, || {
        let now = application.kafka.end_offsets(&application.output(), Isolation::Committed)?;
        Ok(now.iter().zip(&committed_before).all(|(now, before)| now > before).then_some(()))
    })?;
    println!("the second host had all partitions {:?} after the freeze", frozen.elapsed());
    zombie.thaw()?;
    join(producer)?;
    application.check(0..ORDERS, VERDICTS_WAIT)?;
    // It has rejoined the group, or has ended with a reason; it must not hang.
    zombie
        .wait_ready(READY_WAIT)
        .or_else(|_| zombie.exit_status()?.map(drop).context("the zombie is neither ready nor gone"))?;
    second.terminate()?;
    Ok(())
}

fn freeze_with_open_transaction(application: &Application, host: &WeirHost) -> Result<Instant> {
    weir_tests::wait::until("the host is frozen with an open transaction", READY_WAIT, || {
        host.freeze()?;
        // What it had sent is answered by then, an end of the transaction too.
        thread::sleep(Duration::from_millis(20));
        if application.kafka.has_open_transaction(&application.output())? {
            return Ok(Some(Instant::now()));
        }
        host.thaw()?;
        thread::sleep(Duration::from_millis(7));
        Ok(None)
    })
}

#[test]
fn requests_of_a_commit_that_are_delayed_dropped_or_cut_lose_and_double_nothing() -> Result<()> {
    const ORDERS: u64 = 60_000;
    let application = Application::of_orders("proxy")?;
    let proxy = application.kafka.proxy()?;
    let options = member(&application, "a").bootstrap(proxy.address()).kafka_property("socket.timeout.ms", "4000");
    let host = WeirHost::start_ready(&options, READY_WAIT)?;
    let producer = application.produce(0..ORDERS, 2_000);
    let mut met = 0;
    for api in [ApiKey::END_TXN, ApiKey::ADD_OFFSETS_TO_TXN, ApiKey::TXN_OFFSET_COMMIT] {
        for direction in [Direction::Request, Direction::Response] {
            for action in [Action::Delay(Duration::from_millis(1500)), Action::Drop, Action::Cut] {
                let rule = proxy.set(Rule::new(api, direction, action).client(application.name()));
                rule.wait_met(1, READY_WAIT).with_context(|| format!("{api:?} {direction:?} {action:?}"))?;
                met += 1;
            }
        }
    }
    join(producer)?;
    application.check(0..ORDERS, VERDICTS_WAIT)?;
    println!("{met} disturbances of a commit");
    host.terminate()?;
    Ok(())
}
