//! What a call returned, held against what it was given.

use crate::ports::{Output, Trap, TrapKind};
use crate::record::{Cells, HeaderCells, Rows};

/// How many of the call's `count` rows were taken, if the output is one: every part fits the others, and no row both
/// succeeds and fails.
pub(crate) fn check(output: &Output, count: usize) -> Result<usize, Trap> {
    let taken = output.taken.map_or(count, |taken| taken as usize);
    if !(1..=count).contains(&taken) {
        return Err(malformed(format!(
            "it took {taken} of {count} rows: at least one must be taken, and no more than there are"
        )));
    }
    let outputs = output.rows.len();
    let lengths = [
        ("ports", output.ports.as_ref().map(Vec::len)),
        ("keys", output.keys.as_ref().map(|column| column.len())),
        ("values", output.values.as_ref().map(|column| column.len())),
        ("timestamps", output.timestamps.as_ref().map(Vec::len)),
        ("headers", output.headers.as_ref().map(|headers| headers.len())),
    ];
    for (part, length) in lengths {
        if let Some(length) = length.filter(|&length| length != outputs) {
            return Err(malformed(format!("`{part}` has {length} cells for {outputs} outputs")));
        }
    }
    if let Some(at) = output.rows.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(malformed(format!("`rows` decreases after output {at}")));
    }
    // Sorted, so the last is the highest.
    if let Some(&row) = output.rows.last().filter(|&&row| row as usize >= taken) {
        return Err(malformed(format!("an output names row {row}, but {taken} rows were taken")));
    }
    for reject in &output.rejects {
        if reject.row as usize >= taken {
            return Err(malformed(format!("a reject names row {}, but {taken} rows were taken", reject.row)));
        }
        if output.rows.binary_search(&reject.row).is_ok() {
            return Err(malformed(format!("row {} is both in the outputs and rejected", reject.row)));
        }
    }
    Ok(taken)
}

fn malformed(message: String) -> Trap {
    Trap { kind: TrapKind::Malformed, message, backtrace: String::new(), row: None }
}

/// The output's rows, each with what it inherits of its row in `given`. The output must have passed [`check`].
pub(crate) fn rows(output: Output, given: &Rows) -> (Rows, Option<Vec<u32>>) {
    let identity = output.rows.len() == given.len() && output.rows.iter().copied().eq(0..given.len() as u32);
    let chosen = &output.rows;
    let inherit = |cells: &Cells| if identity { cells.clone() } else { cells.select(chosen) };
    let headers = match output.headers {
        Some(headers) => Some(HeaderCells::all(headers.into())),
        None if identity => given.headers.clone(),
        None => given.headers.as_ref().map(|headers| headers.select(chosen)),
    };
    let rows = Rows {
        keys: output.keys.map_or_else(|| inherit(&given.keys), Cells::from),
        values: output.values.map_or_else(|| inherit(&given.values), Cells::from),
        timestamps: output
            .timestamps
            .unwrap_or_else(|| chosen.iter().map(|&row| given.timestamps[row as usize]).collect()),
        headers,
        windows: if identity {
            given.windows.clone()
        } else {
            given.windows.as_ref().map(|windows| chosen.iter().map(|&row| windows[row as usize]).collect())
        },
        olds: None,
        origins: chosen.iter().map(|&row| given.origins[row as usize]).collect(),
    };
    debug_assert!(rows.origins.is_sorted());
    (rows, output.ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Reject;
    use crate::record::{Column, RecordBatch};

    fn given() -> Rows {
        let mut batch = RecordBatch::default();
        for offset in 0..3 {
            batch.push(offset, 10 + offset, Some(b"k"), Some(b"v"), &[(b"h", None)]);
        }
        Rows::from_batch(batch)
    }

    #[test]
    fn an_output_that_contradicts_itself_is_malformed() {
        let reject = |row| Reject { row, code: "c".into(), message: "m".into() };
        let cases = [
            (Output { taken: Some(0), ..Output::default() }, "it took 0 of 3 rows"),
            (Output { taken: Some(4), ..Output::default() }, "it took 4 of 3 rows"),
            (Output { rows: vec![1, 0], ..Output::default() }, "`rows` decreases after output 0"),
            (Output { rows: vec![3], ..Output::default() }, "an output names row 3"),
            (Output { rows: vec![1], taken: Some(1), ..Output::default() }, "an output names row 1, but 1 rows"),
            (Output { rejects: vec![reject(3)], ..Output::default() }, "a reject names row 3"),
            (Output { rows: vec![0, 1], rejects: vec![reject(1)], ..Output::default() }, "row 1 is both"),
            (Output { rows: vec![0], ports: Some(vec![]), ..Output::default() }, "`ports` has 0 cells for 1 outputs"),
            (Output { rows: vec![0], values: Some(Column::default()), ..Output::default() }, "`values` has 0 cells"),
        ];
        for (output, message) in cases {
            let trap = check(&output, 3).unwrap_err();
            assert_eq!(trap.kind, TrapKind::Malformed);
            assert!(trap.message.contains(message), "{} / {message}", trap.message);
        }
    }

    #[test]
    fn absent_columns_inherit_from_the_row_that_caused_the_output() {
        let values: Column = [Some(&b"x"[..]), None].into_iter().collect();
        let output = Output { rows: vec![0, 2], values: Some(values), ..Output::default() };
        assert_eq!(check(&output, 3), Ok(3));
        let (rows, ports) = rows(output, &given());
        assert_eq!((rows.origins.as_slice(), rows.timestamps.as_slice(), ports), (&[0, 2][..], &[10, 12][..], None));
        assert_eq!(rows.keys.iter().collect::<Vec<_>>(), [Some(&b"k"[..]); 2]);
        assert_eq!(rows.values.iter().collect::<Vec<_>>(), [Some(&b"x"[..]), None]);
        assert_eq!(rows.headers.unwrap().row(1).collect::<Vec<_>>(), [(&b"h"[..], None)]);
    }
}
