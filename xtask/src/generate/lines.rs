use super::random::Random;

/// Words of which rank `n` comes `1/n` as often as the first, as in natural language.
const WORDS: u64 = 20_000;
const FREQUENT: [&str; 12] = ["the", "stream", "of", "water", "to", "a", "and", "river", "in", "weir", "that", "flows"];

pub struct Lines {
    /// The sum of `1/n`.
    harmonic: f64,
}

impl Lines {
    pub fn new() -> Self {
        Self { harmonic: (1..=WORDS).map(|rank| 1.0 / rank as f64).sum() }
    }

    /// Line `number`.
    pub fn row(&self, number: u64, random: &mut Random) -> String {
        let words: Vec<String> = (0..4 + random.below(12)).map(|_| self.word(random)).collect();
        let mut line = words.join(if random.below(9) == 0 { ", " } else { " " });
        line[..1].make_ascii_uppercase();
        let end = [".", "!", "?", ""][random.below(4) as usize];
        format!("{{\"key\":\"line-{number}\",\"value\":\"{line}{end}\"}}")
    }

    fn word(&self, random: &mut Random) -> String {
        // The inverse of a harmonic sum is an exponential, near enough.
        let rank = ((random.unit() * self.harmonic).exp() as u64).clamp(1, WORDS) - 1;
        FREQUENT.get(rank as usize).map_or_else(|| format!("word{rank}"), |word| (*word).to_owned())
    }
}
