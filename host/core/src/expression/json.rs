//! JSON text, written piece by piece.

use super::Datum;

/// `{"name":…}`, each value written by `write`.
pub(super) fn object<'a, T, E>(
    out: &mut String,
    fields: impl IntoIterator<Item = (&'a str, T)>,
    mut write: impl FnMut(T, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    out.push('{');
    for (at, (name, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        text(name, out);
        out.push(':');
        write(value, out)?;
    }
    out.push('}');
    Ok(())
}

/// `[…]`, each value written by `write`.
pub(super) fn list<T, E>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    out.push('[');
    for (at, value) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(value, out)?;
    }
    out.push(']');
    Ok(())
}

/// `text` in quotes.
pub(super) fn text(text: &str, out: &mut String) {
    // Only a writer or a map with names that are no text could fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A value; none: bytes, which JSON cannot carry.
pub(super) fn datum(datum: &Datum, out: &mut String) -> Option<()> {
    match datum {
        Datum::Null => out.push_str("null"),
        Datum::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Datum::Int(number) => out.push_str(&number.to_string()),
        Datum::Double(number) => out.push_str(&serde_json::to_string(number).unwrap_or_default()),
        Datum::Text(string) => text(string, out),
        Datum::Json(json) => out.push_str(json),
        Datum::Bytes(_) => return None,
    }
    Some(())
}
