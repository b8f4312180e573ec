//! What Kafka Streams makes of a few rows: an operation, then `a row => what follows from it`.

use super::{Line, Operation, Row};

/// An operation, and rows with what follows from each.
type Example = (Operation, Vec<(Line, Vec<Row>)>);

pub(crate) fn all() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in TEXT.lines().filter(|line| line.starts_with(char::is_alphanumeric)) {
        match line.split_once(" =>") {
            None => {
                let words: Vec<&'static str> = line.split(' ').collect();
                let number = |at: usize| words[at].parse().unwrap();
                let operation = Operation { how: words[0], before: number(1), after: number(2), grace: number(3) };
                examples.push((operation, Vec::new()));
            }
            Some((row, results)) => {
                let (topic, rest) = row.split_once(' ').unwrap();
                let (key, value, at) = parts(rest);
                let results = results.split_whitespace().map(|result| {
                    let (key, value, at) = parts(result);
                    (key.map(str::to_owned), value.unwrap().to_owned(), at)
                });
                examples.last_mut().unwrap().1.push(((topic, key, value, at), results.collect()));
            }
        }
    }
    examples
}

/// `key=value@time`; `-` is null.
fn parts(text: &'static str) -> (Option<&'static str>, Option<&'static str>, i64) {
    let (key, rest) = text.split_once('=').unwrap();
    let (value, at) = rest.split_once('@').unwrap();
    let null = |text: &'static str| (text != "-").then_some(text);
    (null(key), null(value), at.parse().unwrap())
}

const TEXT: &str = "
# a late row joins as long as the other side shows its partner
inner 5 5 0
left k=a@10 =>
right k=x@12 => k=a|x@12
left k=b@15 => k=b|x@15
right k=y@10 => k=a|y@10 k=b|y@15
right k=x@100 =>
right k=z@16 => k=b|z@16
left k=c@16 =>
left -=c@16 =>
left k=-@16 =>

# at the border of a window that ends with the row: what is no longer shown is lost
inner 5 0 0
right k=x@10 =>
right j=z@15 =>
left k=a@15 =>

# nothing is within nothing
inner 0 0 0
left k=a@10 =>
right k=x@10 =>

# rows wait, leave, and may be joined even then; behind time and without a key they leave at once
left 5 5 0
left k=a@10 =>
right j=x@15 =>
right j=y@16 => k=a|null@10
right k=z@14 => k=a|z@14
left m=b@9 => m=b|null@9
left -=v@40 => -=v|null@40
right -=v@41 =>

# a row that is dropped moves time and closes nothing
left 5 5 0
left k=a@10 =>
left k=-@100 =>
right k=x@11 => k=a|x@11
left j=b@200 =>

# rows wait for longer than they need: c is closed at 12 and leaves at 14
left 5 5 0
left k1=a@0 =>
left k2=b@4 =>
left k3=c@6 => k1=a|null@0
left k4=d@8 =>
left k5=e@10 => k2=b|null@4
left k6=f@12 =>
left k7=g@14 => k3=c|null@6 k4=d|null@8

# of one time the right side leaves first
outer 5 5 0
left a=l@10 =>
right z=r@10 =>
left q=c@16 => z=null|r@10 a=l|null@10

# what comes decides: the left row at 11 does not yet close the right one
outer 0 5 0
right k=x@10 =>
left j=a@11 =>
right m=y@12 => k=null|x@10

# rows of one key and time wait together
outer 5 5 0
left k=a@10 =>
left k=b@10 =>
right k=x@9 => k=a|x@10 k=b|x@10
right q=y@16 =>
";
