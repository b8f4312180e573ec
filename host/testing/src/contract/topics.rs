//! Topics as a whole: what is known of them, and their end.

use weir_core::ports::TransportError;
use weir_core::record::TopicName;

use super::{Fixture, Setup, batch, eventually, new_topic};

/// The identity outlives a new client, and nothing else has it.
pub fn a_topic_is_described_and_another_of_its_name_has_another_identity(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 2);
    let client = setup.client();
    let unknown = TopicName::from(fixture.unique("unknown").as_str());
    let topics = [setup.input.clone(), setup.output.clone(), unknown.clone()];
    let facts = client.describe(&topics).unwrap();
    assert_eq!(facts.keys().collect::<std::collections::BTreeSet<_>>(), topics[..2].iter().collect());
    let (input, output) = (&facts[&setup.input], &facts[&setup.output]);
    assert_eq!((input.partitions, output.partitions), (2, 3));
    assert_ne!(input.id, output.id);
    assert_eq!(setup.client().describe(&topics).unwrap(), facts, "another client is told the same");
    setup.feed(0, &["old", "old"]);
    assert_eq!(client.delete_topic(&unknown), Ok(false));
    assert_eq!(client.delete_topic(&setup.input), Ok(true));
    assert_eq!(client.delete_topic(&setup.input), Ok(false));
    assert_eq!(client.describe(std::slice::from_ref(&setup.input)), Ok(Default::default()));
    eventually("its name is free", || match client.create_topic(&new_topic(&setup.input, 1)) {
        Ok(created) => created.then_some(()),
        Err(TransportError::Retriable(_)) => None,
        Err(error) => panic!("create again: {error}"),
    });
    let again = client.describe(std::slice::from_ref(&setup.input)).unwrap().remove(&setup.input).unwrap();
    assert_eq!(again.partitions, 1);
    assert_ne!(again.id, input.id);
    assert_eq!(client.offsets(&setup.input(0)), Ok((0, 0)), "nothing of the old one is in it");
    assert_eq!(client.append(&setup.input(0), &batch(&["new"])), Ok(vec![0]));
}

/// Compaction alone, or beside deletion by time and offset.
pub fn a_topic_says_how_it_is_cleaned(fixture: &dyn Fixture) {
    let setup = Setup::new(fixture, 1);
    let client = setup.client();
    let policy = |compacted: bool, settings: &[(&str, &str)]| {
        let mut topic = new_topic(&TopicName::from(fixture.unique("cleaned").as_str()), 1);
        topic.compacted = compacted;
        topic.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(client.create_topic(&topic), Ok(true));
        let facts = client.describe(std::slice::from_ref(&topic.name)).unwrap().remove(&topic.name).unwrap();
        (facts.settings.get("cleanup.policy").cloned(), facts.settings.get("retention.ms").cloned())
    };
    assert_eq!(policy(false, &[]).0.as_deref(), Some("delete"));
    assert_eq!(policy(true, &[]).0.as_deref(), Some("compact"));
    let both = policy(true, &[("cleanup.policy", "compact,delete"), ("retention.ms", "-1")]);
    assert_eq!(both, (Some("compact,delete".to_owned()), Some("-1".to_owned())));
}
