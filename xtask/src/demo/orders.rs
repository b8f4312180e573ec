//! The demo's orders: numbered, and judged here by a rule of our own.

use std::time::{SystemTime, UNIX_EPOCH};

use super::verdicts::Verdicts;

/// The orders of one run.
pub struct Orders {
    /// Tells this run's orders from those of earlier runs in the same topic.
    run: u64,
}

const CUSTOMERS: u64 = 1000;
const PRODUCTS: [&str; 3] = ["JUMPERS", "UNDERPANTS", "STOCKINGS"];

/// What is wrong with order `number`, if anything. The divisors are primes, so that the cases meet.
struct Kind {
    is_shipped: bool,
    is_negative: bool,
    is_cheap: bool,
    lacks_product: bool,
}

fn kind(number: u64) -> Kind {
    Kind {
        is_shipped: number % 11 == 10,
        is_negative: number % 13 == 12,
        is_cheap: number % 17 == 16,
        lacks_product: number % 19 == 18,
    }
}

impl Orders {
    pub fn new() -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { run }
    }

    /// What the ids of this run's orders begin with.
    pub fn prefix(&self) -> String {
        format!("order-{}-", self.run)
    }

    /// Order `number` as `weir produce` takes it.
    pub fn line(&self, number: u64) -> String {
        let kind = kind(number);
        let product = PRODUCTS[(number % 3) as usize];
        let product = if kind.lacks_product { "null".to_owned() } else { format!("\"{product}\"") };
        format!(
            "{{\"key\":\"{prefix}{number}\",\"value\":{{\"id\":\"{prefix}{number}\",\"customerId\":{},\"state\":\"{}\",\
             \"product\":{product},\"quantity\":{},\"price\":{}}}}}",
            number % CUSTOMERS,
            if kind.is_shipped { "SHIPPED" } else { "CREATED" },
            if kind.is_negative { -1 } else { (number % 5 + 1) as i64 },
            if kind.is_cheap { "-0.5".to_owned() } else { format!("{}.25", number % 100) },
            prefix = self.prefix(),
        )
    }

    /// The verdicts that the first `orders` orders must get.
    pub fn expected(&self, orders: u64) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for kind in (0..orders).map(kind).filter(|kind| !kind.is_shipped) {
            if kind.is_negative || kind.is_cheap || kind.lacks_product {
                verdicts.fail += 1;
            } else {
                verdicts.pass += 1;
            }
        }
        verdicts
    }
}
