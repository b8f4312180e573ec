use super::case::{CaseReport, Verdict};

/// The cases of an application as JUnit's XML, which CI systems read.
#[must_use]
pub fn junit(application: &str, cases: &[CaseReport]) -> String {
    let failures = cases.iter().filter(|case| case.verdict == Verdict::Failed).count();
    let took: u64 = cases.iter().map(|case| case.took_ms).sum();
    let name = escaped(application);
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{}\"", cases.len(), seconds(took));
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    xml.push_str(&format!("  <testsuite name=\"{name}\" {counts}>\n"));
    for case in cases {
        let opened = format!(
            "    <testcase name=\"{}\" classname=\"{name}\" time=\"{}\"",
            escaped(&case.name),
            seconds(case.took_ms)
        );
        if case.verdict == Verdict::Failed {
            let message = case.problems.first().map_or("", String::as_str);
            let (message, text) = (escaped(message), escaped(&case.problems.join("\n")));
            xml.push_str(&format!(
                "{opened}>\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n"
            ));
        } else {
            xml.push_str(&format!("{opened}/>\n"));
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// Text for an attribute or between tags. XML has no way to write most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_with_their_text_escaped() {
        let case = |name: &str, verdict, problems: &[&str]| CaseReport {
            name: name.to_owned(),
            verdict,
            lines: 1,
            runs: 2,
            took_ms: 1_005,
            problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
        };
        let cases = [case("good", Verdict::Passed, &[]), case("a<b", Verdict::Failed, &["x \"1\" & \u{1}", "y"])];
        let wanted = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"2\" failures=\"1\" errors=\"0\" time=\"2.010\">\n  \
             <testsuite name=\"shop\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"2.010\">\n    \
             <testcase name=\"good\" classname=\"shop\" time=\"1.005\"/>\n    \
             <testcase name=\"a&lt;b\" classname=\"shop\" time=\"1.005\">\n      \
             <failure message=\"x &quot;1&quot; &amp; \u{fffd}\">x &quot;1&quot; &amp; \u{fffd}\ny</failure>\n    \
             </testcase>\n  </testsuite>\n</testsuites>\n";
        assert_eq!(junit("shop", &cases), wanted);
    }
}
