use std::sync::Arc;

use proptest::prelude::*;

use super::cel::Cel;
use super::{Expression, Scope, compile, compile_mapping};
use crate::record::{RecordBatch, Rows};
use crate::topology::Format;

type Headers<'a> = &'a [(&'a [u8], Option<&'a [u8]>)];

fn rows(key: Option<&[u8]>, value: Option<&[u8]>, headers: Headers<'_>) -> Rows {
    let mut batch = RecordBatch::default();
    batch.push(7, 1_000, key, value, headers);
    Rows::from_batch(batch)
}

fn scope(key: Format, value: Format) -> Scope {
    Scope { key, value, windowed: false, aggregate: None, right: None, item: false }
}

fn on_json(source: &str, value: &str) -> Result<bool, String> {
    let expression =
        compile(source, Format::String, Format::Json, false).unwrap_or_else(|error| panic!("{source}: {error}"));
    expression.matches(&rows(Some(b"k1"), Some(value.as_bytes()), &[]), 0).map_err(|error| error.to_string())
}

fn mistake(source: &str) -> (usize, String, String) {
    let error = compile(source, Format::Bytes, Format::Json, false).unwrap_err();
    (error.offset, error.message, error.help)
}

#[test]
fn numbers_compare_across_int_and_double() {
    for (source, value, passes) in [
        ("value.price > 10", r#"{"price":10.5}"#, true),
        ("value.price > 10", r#"{"price":10}"#, false),
        ("value.price >= 10", r#"{"price":10}"#, true),
        ("value.price == 10", r#"{"price":10.0}"#, true),
        ("value.price == 10.0", r#"{"price":10}"#, true),
        ("value.price < 10.5", r#"{"price":10}"#, true),
        ("value.price > -1", r#"{"price":0}"#, true),
        ("value.price == 18446744073709551615u", r#"{"price":18446744073709551615}"#, true),
        ("10 < value.price", r#"{"price":11}"#, true),
        ("value.price * 2 > 10", r#"{"price":6}"#, true),
        ("value.price * 2.0 > 10.0", r#"{"price":5.5}"#, true),
    ] {
        assert_eq!(on_json(source, value), Ok(passes), "{source} on {value}");
    }
}

#[test]
fn the_language_does_what_its_users_know() {
    let order =
        r#"{"state":"CREATED","lines":[{"sku":"a","n":1},{"sku":"b","n":3}],"ship":{"country":"SE"},"note":null}"#;
    for (source, passes) in [
        ("value.state == 'CREATED'", true),
        (r#"value.state == "CREATED" && value.ship.country in ["SE", "NO"]"#, true),
        ("has(value.state) && !has(value.gone)", true),
        ("has(value.gone) && value.gone > 3", false),
        ("value.note == null", true),
        ("value.lines.exists(line, line.n > 2)", true),
        ("value.lines.all(line, line.n > 2)", false),
        ("value.lines.filter(line, line.n > 2).size() == 1", true),
        ("size(value.lines) == 2 && size(value.ship) == 1", true),
        ("value.lines[1].sku == 'b'", true),
        ("value['state'].startsWith('CRE') && value.state.matches('^[A-Z]+$')", true),
        ("'state' in value", true),
        ("value.ship == value.ship && value.ship != value.lines[0]", true),
        ("type(value.state) == string", true),
        ("value.lines[0].n == 1 ? value.ship.country == 'SE' : false", true),
        ("key == 'k1' && timestamp == 1000", true),
        ("value.map(name, name)[0] == 'lines'", true),
    ] {
        assert_eq!(on_json(source, order), Ok(passes), "{source}");
    }
}

#[test]
fn a_failure_says_what_and_names_no_value_of_the_row() {
    for (source, value, message) in [
        ("value.gone == 1", r#"{"a":"secret"}"#, "weir.expression: `value.gone == 1`: there is no field `gone`"),
        (
            "value.a.b == 1",
            r#"{"a":"secret"}"#,
            "weir.expression: `value.a.b == 1`: `.` does not take string and string",
        ),
        ("value.a > 1", r#"{"a":"secret"}"#, "weir.expression: `value.a > 1`: `>` does not take string and int"),
        ("value[value.a] == 1", r#"{"a":"secret"}"#, "weir.expression: `value[value.a] == 1`: there is no such field"),
        ("value.a", r#"{"a":"secret"}"#, "weir.expression: `value.a` is a string, not true or false"),
        ("value.a / 0 == 1", r#"{"a":1}"#, "weir.expression: `value.a / 0 == 1`: division by zero"),
        (
            "int(value.a) == 1",
            r#"{"a":"secret"}"#,
            "weir.expression: `int(value.a) == 1`: its parts do not fit together",
        ),
        ("value.a == 1", r#"{"a":secret}"#, "weir.decode: the value is not JSON: expected value at line 1 column 6"),
        ("value.a == 1", r#"{"a":1} 2"#, "weir.decode: the value is not JSON: trailing characters at line 1 column 9"),
        ("value.a == 1", "", "weir.decode: the value is not JSON: EOF while parsing a value at line 1 column 0"),
    ] {
        assert_eq!(on_json(source, value), Err(message.to_owned()));
    }
}

#[test]
fn a_tombstone_is_null_and_has_no_fields() {
    let tombstone = rows(None, None, &[]);
    let matches = |source| compile(source, Format::Json, Format::Json, false).unwrap().matches(&tombstone, 0);
    assert_eq!(matches("value == null && key == null"), Ok(true));
    assert_eq!(matches("value != null && value.state == 'CREATED'"), Ok(false));
    assert_eq!(matches("value.state == 'CREATED'").unwrap_err().code, "weir.expression");
}

#[test]
fn only_the_parts_that_are_named_are_decoded() {
    let broken = rows(Some(b"\xff"), Some(b"{"), &[(b"trace", Some(b"on")), (b"trace", Some(b"off"))]);
    let matches = |source| compile(source, Format::String, Format::Json, false).unwrap().matches(&broken, 0);
    assert_eq!(matches("timestamp > 0 && headers.trace == 'off'"), Ok(true));
    assert_eq!(matches("key == 'x'").unwrap_err().to_string(), "weir.decode: the key is not UTF-8 from byte 0");
    assert_eq!(matches("timestamp > 0 || value.x == 1").unwrap_err().code, "weir.decode");
    let bytes = compile("value == b'{' && key.size() == 1", Format::Bytes, Format::Bytes, false).unwrap();
    assert_eq!(bytes.matches(&broken, 0), Ok(true));
}

#[test]
fn mistakes_are_found_before_a_row_is_and_point_at_their_place() {
    for (source, offset, message, help) in [
        ("valeu.x == 1", 0, "there is no variable `valeu`", "did you mean `value`?"),
        (
            "state == 'NEW'",
            0,
            "there is no variable `state`",
            "a field of the value is `value.state`; there are key, value, timestamp, headers",
        ),
        ("value.x == 1 && siez(value.y) > 1", 16, "there is no function `siez`", "did you mean `size`?"),
        ("value.x = 1", 8, "`=` compares nothing", "write `==`"),
        ("value.x <> 1", 8, "`<>` is no operator", "write `!=`"),
        ("value.x == 1 and value.y == 2", 13, "`and` is no operator", "write `&&`"),
        ("value.x == 1 & value.y == 2", 13, "a single `&` or `|` is no operator", "write `&&` or `||`"),
        ("value.x ==", 10, "this expression ends too early", ""),
        ("", 0, "this expression ends too early", ""),
        ("value.lines.all(line, lien.n > 1)", 22, "there is no variable `lien`", "did you mean `line`?"),
        ("key.id == 1", 0, "`key` is not JSON and has no fields", "write `key: json` where the topic is declared"),
        ("value.x + 1", 0, "this is neither true nor false", "compare it with something"),
        (
            "value.x == {'a': 1}",
            11,
            "a map can be written only where it is the result",
            "compare the fields one by one",
        ),
    ] {
        assert_eq!(mistake(source), (offset, message.to_owned(), help.to_owned()), "{source}");
    }
}

/// JSON that says something, JSON that hardly does, and texts that are none.
fn values() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (-3i64..3).prop_map(|n| n.to_string()),
        (-3i64..3).prop_map(|n| format!("{n}.0")),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        Just("18446744073709551615".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        Just("01".to_owned()),
        "[ab]{0,2}".prop_map(|text| format!("\"{text}\"")),
        Just(r#""\u0061""#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#""\x""#.to_owned()),
    ];
    let value = scalar.prop_recursive(4, 24, 4, |inner| {
        let name =
            prop_oneof![Just("a"), Just("b"), Just(r"\u0061"), Just("c"), Just("$serde_json::private::RawValue")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name, inner), 0..4).prop_map(|fields| {
                let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    prop_oneof![
        8 => value.clone(),
        1 => (value.clone(), any::<prop::sample::Index>()).prop_map(|(mut text, at)| {
            text.truncate(text.floor_char_boundary(at.index(text.len() + 1)));
            text
        }),
        1 => (value, "[\\]}, x]").prop_map(|(text, tail)| text + &tail),
        1 => (120usize..136).prop_map(|depth| format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(depth), "]".repeat(depth))),
    ]
}

fn comparisons() -> impl Strategy<Value = String> {
    let literal = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("1u".to_owned()),
        Just("1.0".to_owned()),
        Just("-2.5".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("18446744073709551615u".to_owned()),
        Just("'a'".to_owned()),
        Just("''".to_owned()),
    ];
    let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let path = prop::sample::select(vec!["value.a", "value.a.b", "value.b.a.c", "value.a.a"]);
    (path, operator, literal, any::<bool>()).prop_map(|(path, operator, literal, turned)| {
        if turned { format!("{literal} {operator} {path}") } else { format!("{path} {operator} {literal}") }
    })
}

fn tests() -> impl Strategy<Value = String> {
    comparisons().prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["&&", "||"]), inner)
            .prop_map(|(a, operator, b)| format!("({a}) {operator} ({b})"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_way_agrees_with_the_general_one(source in tests(), value in values()) {
        let general = Cel::predicate(&source, scope(Format::Bytes, Format::Json)).unwrap();
        let fast = general.test().expect("the fast way takes it");
        let slow = general.matches(&rows(None, Some(value.as_bytes()), &[]), 0);
        if let Some(passes) = fast.matches(value.as_bytes()) {
            prop_assert_eq!(slow.clone(), Ok(passes), "{} on {}", source, value);
        } else if !source.contains(['&', '|']) {
            // A row that takes both ways is slow, not wrong; of a single comparison there is none without need.
            prop_assert!(slow.is_err(), "{source} on {value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_compiler_panic(source in "[a-z0-9 .()\\[\\]{}<>=!&|?:'\"+*/%,\\\\`é@#\n-]{0,40}") {
        let _ = compile(&source, Format::Json, Format::Json, false);
    }

    #[test]
    fn no_words_make_the_compiler_panic(words in prop::collection::vec(prop::sample::select(vec![
        "value", ".a", "==", "1", "'x'", "has(", "(", ")", "all(", ",", "x", "&&", "!", "[", "]", "{", "}", "?", ":", "in", ".map(", "é", "-", "b'", "size", "key.", "`a`",
    ]), 0..14)) {
        let _ = compile(&words.concat(), Format::Json, Format::Json, false);
        let _ = compile(&words.join(" "), Format::Json, Format::Json, false);
    }
}

#[test]
fn a_deep_expression_is_refused_or_computed_and_never_overflows_the_stack() {
    for depth in [
        super::OPERATORS_MAX / 8,
        super::OPERATORS_MAX / 4,
        super::OPERATORS_MAX / 2 - 2,
        super::OPERATORS_MAX - 3,
        super::EXPRESSION_BYTES_MAX / 3,
    ] {
        for source in [
            format!("value.a{} == 1", "+1".repeat(depth)),
            format!("value{} == 1", ".a".repeat(depth)),
            format!("value{} == 1", "[0]".repeat(depth)),
            format!("{}value.a", "!".repeat(depth)),
            format!("{}value.a == 1", "-".repeat(depth)),
            format!("{}value.a == 1{}", "(".repeat(depth), ")".repeat(depth)),
            format!("value.a == {}{}", "[".repeat(depth), "]".repeat(depth)),
            format!("true{}", "&&true".repeat(depth)),
            format!("true{}", "?true:true".repeat(depth)),
            format!("value.a{} == 1", ".size()".repeat(depth)),
            format!("1{}", " in 1".repeat(depth)),
            format!("{}value.a{}", "{'a':".repeat(depth), "}".repeat(depth)),
            "x".repeat(super::EXPRESSION_BYTES_MAX + 1),
        ] {
            if let Ok(expression) = compile(&source, Format::Json, Format::Json, false) {
                let _ = expression.matches(&rows(None, Some(br#"{"a":1}"#), &[]), 0);
            }
            if let Ok(mapping) = compile_mapping(&source, Format::Json, Format::Json, false) {
                let _ = mapping.evaluate(&rows(None, Some(br#"{"a":1}"#), &[]), 0);
            }
        }
    }
}

#[test]
fn a_pattern_that_is_none_is_found_before_a_row_is() {
    let (offset, message, _) = mistake("value.x == 1 || value.name.matches('[a-')");
    assert_eq!((offset, message.as_str()), (35, "this is no regular expression"));
    assert_eq!(on_json("value.name.matches('^[a-c]+$')", r#"{"name":"abc"}"#), Ok(true));
}

fn compiled(source: &str) -> (Arc<dyn Expression>, Cel) {
    let general = Cel::predicate(source, scope(Format::String, Format::Json)).unwrap();
    (compile(source, Format::String, Format::Json, false).unwrap(), general)
}

/// This thread's time on a CPU: what a busy machine does beside it counts for little.
pub(super) fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

/// `cargo test --release -p weir-core -- --ignored --nocapture a_row_costs`
#[test]
#[ignore = "a measurement"]
fn a_row_costs() {
    const ROWS: usize = 100_000;
    // The best of some: the machine may be busy.
    const ROUNDS: usize = 10;
    let mut batch = RecordBatch::default();
    for row in 0..ROWS {
        let state = if row % 2 == 0 { "CREATED" } else { "SHIPPED" };
        let order = format!(
            r#"{{"id":"order-{row:06}","customerId":{},"state":"{state}","product":"JUMPERS","quantity":{},"price":{}.5}}"#,
            row % 997,
            row % 7,
            row % 100
        );
        batch.push(row as i64, 0, Some(b"k"), Some(order.as_bytes()), &[]);
    }
    let bytes = batch.values.bytes() / ROWS;
    let rows = Rows::from_batch(batch);
    for source in ["value.state == 'CREATED'", "value.price > 10", "value.price > 10 && value.quantity < 5"] {
        let (fast, general) = compiled(source);
        for (way, expression) in [("as compiled", fast.as_ref()), ("general", &general as &dyn Expression)] {
            let mut ns = u64::MAX;
            let mut passed = 0;
            for _ in 0..ROUNDS {
                let start = cpu_ns();
                passed = (0..ROWS).filter(|&row| expression.matches(&rows, row).unwrap()).count();
                ns = ns.min((cpu_ns() - start) / ROWS as u64);
            }
            println!("{source:<40} {way:<12} {ns:>6} ns a row of {bytes} bytes, {passed} passed");
        }
    }
}
