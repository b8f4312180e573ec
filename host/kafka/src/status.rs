use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, consumer::ConsumerContext};

/// What keeps this host from its brokers, as all its clients saw it last. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Status {
    bootstrap: Arc<str>,
    outage: Arc<Mutex<Option<String>>>,
}

impl Status {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.into(), outage: Arc::default() }
    }

    /// None: nothing is known to be wrong. Otherwise which it is: no broker there, a wrong port, authentication refused.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        lock(&self.outage).clone()
    }

    /// An answer came.
    pub(crate) fn clear(&self) {
        *lock(&self.outage) = None;
    }

    /// Keeps what an error event says, if it is about reaching the brokers.
    pub(crate) fn note(&self, code: Code, reason: &str) {
        let Some(text) = self.describe(code, reason) else { return };
        let mut outage = lock(&self.outage);
        // "All brokers are down" follows the event that says why, and must not hide it.
        if code != Code::AllBrokersDown || outage.is_none() {
            *outage = Some(text);
        }
    }

    /// Connections that are closed before they are of use are told in the log alone, by no event.
    pub(crate) fn note_log(&self, facility: &str, message: &str) {
        if facility == CONNECTION_FAILED && is_foreign(message) {
            self.note(Code::BrokerTransportFailure, message);
        }
    }

    fn describe(&self, code: Code, reason: &str) -> Option<String> {
        let at = &self.bootstrap;
        Some(match code {
            Code::Authentication | Code::SaslAuthenticationFailed => format!(
                "authentication refused by {at}: {reason}. Check security.protocol and sasl.* (--kafka-property)"
            ),
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => {
                format!(
                    "not authorised at {at}: {reason}. Grant the principal access to topics, group and transactional ids"
                )
            }
            Code::SSL => {
                format!("TLS with {at} failed: {reason}. Check security.protocol and ssl.* (--kafka-property)")
            }
            Code::Resolve => format!("no such host in {at}: {reason}. Check --bootstrap"),
            Code::BrokerTransportFailure if is_foreign(reason) => format!(
                "{at} answers, but not as Kafka: {reason}. Wrong port, or another security.protocol (--kafka-property)"
            ),
            Code::BrokerTransportFailure | Code::AllBrokersDown => {
                format!("no broker at {at}: {reason}. Is it running, and is --bootstrap right?")
            }
            _ => return None,
        })
    }
}

/// The facility of librdkafka's log lines about a connection that failed.
pub(crate) const CONNECTION_FAILED: &str = "FAIL";

/// A connection that was made and then ended, or held something that is not a Kafka response.
fn is_foreign(reason: &str) -> bool {
    ["ApiVersion", "APIVERSION_QUERY", "Invalid response size", "SSL", "security.protocol"]
        .iter()
        .any(|hint| reason.contains(hint))
}

/// A lock that outlives a panic elsewhere: what it guards is replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands librdkafka's log lines on.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::info!(facility, "{message}"),
        _ => tracing::debug!(facility, "{message}"),
    }
}

/// The context of a client that has nothing to watch but its connection.
#[derive(Clone)]
pub(crate) struct Watch(pub Status);

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.note_log(facility, message);
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.0.note(code, reason);
        }
    }
}

impl ConsumerContext for Watch {}

impl ProducerContext for Watch {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_says_which_it_is_and_a_summary_does_not_hide_it() {
        let status = Status::new("kafka:9092");
        status.note(Code::BrokerTransportFailure, "Connect to ipv4#127.0.0.1:1 failed: Connection refused");
        status.note(Code::AllBrokersDown, "1/1 brokers are down");
        assert!(status.outage().unwrap().contains("no broker at kafka:9092: Connect to"));
        status.note(Code::BrokerTransportFailure, "Disconnected while requesting ApiVersion");
        assert!(status.outage().unwrap().contains("not as Kafka"));
        status.note(Code::Authentication, "SASL authentication error");
        assert!(status.outage().unwrap().contains("authentication refused"));
        status.clear();
        assert_eq!(status.outage(), None);
    }
}
