//! Splits a line into lower-case words, one record each, keyed by the word.
//!
//! A word is letters, digits and `_`; all else is between words. "the" says too little to be counted, and is dropped.

use weir::prelude::*;

const DROPPED: &str = "the";

#[weir::processor]
fn word_split(line: Str, out: &mut Out<Records>) -> Result<(), Reject> {
    let is_between = |c: char| !c.is_alphanumeric() && c != '_';
    for word in line.split(is_between).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        if word != DROPPED {
            out.record(Str(&word)).key(Str(&word)).emit()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let records = weir::test::run::<word_split>(line).unwrap();
        records.iter().map(|record| record.value_text().into_owned()).collect()
    }

    #[test]
    fn a_line_is_split_at_what_is_no_word() {
        assert_eq!(words("All streams lead to Kafka!"), ["all", "streams", "lead", "to", "kafka"]);
        assert_eq!(words("  snake_case, Größe; 42 -- "), ["snake_case", "größe", "42"]);
        assert_eq!(words("..."), [] as [&str; 0]);
    }

    #[test]
    fn the_is_dropped_and_then_is_not() {
        assert_eq!(words("The weir, the THE then"), ["weir", "then"]);
    }
}
