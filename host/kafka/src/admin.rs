use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as NativeTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use weir_core::ports::{NewTopic, TransportError};

use crate::config::{KafkaConfig, Role};
use crate::status::{Status, Watch};

/// How long the broker may take for a request of the admin.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// Brokers choose the number of replicas (`default.replication.factor`).
const REPLICAS_OF_BROKER: i32 = -1;

/// Creates a topic; `false`: it is there already.
pub(crate) fn create_topic(config: &KafkaConfig, status: &Status, topic: &NewTopic) -> Result<bool, TransportError> {
    let id = format!("{}-{}-admin", config.application, config.host_id);
    let made = config.client(Role::Admin, &id).create_with_context(Watch(status.clone()));
    let admin: AdminClient<Watch> =
        made.map_err(|error| TransportError::Fatal(format!("an admin client cannot be made: {error}")))?;
    let replicas = TopicReplication::Fixed(REPLICAS_OF_BROKER);
    let mut native = NativeTopic::new(topic.name.as_str(), topic.partitions, replicas);
    if topic.compacted {
        native = native.set("cleanup.policy", "compact");
    }
    for (name, value) in &topic.settings {
        native = native.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_WAIT)).request_timeout(Some(REQUEST_WAIT));
    let refused = |text: String| TransportError::Retriable(format!("topic `{}` cannot be created: {text}", topic.name));
    let results = block_on(admin.create_topics(&[native], &options), REQUEST_WAIT * 2)
        .ok_or_else(|| refused("no answer".into()))?
        .map_err(|error| refused(status.outage().unwrap_or_else(|| error.to_string())))?;
    match results.into_iter().next() {
        Some(Ok(_)) | None => Ok(true),
        Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code @ (Code::InvalidPartitions | Code::InvalidConfig | Code::InvalidTopic)))) => {
            Err(TransportError::Fatal(format!("topic `{}` cannot be created: {code}", topic.name)))
        }
        Some(Err((_, code))) => Err(refused(code.to_string())),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread for what the admin's own thread finishes. None: not within `wait`.
fn block_on<T>(future: impl Future<Output = T>, wait: Duration) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let deadline = Instant::now() + wait;
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return Some(result);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}
