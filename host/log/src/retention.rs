use std::collections::BTreeMap;

/// How long rows of a plain topic stay, by Kafka's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// `retention.bytes`: of each partition; none: no bound.
    pub bytes: Option<u64>,
    /// `retention.ms`: after the youngest timestamp of a segment's rows; none: for ever.
    pub ms: Option<i64>,
}

impl Retention {
    /// The retention among a topic's settings, all of which must be known.
    pub fn of(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut retention = Self::default();
        for (name, value) in settings {
            let number = || match value.parse::<i64>() {
                Ok(-1) => Ok(None),
                Ok(number) if number >= 0 => Ok(Some(number)),
                _ => Err(format!("setting `{name}` is `{value}`, not a number from -1 (no bound) on")),
            };
            match name.as_str() {
                "retention.bytes" => retention.bytes = number()?.map(i64::unsigned_abs),
                "retention.ms" => retention.ms = number()?,
                _ => {
                    return Err(format!(
                        "the embedded log has no setting `{name}`; it knows `retention.bytes` and `retention.ms`"
                    ));
                }
            }
        }
        Ok(retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Result<Retention, String> {
        Retention::of(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn settings_are_known_by_name_and_others_are_refused() {
        assert_eq!(of("retention.bytes", "7"), Ok(Retention { bytes: Some(7), ms: None }));
        assert_eq!(of("retention.ms", "-1"), Ok(Retention::default()));
        assert!(of("retention.ms", "soon").unwrap_err().contains("`soon`"));
        assert!(of("max.message.bytes", "1").unwrap_err().contains("no setting `max.message.bytes`"));
    }
}
