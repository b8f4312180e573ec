/// Chooses partitions as Kafka's Java client does for keyed records; null keys go round robin.
///
/// librdkafka's own default is CRC32: it would break every join with topics that Java wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Partitioner {
    next: u32,
}

impl Partitioner {
    /// The partition for a key among `partitions` (at least 1).
    pub fn partition(&mut self, key: Option<&[u8]>, partitions: i32) -> i32 {
        if let Some(key) = key {
            return partition_of_key(key, partitions);
        }
        let partition = self.next % partitions.unsigned_abs();
        self.next = self.next.wrapping_add(1);
        partition as i32
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
