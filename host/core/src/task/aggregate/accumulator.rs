//! The built-in functions: what they keep for a key and window, and what they make of it.
//!
//! A cell is empty (no row yet) or a tag and what follows; an object's accumulator is its cells, each after its length.

use crate::expression::{Datum, ExpressionError};
use crate::record::Rows;
use crate::topology::{Aggregate, Builtin, Format, Function};

const INT: u8 = b'i';
const DOUBLE: u8 = b'd';
const TEXT: u8 = b's';
const BYTES: u8 = b'b';
const JSON: u8 = b'j';
const BOOL: u8 = b'?';

/// What the functions of an aggregate need of one row, evaluated once however many windows it is in. Empty: the row has
/// nothing to look at.
#[derive(Default)]
pub(super) struct Inputs(Vec<Datum>);

impl Inputs {
    /// Of the function at `index`.
    fn of(&self, index: usize) -> &Datum {
        self.0.get(index).unwrap_or(&Datum::Null)
    }
}

/// The functions of an aggregate, if they are built in.
pub(super) fn functions(function: &Function) -> Option<Vec<&Builtin>> {
    match function {
        Function::One(one) => Some(vec![one]),
        Function::Object(fields) => Some(fields.iter().map(|(_, builtin)| builtin).collect()),
        Function::Plugin(_) => None,
    }
}

/// Evaluates what the functions need of row `row`.
pub(super) fn inputs(function: &Function, rows: &Rows, row: usize) -> Result<Inputs, ExpressionError> {
    let input = |builtin: &Builtin| match builtin {
        Builtin::Count | Builtin::Reduce(_) => Ok(Datum::Null),
        Builtin::Sum(of) | Builtin::Avg(of) => match of.evaluate(rows, row)? {
            number @ (Datum::Int(_) | Datum::Double(_) | Datum::Null) => Ok(number),
            _ => Err(not_a(of.source(), "a number")),
        },
        Builtin::Min(of) | Builtin::Max(of) => match of.evaluate(rows, row)? {
            fit @ (Datum::Int(_) | Datum::Double(_) | Datum::Text(_) | Datum::Null) => Ok(fit),
            _ => Err(not_a(of.source(), "a number or a text")),
        },
        Builtin::First(of) | Builtin::Last(of) => of.evaluate(rows, row),
    };
    functions(function).unwrap_or_default().into_iter().map(input).collect::<Result<_, _>>().map(Inputs)
}

fn not_a(source: &str, what: &str) -> ExpressionError {
    ExpressionError { code: "weir.expression", message: format!("`{source}` is not {what}") }
}

/// The accumulator with row `row` taken in. Null inputs change nothing, but `count` counts the row.
pub(super) fn add(
    aggregate: &Aggregate,
    accumulator: Option<&[u8]>,
    inputs: &Inputs,
    rows: &Rows,
    row: usize,
) -> Result<Vec<u8>, ExpressionError> {
    if let Function::One(one) = &aggregate.function {
        return fold(one, accumulator.unwrap_or_default(), inputs.of(0), (rows, row), aggregate.value_format);
    }
    let builtins = functions(&aggregate.function).unwrap_or_default();
    let mut rest = accumulator.unwrap_or_default();
    let mut out = Vec::with_capacity(rest.len() + builtins.len() * 12);
    for (index, builtin) in builtins.iter().enumerate() {
        let cell = fold(builtin, split_cell(&mut rest), inputs.of(index), (rows, row), aggregate.value_format)?;
        push_cell(&mut out, &cell);
    }
    Ok(out)
}

/// What two sessions have together, the earlier on the left.
pub(super) fn merge(aggregate: &Aggregate, left: &[u8], right: &[u8]) -> Result<Vec<u8>, ExpressionError> {
    let format = aggregate.value_format;
    if let Function::One(one) = &aggregate.function {
        return merge_cells(one, left, right, format);
    }
    let builtins = functions(&aggregate.function).unwrap_or_default();
    let (mut left, mut right, mut out) = (left, right, Vec::new());
    for builtin in builtins {
        let cell = merge_cells(builtin, split_cell(&mut left), split_cell(&mut right), format)?;
        push_cell(&mut out, &cell);
    }
    Ok(out)
}

/// The result of an accumulator, as a value; none: null.
pub(crate) fn result(aggregate: &Aggregate, accumulator: &[u8]) -> Option<Vec<u8>> {
    match &aggregate.function {
        Function::Plugin(_) => Some(accumulator.to_vec()),
        Function::One(Builtin::Reduce(_)) => accumulator.split_first().map(|(_, value)| value.to_vec()),
        Function::One(one) => value(one, accumulator).encode(aggregate.value_format),
        Function::Object(fields) => {
            let mut rest = accumulator;
            let mut object = String::from("{");
            for (name, builtin) in fields {
                let cell = value(builtin, split_cell(&mut rest)).encode(Format::Json);
                let cell = cell.map_or_else(|| "null".to_owned(), |json| String::from_utf8_lossy(&json).into_owned());
                let separator = if object.len() > 1 { "," } else { "" };
                object.push_str(&format!("{separator}{}:{cell}", serde_json::Value::from(name.as_str())));
            }
            object.push('}');
            Some(object.into_bytes())
        }
    }
}

/// The accumulator that has `value` as its result; none: it cannot be told.
pub(crate) fn of_result(function: &Function, value: &[u8]) -> Option<Vec<u8>> {
    match function {
        Function::Plugin(_) => Some(value.to_vec()),
        Function::One(Builtin::Reduce(_)) => Some([&[BYTES], value].concat()),
        Function::One(Builtin::Count) => {
            let count: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
            Some(count.to_le_bytes().to_vec())
        }
        _ => None,
    }
}

fn fold(
    builtin: &Builtin,
    cell: &[u8],
    input: &Datum,
    (rows, row): (&Rows, usize),
    format: Format,
) -> Result<Vec<u8>, ExpressionError> {
    if let Builtin::Reduce(reduction) = builtin {
        let value = rows.values.get(row);
        let reduced = match cell.split_first() {
            None => value.map(<[u8]>::to_vec),
            Some((_, so_far)) => reduction.reduce(so_far, rows, row)?.encode(format),
        };
        return Ok(reduced.map_or_else(Vec::new, |value| [&[BYTES], &value[..]].concat()));
    }
    if let Builtin::Count = builtin {
        return Ok((int(cell) + 1).to_le_bytes().to_vec());
    }
    if *input == Datum::Null {
        return Ok(cell.to_vec());
    }
    Ok(match builtin {
        Builtin::First(_) if !cell.is_empty() => cell.to_vec(),
        Builtin::Sum(_) => encode(&sum(&decode(cell), input)),
        Builtin::Avg(_) => {
            let (count, total) = average(cell);
            [&(count + 1).to_le_bytes()[..], &encode(&sum(&total, input))].concat()
        }
        Builtin::Min(_) | Builtin::Max(_) => best(builtin, decode(cell), input.clone())?,
        _ => encode(input),
    })
}

fn merge_cells(builtin: &Builtin, left: &[u8], right: &[u8], format: Format) -> Result<Vec<u8>, ExpressionError> {
    if left.is_empty() || right.is_empty() {
        return Ok([left, right].concat());
    }
    Ok(match builtin {
        Builtin::Count => (int(left) + int(right)).to_le_bytes().to_vec(),
        Builtin::Sum(_) => encode(&sum(&decode(left), &decode(right))),
        Builtin::Avg(_) => {
            let ((a, left), (b, right)) = (average(left), average(right));
            [&(a + b).to_le_bytes()[..], &encode(&sum(&left, &right))].concat()
        }
        Builtin::Min(_) | Builtin::Max(_) => best(builtin, decode(left), decode(right))?,
        Builtin::First(_) => left.to_vec(),
        Builtin::Last(_) => right.to_vec(),
        Builtin::Reduce(reduction) => {
            // The right side in the place of a row's value.
            let mut batch = crate::record::RecordBatch::default();
            batch.push(0, 0, None, right.split_first().map(|(_, value)| value), &[]);
            let so_far = left.split_first().map_or(&[][..], |(_, value)| value);
            let reduced = reduction.reduce(so_far, &Rows::from_batch(batch), 0)?.encode(format);
            reduced.map_or_else(Vec::new, |value| [&[BYTES], &value[..]].concat())
        }
    })
}

fn value(builtin: &Builtin, cell: &[u8]) -> Datum {
    match builtin {
        Builtin::Count => Datum::Int(int(cell)),
        Builtin::Avg(_) => match average(cell) {
            (0, _) => Datum::Null,
            (count, total) => finite(number(&total) / count as f64),
        },
        Builtin::Reduce(_) => cell.split_first().map_or(Datum::Null, |(_, value)| reduced(value)),
        _ => decode(cell),
    }
}

/// A reduced value as part of an object: JSON where it is, else a text.
fn reduced(value: &[u8]) -> Datum {
    let text = String::from_utf8_lossy(value).into_owned();
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
    if is_json { Datum::Json(text) } else { Datum::Text(text) }
}

fn sum(left: &Datum, right: &Datum) -> Datum {
    match (left, right) {
        (Datum::Null, other) | (other, Datum::Null) => other.clone(),
        (Datum::Int(a), Datum::Int(b)) => a.checked_add(*b).map_or_else(|| finite(*a as f64 + *b as f64), Datum::Int),
        _ => finite(number(left) + number(right)),
    }
}

/// Beyond the greatest number there is the greatest: JSON has no infinity.
fn finite(number: f64) -> Datum {
    Datum::Double(if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) })
}

fn number(datum: &Datum) -> f64 {
    match datum {
        Datum::Int(number) => *number as f64,
        Datum::Double(number) => *number,
        _ => 0.0,
    }
}

fn best(builtin: &Builtin, so_far: Datum, input: Datum) -> Result<Vec<u8>, ExpressionError> {
    let order = match (&so_far, &input) {
        (Datum::Null, _) => return Ok(encode(&input)),
        (_, Datum::Null) => return Ok(encode(&so_far)),
        (Datum::Int(a), Datum::Int(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
        (Datum::Text(_), _) | (_, Datum::Text(_)) => {
            let message = "texts and numbers have no order among one another".to_owned();
            return Err(ExpressionError { code: "weir.expression", message });
        }
        _ => number(&so_far).total_cmp(&number(&input)),
    };
    let keeps = if matches!(builtin, Builtin::Min(_)) { order.is_le() } else { order.is_ge() };
    Ok(encode(if keeps { &so_far } else { &input }))
}

fn encode(datum: &Datum) -> Vec<u8> {
    let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
    match datum {
        Datum::Null => Vec::new(),
        Datum::Bool(truth) => tagged(BOOL, &[u8::from(*truth)]),
        Datum::Int(number) => tagged(INT, &number.to_le_bytes()),
        Datum::Double(number) => tagged(DOUBLE, &number.to_le_bytes()),
        Datum::Text(text) => tagged(TEXT, text.as_bytes()),
        Datum::Bytes(bytes) => tagged(BYTES, bytes),
        Datum::Json(text) => tagged(JSON, text.as_bytes()),
    }
}

fn decode(cell: &[u8]) -> Datum {
    let Some((&tag, bytes)) = cell.split_first() else { return Datum::Null };
    let text = || String::from_utf8_lossy(bytes).into_owned();
    match tag {
        INT => Datum::Int(int(bytes)),
        DOUBLE => Datum::Double(f64::from_bits(int(bytes) as u64)),
        TEXT => Datum::Text(text()),
        JSON => Datum::Json(text()),
        BOOL => Datum::Bool(bytes == [1]),
        _ => Datum::Bytes(bytes.to_vec()),
    }
}

fn average(cell: &[u8]) -> (i64, Datum) {
    cell.split_at_checked(8).map_or((0, Datum::Null), |(count, total)| (int(count), decode(total)))
}

fn int(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

fn push_cell(out: &mut Vec<u8>, cell: &[u8]) {
    out.extend_from_slice(&(cell.len() as u32).to_le_bytes());
    out.extend_from_slice(cell);
}

/// The next cell of an object's accumulator; empty beyond the end.
fn split_cell<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, after)) = rest.split_at_checked(4) else { return &[] };
    let length = length.try_into().map_or(0, u32::from_le_bytes) as usize;
    let Some((cell, after)) = after.split_at_checked(length) else { return &[] };
    *rest = after;
    cell
}
