//! Links of Markdown files to other files: they exist, and so does the heading after `#`.

use std::fs;
use std::path::Path;

use super::Source;

/// Links of this file that lead nowhere. Links to other sites are not followed: a test needs no network.
pub fn broken(source: &Source, root: &Path) -> Vec<String> {
    if !source.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = root.join(&source.path).parent().map(Path::to_path_buf).unwrap_or_default();
    let is_broken = |target: &&str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { root.join(&source.path) } else { folder.join(file) };
        if heading.is_empty() {
            return !path.exists();
        }
        !fs::read_to_string(path).is_ok_and(|text| has_heading(&text, heading))
    };
    let broken = targets(&source.text).into_iter().filter(is_broken);
    broken.map(|target| format!("the link to `{target}` leads nowhere")).collect()
}

/// The targets of `[text](target)` outside of code.
fn targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        // Every second piece between back quotes is code.
        for prose in line.split('`').step_by(2).filter(|_| !is_code) {
            for rest in prose.split("](").skip(1) {
                let target = rest.split(')').next().unwrap_or_default();
                if !target.contains("://") && !target.starts_with("mailto:") {
                    targets.push(target);
                }
            }
        }
    }
    targets
}

/// Whether some heading's anchor is this: lower case, blanks as hyphens, no punctuation.
fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter_map(|line| line.strip_prefix('#')).any(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').eq(anchor.chars())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_in(text: &str) -> Vec<String> {
        broken(&Source { path: "README.md".to_owned(), text: text.to_owned() }, &super::super::root())
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_is_found() {
        assert_eq!(broken_in("see [the map](host/NOWHERE.md)"), ["the link to `host/NOWHERE.md` leads nowhere"]);
        assert!(broken_in("see [the licence](LICENSE) and [them](https://example.org/x)").is_empty());
    }

    #[test]
    fn a_link_to_a_heading_that_is_not_there_is_found() {
        assert_eq!(broken_in("[x](tests/bench/README.md#no-such-heading)").len(), 1);
    }

    #[test]
    fn code_is_not_searched_for_links() {
        assert!(broken_in("```\n[a](b)\n```\n`[c](d)`").is_empty());
    }

    #[test]
    fn an_anchor_is_its_heading_without_blanks_and_punctuation() {
        assert!(has_heading("# A\n## Speed, in short\n", "speed-in-short"));
        assert!(!has_heading("# A\n", "b"));
    }
}
