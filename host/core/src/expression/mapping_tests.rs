use proptest::prelude::*;

use super::cel::Maker;
use super::{Datum, Mapping, Scope, compile, compile_mapping, compile_reduction};
use crate::record::{RecordBatch, Rows};
use crate::topology::Format;

const SCOPE: Scope =
    Scope { key: Format::String, value: Format::Json, windowed: true, aggregate: None, right: None, item: false };

fn rows(key: Option<&[u8]>, value: Option<&[u8]>) -> Rows {
    let mut batch = RecordBatch::default();
    batch.push(7, 1_000, key, value, &[(b"h", Some(b"x"))]);
    Rows { windows: Some(vec![(500, 1_500)]), ..Rows::from_batch(batch) }
}

fn made(source: &str, value: &str) -> Result<Datum, String> {
    let mapping = compile_mapping(source, Format::String, Format::Json, true).map_err(|error| error.to_string())?;
    let (rows, general) = (rows(Some(b"k1"), Some(value.as_bytes())), Maker::compile(source, SCOPE).unwrap());
    let made = mapping.evaluate(&rows, 0);
    assert_eq!(made, general.evaluate(&rows, 0), "the two ways differ on `{source}` of {value}");
    made.map_err(|error| error.to_string())
}

fn mistake(source: &str) -> (String, String) {
    let error = compile_mapping(source, Format::String, Format::Json, false).unwrap_err();
    (error.message, error.help)
}

fn json(text: &str) -> Datum {
    Datum::Json(text.to_owned())
}

fn text(text: &str) -> Datum {
    Datum::Text(text.to_owned())
}

#[test]
fn a_mapping_makes_values_of_every_type() {
    let trade = r#"{"ticker":"A\"B","price":10.50,"size":3,"big":18446744073709551615,"no":null,"tags":["b","a"],"z":{"b":1,"a":2.0}}"#;
    for (source, datum) in [
        ("value.ticker", text("A\"B")),
        ("value.price", Datum::Double(10.5)),
        ("value.size", Datum::Int(3)),
        ("value.big", json("18446744073709551615")),
        ("value.no", Datum::Null),
        ("value.size > 2", Datum::Bool(true)),
        ("value.tags", json(r#"["b","a"]"#)),
        ("value.z", json(r#"{"a":2.0,"b":1}"#)),
        ("value.z.b", Datum::Int(1)),
        ("key", text("k1")),
        ("timestamp", Datum::Int(1_000)),
        ("window.start", Datum::Int(500)),
        ("window.end - window.start", Datum::Int(1_000)),
        ("window", json(r#"{"end":1500,"start":500}"#)),
        ("headers", json(r#"{"h":"x"}"#)),
        ("headers.h", text("x")),
        ("value.price * 2.0", Datum::Double(21.0)),
        ("b'x'", Datum::Bytes(b"x".to_vec())),
        ("{}", json("{}")),
        (
            "{'price': value.price, 'a': key, 'w': window.start, 'n': null, 'l': [1, 2]}",
            json(r#"{"price":10.5,"a":"k1","w":500,"n":null,"l":[1,2]}"#),
        ),
        ("{'price': value.price, 'a': {'b': value.ticker}}", json(r#"{"price":10.5,"a":{"b":"A\"B"}}"#)),
        ("value.size > 2 ? {'large': true} : {'large': false}", json(r#"{"large":true}"#)),
        ("[{'a': 1}, value.z]", json(r#"[{"a":1},{"a":2.0,"b":1}]"#)),
    ] {
        assert_eq!(made(source, trade), Ok(datum), "{source}");
    }
}

#[test]
fn text_has_the_functions_that_text_needs() {
    for (source, datum) in [
        ("value.lowerAscii()", text(" a,b ")),
        ("value.upperAscii()", text(" A,B ")),
        ("value.trim()", text("A,b")),
        ("value.trim().split(',')", json(r#"["A","b"]"#)),
        ("value.trim().split(',').join('-')", text("A-b")),
        ("value.replace(',', ';')", text(" A;b ")),
        ("value.substring(1, 2)", text("A")),
        ("value.charAt(1)", text("A")),
        ("value.indexOf(',') + value.lastIndexOf(',')", Datum::Int(4)),
        ("value.contains('A') && value.endsWith(' ') && value.startsWith(' ')", Datum::Bool(true)),
    ] {
        assert_eq!(made(source, r#"" A,b ""#), Ok(datum), "{source}");
    }
}

#[test]
fn every_function_that_is_offered_exists() {
    for name in super::cel::FUNCTIONS {
        let mut ways = vec![format!("['a'].{name}()"), format!("{name}(1) == int")];
        for arguments in ["", "1", "value", "value, value"] {
            ways.extend([format!("value.{name}({arguments})"), format!("{name}({arguments})")]);
        }
        assert!(ways.iter().any(|way| ["1", r#""true""#].iter().any(|value| made(way, value).is_ok())), "{name}");
    }
}

#[test]
fn a_reduction_sees_the_aggregate_and_the_row() {
    let reduce = |source: &str, aggregate: &str| {
        let reduction = compile_reduction(source, Format::String, Format::Json, Format::Json, false).unwrap();
        reduction
            .reduce(aggregate.as_bytes(), &rows(Some(b"k"), Some(b"{\"n\":3}")), 0)
            .map_err(|error| error.to_string())
    };
    assert_eq!(reduce("{'n': aggregate.n + value.n}", r#"{"n":4}"#), Ok(json(r#"{"n":7}"#)));
    assert_eq!(reduce("aggregate.n > value.n ? aggregate : value", r#"{"n":4}"#), Ok(json(r#"{"n":4}"#)));
    assert_eq!(
        reduce("aggregate.m", r#"{"n":4}"#),
        Err("weir.expression: `aggregate.m`: there is no field `m`".to_owned())
    );
    let text = compile_reduction("aggregate + value", Format::Bytes, Format::String, Format::String, false).unwrap();
    assert_eq!(text.reduce(b"a", &rows(None, Some(b"b")), 0), Ok(Datum::Text("ab".to_owned())));
}

#[test]
fn a_null_is_null_and_its_fields_are_an_error() {
    let evaluate = |source: &str| {
        let mapping = compile_mapping(source, Format::Json, Format::Json, false).unwrap();
        mapping.evaluate(&rows(None, None), 0)
    };
    assert_eq!(evaluate("key"), Ok(Datum::Null));
    assert_eq!(evaluate("{'v': value}"), Ok(json(r#"{"v":null}"#)));
    assert_eq!(evaluate("value.a").unwrap_err().code, "weir.expression");
}

#[test]
fn what_cannot_be_a_value_is_an_error_of_the_row() {
    let failure = |source: &str| made(source, r#"{"zero":0.0,"n":1}"#).unwrap_err();
    assert_eq!(failure("1.0 / value.zero"), "weir.expression: `1.0 / value.zero`: the result is infinite or no number");
    assert_eq!(
        failure("{'b': b'x'}"),
        "weir.expression: `{'b': b'x'}`: bytes are not JSON: `string(…)` makes text of them"
    );
    assert_eq!(failure("type(value.n)"), "weir.expression: `type(value.n)`: a type is no value");
    assert_eq!(
        failure("value.n ? {'a': 1} : {'b': 1}"),
        "weir.expression: `value.n ? {'a': 1} : {'b': 1}`: what stands before `?` is not true or false"
    );
}

#[test]
fn mistakes_in_a_mapping_are_named() {
    let owned = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    assert_eq!(
        mistake("window.start"),
        owned(
            "rows have no window here",
            "`window.start` and `window.end` are there after an aggregate with `window:`"
        )
    );
    assert_eq!(mistake("aggregate.n").0, "there is no `aggregate` here");
    assert_eq!(mistake("{'a': 1, 'a': 2}").0, "this map has two fields `a`");
    assert_eq!(mistake("{value.a: 1}").0, "the names in a map must be text");
    assert_eq!(mistake("{'a': 1}.a").0, "a map can be written only where it is the result");
    assert_eq!(mistake("string").0, "`string` is a type, not a value");
    let windowed = compile_mapping("window.begin", Format::Bytes, Format::Json, true).unwrap_err();
    assert_eq!((windowed.message.as_str(), windowed.length), ("a window has no `begin`", 6));
    assert_eq!(compile("{'a': 1} == value", Format::Json, Format::Json, false).unwrap_err().length, 0);
    assert!(compile("window.start > 5", Format::Json, Format::Json, true).is_ok());
    assert!(compile("value.all(window, window > 5)", Format::Json, Format::Json, false).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn both_ways_make_the_same(
        source in prop::sample::select(vec![
            "value", "value.a", "value.a.b", "key", "{'x': value.a, 'y': value.a.b}", "{'x': {'y': value.b}, 'k': key, 'z': -1}",
        ]),
        value in r#"(\{("a":(1|-0|2\.50|1e400|18446744073709551615|"t\\u00e9"|null|true|\[1,\{\}\]|\{"b":(1|"x")\}),?){0,2}("b":"\\"")?\}|[0-9a-z."]{0,4})"#,
    ) {
        let _ = made(source, &value);
    }
}

/// `cargo test --release --workspace --lib -- --ignored --nocapture a_mapping_costs`
#[test]
#[ignore = "a measurement"]
fn a_mapping_costs() {
    const ROWS: usize = 20_000;
    // The best of some: the machine may be busy.
    const ROUNDS: usize = 10;
    let mut batch = RecordBatch::default();
    for row in 0..ROWS {
        let trade = format!(
            r#"{{"type":"B","ticker":"TICK{}","price":{}.5,"size":{},"time":{},"venue":{{"name":"XSTO","lot":1}}}}"#,
            row % 997,
            row % 100,
            row % 7,
            1_700_000_000_000_u64 + row as u64
        );
        batch.push(row as i64, 0, Some(b"k"), Some(trade.as_bytes()), &[]);
    }
    let bytes = batch.values.bytes() / ROWS;
    let rows = Rows::from_batch(batch);
    for source in
        ["value.price", "value.ticker", "value.venue.lot", "key", "{'price': value.price, 'size': value.size}"]
    {
        let mapping = compile_mapping(source, Format::String, Format::Json, false).unwrap();
        let general = Maker::compile(source, SCOPE).unwrap();
        for (way, mapping) in [("as compiled", mapping.as_ref()), ("general", &general as &dyn Mapping)] {
            let round = || {
                let start = super::tests::cpu_ns();
                (0..ROWS).for_each(|row| drop(std::hint::black_box(mapping.evaluate(&rows, row).unwrap())));
                (super::tests::cpu_ns() - start) / ROWS as u64
            };
            let ns = (0..ROUNDS).map(|_| round()).min().unwrap();
            println!("{source:<42} {way:<12} {ns:>6} ns a row of {bytes} bytes");
        }
    }
}
