//! When a host may trust what it kept on disk: its changelog must be the topic that it was, and nothing may have been removed
//! from it that the host has not seen. Where not, the store is made anew from the changelog, and the log says why.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::Isolation;
use weir_tests::application::{Application, PARTITIONS};
use weir_tests::host::WeirHost;
use weir_tests::wait;
use weir_tests::words::{self, Counts, Told};

const READY_WAIT: Duration = Duration::from_secs(60);
const COUNTS_WAIT: Duration = Duration::from_secs(60);
/// How long a host is away.
const AWAY: Duration = Duration::from_millis(2_500);
const LINES: u64 = 1_000;
const COMPACTED: (&str, &str) = ("cleanup.policy", "compact");

/// The last row of each key.
type Image = BTreeMap<Vec<u8>, Vec<u8>>;

struct Scene {
    application: Application,
    told: Told,
    lines: u64,
}

impl Scene {
    fn new(name: &str) -> Result<Self> {
        let application = Application::new(name, words::topology)?;
        let told = Told::new(&application.kafka, &application.output())?;
        Ok(Self { application, told, lines: 0 })
    }

    fn start(&self) -> Result<WeirHost> {
        WeirHost::start_ready(&self.application.host("a"), READY_WAIT)
    }

    fn changelog(&self) -> String {
        words::changelog(self.application.name())
    }

    /// Puts more lines in; their words are counted on top of `before`. Returns the counts.
    fn count_on(&mut self, host: &WeirHost, mut before: Counts) -> Result<Counts> {
        let numbers = self.lines..self.lines + LINES;
        self.lines += LINES;
        words::produce(&self.application.kafka, &self.application.input(), numbers.clone(), None)?;
        for (word, count) in words::count(numbers) {
            *before.entry(word).or_default() += count;
        }
        self.told.wait(&before, COUNTS_WAIT).with_context(|| host.log())?;
        stores(host, &before)?;
        Ok(before)
    }

    /// Every partition was replayed from the beginning, and the log says `why`.
    fn judge_distrust(&self, host: &WeirHost, why: &str) -> Result<()> {
        let from = host.restored_from(&self.changelog());
        let is_told = |from: &String| from.starts_with("from the beginning") && from.contains(why);
        ensure!(from.len() == PARTITIONS as usize && from.values().all(is_told), "not `{why}`: {from:?}");
        Ok(())
    }

    /// What the changelog comes to, by partition.
    fn image(&self) -> Result<BTreeMap<i32, Image>> {
        let mut image: BTreeMap<i32, Image> = BTreeMap::new();
        for row in self.application.kafka.read_committed(&self.changelog())? {
            let (key, value) = (row.key.context("a change has a key")?, row.value.context("no count was deleted")?);
            image.entry(row.at.partition).or_default().insert(key, value);
        }
        Ok(image)
    }
}

/// The stores of a host hold these counts, at once or soon.
fn stores(host: &WeirHost, counts: &Counts) -> Result<()> {
    wait::until(
        "the stores hold what was counted",
        COUNTS_WAIT,
        || Ok((host.store("counts")? == *counts).then_some(())),
    )
}

fn stop(host: WeirHost) -> Result<()> {
    ensure!(host.terminate()?.success(), "the host did not end well");
    Ok(())
}

#[test]
fn a_store_is_not_trusted_whose_changelog_was_deleted_and_made_again() -> Result<()> {
    let mut scene = Scene::new("remade")?;
    let host = scene.start()?;
    let early = scene.count_on(&host, Counts::new())?;
    let image = scene.image()?;
    scene.count_on(&host, early.clone())?;
    stop(host)?;
    // Somebody puts a copy of early days in its place: it reaches as far as the old one did, so offsets tell nothing.
    let kafka = scene.application.kafka.clone();
    let changelog = scene.changelog();
    let ends = kafka.end_offsets(&changelog, Isolation::Committed)?;
    kafka.delete_topic(&changelog)?;
    kafka.create_topic_with(&changelog, PARTITIONS, &[COMPACTED])?;
    for (partition, rows) in &image {
        let count = rows.len().max(ends[*partition as usize] as usize + 1);
        let rows = rows.iter().cycle().take(count).map(|(key, value)| (Some(key), Some(value)));
        kafka.produce_to(&changelog, Some(*partition), rows, None)?;
    }
    let host = scene.start()?;
    scene.judge_distrust(&host, "the topic was deleted and made again")?;
    stores(&host, &early).context("the store must hold what the new changelog says")?;
    scene.told.expect_after(early.clone());
    scene.count_on(&host, early)?;
    stop(host)?;
    // Deleted, and nobody makes it again: the host does, says so, and counts from nothing.
    kafka.delete_topic(&changelog)?;
    let host = scene.start()?;
    ensure!(host.log().contains("a changelog was gone and is made anew"), "{}", host.log());
    scene.judge_distrust(&host, "the topic was deleted and made again")?;
    stores(&host, &Counts::new())?;
    scene.told.expect_after(Counts::new());
    let counts = scene.count_on(&host, Counts::new())?;
    stop(host)?;
    // And that one is as good as any.
    let host = scene.start()?;
    ensure!(host.replayed()? == 0, "{}", host.log());
    stores(&host, &counts)?;
    stop(host)
}

#[test]
fn a_store_is_trusted_for_half_of_the_time_that_its_changelog_keeps_deletions() -> Result<()> {
    let mut scene = Scene::new("away")?;
    let kafka = scene.application.kafka.clone();
    let host = scene.start()?;
    let counts = scene.count_on(&host, Counts::new())?;
    let changelog = scene.changelog();
    stop(host)?;
    let host = scene.start()?;
    ensure!(host.replayed()? == 0, "all of it was flushed: {}", host.log());
    let counts = scene.count_on(&host, counts)?;
    host.kill()?;
    kafka.set_topic(&changelog, &[COMPACTED, ("delete.retention.ms", "600000")])?;
    thread::sleep(AWAY);
    let host = scene.start()?;
    let from = host.restored_from(&changelog);
    ensure!(from.values().all(|from| !from.starts_with("from the beginning")), "it was away for less: {from:?}");
    let rest = host.replayed()?;
    stores(&host, &counts)?;
    let counts = scene.count_on(&host, counts)?;
    stop(host)?;
    // The same time, of a broker that forgets deletions sooner.
    let keeps = AWAY.as_millis() + 500;
    kafka.set_topic(&changelog, &[COMPACTED, ("delete.retention.ms", &keeps.to_string())])?;
    thread::sleep(AWAY);
    let host = scene.start()?;
    scene.judge_distrust(&host, &format!("deletions that are older than {} ms", keeps / 2))?;
    let all = host.replayed()?;
    ensure!(rest > 0 && all >= rest + words::WORDS, "{all} rows in all, of which {rest} had been the rest");
    stores(&host, &counts)?;
    scene.count_on(&host, counts)?;
    println!("{rest} rows replayed by a host that was away for less, {all} by one that was away for longer");
    stop(host)
}

#[test]
fn a_store_is_made_anew_where_its_changelog_has_nothing_any_more() -> Result<()> {
    let mut scene = Scene::new("cut")?;
    let kafka = scene.application.kafka.clone();
    let host = scene.start()?;
    let counts = scene.count_on(&host, Counts::new())?;
    stop(host)?;
    let host = scene.start()?;
    scene.count_on(&host, counts)?;
    // What was not flushed is in the changelog alone, and goes from there: what is on disk has a gap behind it.
    host.kill()?;
    let changelog = scene.changelog();
    kafka.set_topic(&changelog, &[("cleanup.policy", "compact,delete")])?;
    kafka.delete_records(&changelog, PARTITIONS)?;
    let host = scene.start()?;
    scene.judge_distrust(&host, "the log has no rows any more")?;
    stores(&host, &Counts::new())?;
    scene.told.expect_after(Counts::new());
    scene.count_on(&host, Counts::new())?;
    stop(host)
}
