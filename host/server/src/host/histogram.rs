/// Upper bounds of a commit's duration in microseconds.
pub const BOUNDS_US: [i64; 12] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000];

/// How long something took, counted by bounds as Prometheus has it.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// A cell per bound and one for all above.
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: i64,
}

impl Histogram {
    /// Counts `us` microseconds.
    pub fn observe(&mut self, us: i64) {
        self.counts[BOUNDS_US.partition_point(|bound| *bound < us)] += 1;
        self.sum_us += us;
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, by)| *count += by);
        self.sum_us += other.sum_us;
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All together, in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// Each bound in seconds, and how many were at or below it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS_US.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound as f64 / 1e6, *below))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_counts_below_it() {
        let mut histogram = Histogram::default();
        [1_000, 1_001, 99_000_000].into_iter().for_each(|us| histogram.observe(us));
        let buckets: Vec<_> = histogram.buckets().take(2).collect();
        assert_eq!(buckets, [(0.001, 1), (0.0025, 2)]);
        assert_eq!((histogram.count(), histogram.buckets().last().map(|last| last.1)), (3, Some(2)));
    }
}
