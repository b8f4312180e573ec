use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::error::KafkaResult;
use weir_core::ports::TransportError;
use weir_core::record::TopicPartition;

use crate::client::KafkaClient;
use crate::seek::offset_list;

/// How long the broker may take for a request.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// A request that was not answered for so long is forgotten: the admin has given it up by then.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

type Answer = Pin<Box<dyn Future<Output = KafkaResult<TopicPartitionList>> + Send>>;

/// Deletes rows that nobody needs any more, one request at a time; what comes meanwhile goes with the next one.
pub(crate) struct Purger {
    client: Arc<KafkaClient>,
    waiting: BTreeMap<TopicPartition, i64>,
    under_way: Option<(Answer, Instant)>,
}

impl Purger {
    pub fn new(client: Arc<KafkaClient>) -> Self {
        Self { client, waiting: BTreeMap::new(), under_way: None }
    }

    pub fn purge(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), TransportError> {
        for (partition, offset) in before {
            let waiting = self.waiting.entry(partition.clone()).or_insert(*offset);
            *waiting = (*waiting).max(*offset);
        }
        self.go_on()
    }

    /// Looks whether the last request was answered, and sends the next one. Waits for nothing.
    pub fn go_on(&mut self) -> Result<(), TransportError> {
        if let Some((answer, since)) = &mut self.under_way {
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => log_failures(answer),
                Poll::Pending if since.elapsed() > ANSWER_WAIT => tracing::warn!("a purge was never answered"),
                Poll::Pending => return Ok(()),
            }
            self.under_way = None;
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let before: Vec<(TopicPartition, i64)> = std::mem::take(&mut self.waiting).into_iter().collect();
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_WAIT)).request_timeout(Some(REQUEST_WAIT));
        let answer = self.client.admin()?.delete_records(&offset_list(&before)?, &options);
        self.under_way = Some((Box::pin(answer), Instant::now()));
        Ok(())
    }
}

fn log_failures(answer: KafkaResult<TopicPartitionList>) {
    match answer {
        Err(error) => tracing::warn!(%error, "rows that are not needed any more cannot be deleted"),
        Ok(list) => {
            for element in list.elements() {
                let Err(error) = element.error() else { continue };
                let (topic, partition) = (element.topic(), element.partition());
                tracing::warn!(topic, partition, %error, "rows that are not needed any more cannot be deleted");
            }
        }
    }
}
