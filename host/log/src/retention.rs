use std::collections::BTreeMap;

/// How long rows of a topic stay, by Kafka's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// `retention.bytes`: of each partition; none: no bound.
    pub bytes: Option<u64>,
    /// `retention.ms`: after the youngest timestamp of a segment's rows; none: for ever.
    pub ms: Option<i64>,
    /// `cleanup.policy` names `delete`: the two above count.
    pub deletes: bool,
}

impl Retention {
    /// The retention among the settings of a topic, all of which must be known.
    pub fn of(settings: &BTreeMap<String, String>, compacted: bool) -> Result<Self, String> {
        let mut retention = Self { deletes: !compacted, ..Self::default() };
        for (name, value) in settings {
            let number = || match value.parse::<i64>() {
                Ok(-1) => Ok(None),
                Ok(number) if number >= 0 => Ok(Some(number)),
                _ => Err(format!("setting `{name}` is `{value}`, not a number from -1 (no bound) on")),
            };
            match name.as_str() {
                "retention.bytes" => retention.bytes = number()?.map(i64::unsigned_abs),
                "retention.ms" => retention.ms = number()?,
                "cleanup.policy" => retention.deletes = deletes(value, compacted)?,
                _ => {
                    return Err(format!(
                        "the embedded log has no setting `{name}`; it knows `cleanup.policy`, \
                         `retention.bytes` and `retention.ms`"
                    ));
                }
            }
        }
        Ok(retention)
    }
}

/// What a topic is cleaned by, as Kafka writes it.
pub(crate) fn cleanup_policy(settings: &BTreeMap<String, String>, compacted: bool) -> String {
    let default = if compacted { "compact" } else { "delete" };
    settings.get("cleanup.policy").map_or(default, String::as_str).to_owned()
}

/// Whether a `cleanup.policy` names `delete`; it must name `compact` if the topic is compacted.
fn deletes(policy: &str, compacted: bool) -> Result<bool, String> {
    let names: Vec<&str> = policy.split(',').map(str::trim).collect();
    if let Some(unknown) = names.iter().find(|name| !["compact", "delete"].contains(name)) {
        return Err(format!("setting `cleanup.policy` names `{unknown}`; there are `compact` and `delete`"));
    }
    if names.contains(&"compact") != compacted {
        return Err(format!("setting `cleanup.policy` is `{policy}`, but the topic is to be compacted: {compacted}"));
    }
    Ok(names.contains(&"delete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Result<Retention, String> {
        Retention::of(&BTreeMap::from([(name.to_owned(), value.to_owned())]), false)
    }

    #[test]
    fn settings_are_known_by_name_and_others_are_refused() {
        assert_eq!(of("retention.bytes", "7"), Ok(Retention { bytes: Some(7), ms: None, deletes: true }));
        assert_eq!(of("retention.ms", "-1"), Ok(Retention { deletes: true, ..Retention::default() }));
        assert!(of("retention.ms", "soon").unwrap_err().contains("`soon`"));
        assert!(of("max.message.bytes", "1").unwrap_err().contains("no setting `max.message.bytes`"));
    }

    #[test]
    fn a_compacted_topic_may_delete_as_well_and_must_say_that_it_is_compacted() {
        let of = |policy: &str, compacted| {
            let settings = BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
            Retention::of(&settings, compacted).map(|retention| retention.deletes)
        };
        assert_eq!(
            (of("compact,delete", true), of("compact", true), of("delete", false)),
            (Ok(true), Ok(false), Ok(true))
        );
        assert!(of("compact,delete", false).unwrap_err().contains("compacted: false"));
        assert!(of("shrink", true).unwrap_err().contains("`shrink`"));
    }
}
