//! Parts of rows in messages: on one line, and of a length that is known.

use crate::expression::Datum;
use crate::topology::Format;

/// At most `chars_max` characters of `text`, control characters escaped; `…` stands for the rest.
pub(crate) fn text(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars_max));
    for c in text.chars().take(chars_max) {
        if c.is_control() {
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// Likewise what may be text; else its bytes, escaped.
pub(crate) fn bytes(cell: Option<&[u8]>, chars_max: usize) -> String {
    let Some(cell) = cell else { return "null".to_owned() };
    match std::str::from_utf8(cell) {
        Ok(cell) => text(cell, chars_max),
        Err(_) => text(&cell[..cell.len().min(chars_max)].escape_ascii().to_string(), chars_max),
    }
}

/// Likewise a value: text as it is, the rest as JSON.
pub(crate) fn datum(datum: &Datum, chars_max: usize) -> String {
    match datum {
        Datum::Text(found) | Datum::Json(found) => text(found, chars_max),
        other => bytes(other.encode(Format::Bytes).as_deref(), chars_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_of_bounded_length() {
        assert_eq!(text("a\n\u{7}é\"", 10), "a\\n\\u{7}é\"");
        assert_eq!(text("ééé", 2), "éé…");
        assert_eq!((bytes(None, 5), bytes(Some(b""), 5)), ("null".to_owned(), String::new()));
        assert_eq!(bytes(Some(b"a\xff\x00bcdef"), 9), "a\\xff\\x00…");
        assert_eq!(datum(&Datum::Bytes(vec![0xff]), 9), "\\xff");
        assert_eq!(datum(&Datum::Json("[1,\n2]".to_owned()), 9), "[1,\\n2]");
        assert_eq!(datum(&Datum::Null, 9), "null");
    }
}
