//! Rules about one file's text.

use std::collections::BTreeMap;

use super::Source;

const LINES_MAX: usize = 500;
/// How far above a `sleep` its reason may be.
const REASON_LINES: usize = 3;
/// A header shorter than this says nothing.
const HEADER_CHARS_MIN: usize = 30;

/// Written in two pieces each, so that this file does not break its own rule. Lower case: case does not matter.
const WORDS: &[(&str, &str)] = &[
    ("cla", "ude"),
    ("anthro", "pic"),
    ("chat", "gpt"),
    ("open", "ai"),
    ("copi", "lot"),
    ("ai-gen", "erated"),
    ("ai ag", "ent"),
    ("language ", "model"),
    // Folders that are no part of a clone.
    ("../sha", "red"),
    ("/wor", "k/"),
    // Where packages come from is the business of each machine's settings.
    ("pypi", ".org"),
    ("python", "hosted.org"),
    ("npmjs", ".org"),
    ("repo.maven", ".apache.org"),
    ("repo1.maven", ".org"),
    ("proxy.golang", ".org"),
    ("deb.debian", ".org"),
    ("static.rust-lang", ".org"),
    ("index.crates", ".io"),
];
/// As words of their own and in this case only: they are parts of honest words.
const EXACT_WORDS: &[(&str, &str)] = &[("L", "LM"), ("LL", "Ms"), ("G", "PT")];

/// Files that are read as a whole: a screen or ten, not more. What a generator wrote into `gen/` nobody reads.
pub fn too_long(source: &Source) -> Vec<String> {
    const CODE: [&str; 10] = [".rs", ".py", ".sh", ".c", ".h", ".java", ".js", ".wit", ".md", ".toml"];
    let count = source.text.lines().count();
    let is_code = CODE.iter().any(|end| source.path.ends_with(end));
    let is_generated = source.path.contains("/gen/");
    if is_code && !is_generated && count > LINES_MAX {
        return vec![format!("{count} lines, at most {LINES_MAX}: move a concern into a file of its own")];
    }
    Vec::new()
}

/// Words that have no place in the project.
pub fn forbidden_words(source: &Source) -> Vec<String> {
    if source.path == "Cargo.lock" {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let lower = line.to_lowercase();
        let word = |(first, second): &(&str, &str)| format!("{first}{second}");
        let mut found: Vec<String> = WORDS.iter().map(word).filter(|word| lower.contains(word)).collect();
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
        found.extend(EXACT_WORDS.iter().map(word).filter(|word| words.contains(&word.as_str())));
        faults.extend(found.into_iter().map(|word| format!("line {}: `{word}` has no place here", number + 1)));
    }
    faults
}

/// A host waits for events; a thread that sleeps instead wakes too late or too often, and must say why it may.
pub fn unexplained_sleep(source: &Source) -> Vec<String> {
    let is_test = ["/tests/", "/tests.rs", "/benches/", "host/testing/"].iter().any(|part| source.path.contains(part));
    if !is_host_code(source) || is_test {
        return Vec::new();
    }
    let lines: Vec<&str> = code_before_tests(&source.text).lines().collect();
    let explained = |at: usize| lines[at.saturating_sub(REASON_LINES)..=at].iter().any(|line| line.contains("//"));
    let sleeps = |line: &str| line.split("//").next().is_some_and(|code| code.contains("sleep("));
    let faults = (0..lines.len()).filter(|&at| sleeps(lines[at]) && !explained(at));
    faults.map(|at| format!("line {}: this sleeps, and no comment above says why it may", at + 1)).collect()
}

/// `lib.rs` and `main.rs` begin with a header.
pub fn missing_header(source: &Source) -> Vec<String> {
    let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|end| source.path.ends_with(end));
    if !is_root {
        return Vec::new();
    }
    let header: String = source.text.lines().map_while(|line| line.strip_prefix("//!")).collect();
    if header.trim().len() < HEADER_CHARS_MIN {
        return vec!["begins without a header: `//!` what it is for, and what it must not know".to_owned()];
    }
    Vec::new()
}

/// Each host crate may have one file for its foreign functions.
pub fn scattered_unsafe(sources: &[Source]) -> Vec<String> {
    let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let allow = concat!("allow(", "unsafe_code");
    for source in sources.iter().filter(|source| is_host_code(source) && source.text.contains(allow)) {
        let crate_folder = source.path.split('/').take(2).collect::<Vec<_>>().join("/");
        files.entry(crate_folder).or_default().push(&source.path);
    }
    let scattered = files.into_iter().filter(|(_, files)| files.len() > 1);
    scattered
        .map(|(name, files)| format!("{name}: unsafe code in {}: one file may have it", files.join(", ")))
        .collect()
}

fn is_host_code(source: &Source) -> bool {
    source.path.starts_with("host/") && source.path.ends_with(".rs")
}

/// Unit tests are the last thing in a file.
fn code_before_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]").map_or(text, |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_of_501_lines_is_found() {
        assert_eq!(too_long(&source("a.rs", &"\n".repeat(501))).len(), 1);
        assert!(too_long(&source("a.rs", &"\n".repeat(500))).is_empty());
        assert!(too_long(&source("a.jsonl", &"\n".repeat(501))).is_empty());
    }

    #[test]
    fn a_forbidden_word_is_found_in_any_case() {
        let word = concat!("cla", "ude");
        let text = format!("one\nwritten by {}\n", word.to_uppercase());
        assert_eq!(forbidden_words(&source("a.md", &text)), [format!("line 2: `{word}` has no place here")]);
    }

    #[test]
    fn an_abbreviation_is_found_only_as_a_word() {
        assert_eq!(forbidden_words(&source("a.md", concat!("an L", "LM."))).len(), 1);
        assert!(forbidden_words(&source("a.md", concat!("SWAL", "LMENT"))).is_empty());
    }

    #[test]
    fn a_sleep_without_a_reason_is_found() {
        let bare = "fn wait() {\n    let a = 1;\n    let b = 2;\n    let c = 3;\n    thread::sleep(PAUSE);\n}";
        assert_eq!(unexplained_sleep(&source("host/kafka/src/a.rs", bare)).len(), 1);
        let explained = bare.replace("let c = 3;", "// Brokers learn one after the other.");
        assert!(unexplained_sleep(&source("host/kafka/src/a.rs", &explained)).is_empty());
        let in_test = format!("#[cfg(test)]\nmod tests {{ {bare} }}");
        assert!(unexplained_sleep(&source("host/kafka/src/a.rs", &in_test)).is_empty());
        assert!(unexplained_sleep(&source("tests/tests/a.rs", bare)).is_empty());
    }

    #[test]
    fn a_crate_without_a_header_is_found() {
        assert_eq!(missing_header(&source("host/log/src/lib.rs", "//! .\nmod a;")).len(), 1);
        let header = "//! A durable log in this process, behind the same port as Kafka.\n";
        assert!(missing_header(&source("host/log/src/lib.rs", header)).is_empty());
    }

    #[test]
    fn a_second_file_with_unsafe_code_is_found() {
        let text = concat!("#![allow(", "unsafe_code)]");
        let files = ["host/kafka/src/a.rs", "host/kafka/src/b.rs", "host/log/src/a.rs"].map(|path| source(path, text));
        assert_eq!(scattered_unsafe(&files).len(), 1);
    }
}
