/// The partition for a row among `partitions` (at least 1), as Kafka's Java client chooses it for keyed records.
///
/// librdkafka's own default is CRC32: it would break every join with topics that Java wrote. A row without a key goes to
/// `round % partitions`; the caller derives `round` from the row's coordinates, so that a replay writes the same rows to the
/// same partitions.
#[must_use]
pub fn partition(key: Option<&[u8]>, round: u64, partitions: i32) -> i32 {
    debug_assert!(partitions >= 1);
    match key {
        Some(key) => partition_of_key(key, partitions),
        None => (round % u64::from(partitions.unsigned_abs())) as i32,
    }
}

/// `toPositive(murmur2(key)) % partitions` of `org.apache.kafka.clients.producer.internals.BuiltInPartitioner`.
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// MurmurHash2 with the Java client's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let (words, tail) = data.as_chunks::<4>();
    let mut hash = SEED ^ data.len() as u32;
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        // The tail's bytes in little-endian order, as the reference's switch with fall-through has it.
        hash ^= tail.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

#[cfg(test)]
mod tests {
    use super::{murmur2, partition, partition_of_key};

    const GOLDEN: &str = include_str!("../../tests/golden/murmur2.txt");

    fn bytes_of_hex(hex: &str) -> Vec<u8> {
        let digits = if hex == "-" { "" } else { hex };
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_key_goes_where_the_java_client_sends_it() {
        let mut checked = 0;
        for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
            let (key, numbers) = line.split_once(' ').unwrap();
            let key = bytes_of_hex(key);
            let expected: Vec<i32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
            let mut actual = vec![murmur2(&key)];
            actual.extend([1, 4, 7, 128].map(|partitions| partition_of_key(&key, partitions)));
            assert_eq!(actual, expected, "{line}");
            checked += 1;
        }
        assert!(checked > 300, "only {checked} golden keys");
    }

    #[test]
    fn null_keys_go_round_robin_and_leave_keyed_ones_alone() {
        let partitions: Vec<i32> = (0..5).map(|round| partition(None, round, 3)).collect();
        assert_eq!(partitions, [0, 1, 2, 0, 1]);
        assert_eq!(partition(Some(b"21"), 7, 3), partition_of_key(b"21", 3));
    }
}
