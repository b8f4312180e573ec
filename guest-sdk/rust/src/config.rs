use std::ops::Deref;

use serde::de::DeserializeOwned;

use crate::Problem;

/// The node's configuration, read once when the instance is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config<T>(pub T);

impl<T> Deref for Config<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// One value of the node's configuration by JSON pointer, as text; none: there is no such value.
///
/// [`Config`] is the better way: it is checked when the plugin is deployed.
#[must_use]
pub fn value_of(pointer: &str) -> Option<String> {
    crate::boundary::config_get(pointer)
}

/// Reads a configuration. `null`, no configuration at all, is read as `{}` where `T` does not take null.
///
/// # Errors
/// The first mistake, where it is as a JSON pointer.
pub fn configuration<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Problem>> {
    if text.trim() == "null" {
        return serde_json::from_str(text).or_else(|_| parse("{}"));
    }
    parse(text)
}

/// For plugins that take none.
///
/// # Errors
/// Where there is one: it would be ignored, and whoever wrote it would not know.
pub fn no_configuration(text: &str) -> Result<(), Vec<Problem>> {
    if matches!(text.trim(), "null" | "{}") {
        return Ok(());
    }
    Err(vec![Problem { pointer: String::new(), message: "this plugin takes no configuration; remove `config`".into() }])
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Problem>> {
    let mut document = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut document).map_err(|error| {
        let message = error.inner().to_string();
        // Line and column are of the JSON that the host made, not of the file that people wrote.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        vec![Problem { pointer: pointer(error.path()), message }]
    })
}

/// `limits[2].max` as `/limits/2/max`, with `~` and `/` escaped as RFC 6901 says.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => pointer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Limits {
        per_minute: u32,
        of: Vec<u32>,
    }

    fn problem(text: &str) -> (String, String) {
        let problem = configuration::<Limits>(text).unwrap_err().remove(0);
        (problem.pointer, problem.message)
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        assert_eq!(
            problem(r#"{"of":[1,"two"]}"#),
            ("/of/1".into(), r#"invalid type: string "two", expected u32"#.into())
        );
        assert_eq!(problem(r#"{"per/minute":1}"#).0, "/per~1minute");
        assert_eq!(configuration::<Limits>(r#"{"of":[1]}"#).unwrap().of, [1]);
    }

    #[test]
    fn no_configuration_is_the_default_one_and_what_would_be_ignored_is_refused() {
        assert_eq!(configuration::<Limits>("null").unwrap(), Limits::default());
        assert!(no_configuration("null").is_ok());
        assert!(no_configuration(r#"{"of":1}"#).is_err());
    }
}
