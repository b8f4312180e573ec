//! The oracle's fixture against the real Kafka Streams: questions are understood, answers belong to their cases.

use weir_tests::Oracle;
use weir_tests::oracle::{Case, Emit, Function, Input, Operation, Side, WindowKind, Windowed, generate};

fn row(key: &str, value: &str, at: i64) -> Input {
    Input::Row { side: Side::Left, key: Some(key.to_owned()), value: Some(value.to_owned()), at }
}

fn lines(oracle: &mut Oracle, operation: Operation, inputs: &[Input]) -> anyhow::Result<Vec<String>> {
    let answers = oracle.ask(&[Case { operation, inputs: inputs.to_vec() }])?;
    assert_eq!(answers[0].fails, None);
    Ok(answers[0].records.iter().map(ToString::to_string).collect())
}

fn tumbling(retention_ms: Option<i64>) -> Operation {
    let window = WindowKind::Tumbling { size_ms: 10 };
    let function = Function::Texts;
    Operation::Windowed(Windowed { function, window, grace_ms: 0, retention_ms, emit: Emit::Close })
}

#[test]
fn kafka_streams_tells_what_each_operation_emits() {
    let mut oracle = Oracle::from_env().unwrap();
    let inputs = [row("a", "x:1", 5), row("a", "y:ü", 3)];
    assert_eq!(lines(&mut oracle, Operation::Aggregate, &inputs).unwrap(), ["a = x:1; @ 5", "a = x:1;y:ü; @ 5"]);
    assert_eq!(lines(&mut oracle, Operation::Reduce, &inputs).unwrap(), ["a = x:1 @ 5", "a = x:1y:ü @ 5"]);
    assert_eq!(lines(&mut oracle, Operation::RekeyCount, &inputs).unwrap(), ["x = 1 @ 5", "y = 1 @ 3"]);
    let session = Windowed {
        function: Function::Texts,
        window: WindowKind::Session { gap_ms: 2 },
        grace_ms: 10,
        retention_ms: None,
        emit: Emit::Update,
    };
    let expected = ["a@5/5 = x:1; @ 5", "a@5/5 = null @ 5", "a@3/5 = x:1;y:ü; @ 5"];
    assert_eq!(lines(&mut oracle, Operation::Windowed(session), &inputs).unwrap(), expected);
}

/// Why the generator gives windows that are emitted on close a long retention.
#[test]
fn kafka_streams_loses_windows_that_stream_time_jumps_past_unless_it_keeps_them_long() {
    let mut oracle = Oracle::from_env().unwrap();
    let inputs = [row("a", "1", 0), row("a", "2", 20), row("a", "3", 30), row("a", "4", 50)];
    assert_eq!(lines(&mut oracle, tumbling(None), &inputs).unwrap(), ["a@20/30 = 2; @ 20"]);
    let all = ["a@0/10 = 1; @ 0", "a@20/30 = 2; @ 20", "a@30/40 = 3; @ 30"];
    assert_eq!(lines(&mut oracle, tumbling(Some(1_000)), &inputs).unwrap(), all);
}

#[test]
fn many_cases_asked_at_once_are_answered_as_each_alone() {
    let mut oracle = Oracle::from_env().unwrap();
    let cases: Vec<Case> = (0..300).map(generate).collect();
    let together = oracle.ask(&cases).unwrap();
    assert!(together.iter().all(|answer| answer.fails.is_none()));
    assert!(together.iter().filter(|answer| !answer.records.is_empty()).count() > 250);
    let mut other = Oracle::from_env().unwrap();
    for (case, answer) in cases.iter().zip(&together).step_by(10) {
        assert_eq!(&other.ask(std::slice::from_ref(case)).unwrap()[0], answer, "{case}");
    }
}

#[test]
fn a_configuration_that_kafka_streams_refuses_is_answered_with_its_reason() {
    let mut oracle = Oracle::from_env().unwrap();
    let case = Case { operation: tumbling(Some(1)), inputs: vec![row("a", "1", 0)] };
    let answers = oracle.ask(&[case, Case { operation: Operation::Reduce, inputs: vec![row("a", "1", 0)] }]).unwrap();
    assert!(answers[0].fails.as_deref().unwrap().contains("retention period"), "{:?}", answers[0]);
    assert_eq!(answers[1].records.len(), 1);
}
