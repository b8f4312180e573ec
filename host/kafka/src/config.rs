use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use thiserror::Error;
use weir_core::record::TopicName;

/// What a host says of its Kafka. A plain value: [`KafkaConfig::new`] has the defaults, fields are set afterwards.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port`, several divided by commas.
    pub bootstrap: String,
    /// The application: the group's name, and the prefix of transactional ids and of the topic `<application>-hosts`.
    pub application: String,
    /// Names this host for ever: the identity of its state directory.
    pub host_id: String,
    /// The source topics.
    pub topics: Vec<TopicName>,
    /// Further settings by librdkafka's names, handed to consumer, producer and admin alike.
    pub properties: Vec<(String, String)>,
    /// A member that is silent for this long is expelled, in milliseconds; brokers allow 6,000 and more by default.
    pub session_timeout_ms: u32,
    /// A transaction left open is aborted by the broker after this long, in milliseconds.
    pub transaction_timeout_ms: u32,
    /// A member that does not poll for this long leaves the group, in milliseconds.
    pub max_poll_interval_ms: u32,
    /// Leave the group when a thread ends. Otherwise membership is static: partitions stay with this host until it is
    /// back or `session_timeout_ms` is over. librdkafka has no way for a static member to leave, so this makes
    /// membership dynamic, and a killed host that is started again waits for its former self to be expelled.
    pub leave: bool,
    /// Bytes of fetched rows that a thread holds ahead, at most.
    pub consumer_bytes_max: usize,
    /// Replace the producer after a transaction that may have a delayed end on the wire. Off only to show the failure.
    #[doc(hidden)]
    pub replace_disturbed_producer: bool,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Exactly-once would break, or the setting has another place.
    #[error("kafka property `{name}` cannot be set: {reason}")]
    Refused {
        /// The property.
        name: String,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// librdkafka does not know it or refuses its value.
    #[error("kafka property refused: {0}")]
    Invalid(String),
}

/// Properties that are ours to set, and why.
const OURS: &[(&[&str], &str)] = &[
    (&["bootstrap.servers", "metadata.broker.list"], "give the brokers by --bootstrap"),
    (&["transactional.id", "client.id", "group.id", "group.instance.id"], "it is made of application, host and thread"),
    (
        &["acks", "request.required.acks", "enable.idempotence", "enable.gapless.guarantee"],
        "exactly-once needs all replicas and idempotent writes",
    ),
    (
        &["max.in.flight", "max.in.flight.requests.per.connection", "retries", "message.send.max.retries"],
        "exactly-once depends on the order and the repetition of writes",
    ),
    (&["isolation.level"], "rows of aborted transactions would be read"),
    (&["enable.auto.commit", "enable.auto.offset.store"], "positions are committed with the transaction alone"),
    (
        &["partition.assignment.strategy", "group.protocol", "group.remote.assignor"],
        "only the range assignor of the classic protocol keeps equal partitions of all topics on one member",
    ),
    (&["enable.partition.eof", "delivery.report.only.error"], "the transport depends on it"),
];

/// Names of librdkafka's properties and what we set them to.
type Properties = &'static [(&'static str, &'static str)];

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads the source topics as a member of the group.
    Consumer,
    /// Writes in transactions.
    Transactions,
    /// Reads partitions and offsets outside of the group.
    Reader,
    /// Reads changelogs in bulk, outside of the group.
    Replay,
    /// Appends outside of transactions.
    Appender,
    /// Topics.
    Admin,
}

impl KafkaConfig {
    /// The defaults for `application` on `bootstrap`.
    #[must_use]
    pub fn new(bootstrap: impl Into<String>, application: impl Into<String>, host_id: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            application: application.into(),
            host_id: host_id.into(),
            topics: Vec::new(),
            properties: Vec::new(),
            session_timeout_ms: 10_000,
            transaction_timeout_ms: 10_000,
            max_poll_interval_ms: 300_000,
            leave: false,
            consumer_bytes_max: 16 << 20,
            replace_disturbed_producer: true,
        }
    }

    /// Moves the time-outs among the properties to the fields that hold them, because more than one client goes by each.
    ///
    /// # Errors
    /// [`ConfigError`]: a time-out that is no number of milliseconds.
    pub(crate) fn take_timeouts(&mut self) -> Result<(), ConfigError> {
        let mut rest = Vec::with_capacity(self.properties.len());
        for (name, value) in std::mem::take(&mut self.properties) {
            let field = match name.as_str() {
                "session.timeout.ms" => &mut self.session_timeout_ms,
                "transaction.timeout.ms" => &mut self.transaction_timeout_ms,
                "max.poll.interval.ms" => &mut self.max_poll_interval_ms,
                _ => {
                    rest.push((name, value));
                    continue;
                }
            };
            *field = value.parse().map_err(|_| {
                ConfigError::Invalid(format!("`{name}={value}`: write a number of milliseconds, such as {name}=10000"))
            })?;
        }
        self.properties = rest;
        Ok(())
    }

    /// Refuses what cannot be used, before anything is connected.
    ///
    /// # Errors
    /// [`ConfigError`], naming the property.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (name, _) in &self.properties {
            let refused = OURS.iter().find(|(names, _)| names.contains(&name.as_str()));
            if let Some((_, reason)) = refused {
                return Err(ConfigError::Refused { name: name.clone(), reason });
            }
        }
        for role in [Role::Consumer, Role::Transactions, Role::Reader, Role::Replay, Role::Appender, Role::Admin] {
            let made = self.client(role, "check").create_native_config();
            made.map_err(|error| ConfigError::Invalid(error.to_string()))?;
        }
        Ok(())
    }

    /// The transactional id of `thread`: its client id and, of a static member, its instance id as well.
    #[must_use]
    pub fn transactional_id(&self, thread: usize) -> String {
        format!("{}-{}-{thread}", self.application, self.host_id)
    }

    /// The compacted topic that lists the transactional ids of the application.
    pub(crate) fn hosts_topic(&self) -> TopicName {
        TopicName::from(format!("{}-hosts", self.application).as_str())
    }

    /// The settings of a client called `id`.
    pub(crate) fn client(&self, role: Role, id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", id);
        // The loss of a connection is told in the log, as information; what to show of it is for tracing's filter to say.
        config.set_log_level(RDKafkaLogLevel::Info);
        // An idle host must find a broker that came back within a second, not within librdkafka's ten.
        config.set("reconnect.backoff.max.ms", "1000");
        // Small requests are not to wait for one another.
        config.set("socket.nagle.disable", "true");
        if let Some(bundle) = CA_BUNDLES.iter().find(|path| Path::new(path).exists()) {
            // librdkafka built from source looks where OpenSSL was built, which need not be where this system keeps them.
            config.set("ssl.ca.location", *bundle);
        }
        let (shared, tuned): (Properties, Properties) = match role {
            Role::Consumer => (&[], CONSUMER),
            Role::Transactions => (&[], TRANSACTIONS),
            Role::Reader => (MANUAL, READER),
            Role::Replay => (MANUAL, REPLAY),
            Role::Appender => (&[], APPENDER),
            Role::Admin => (&[], &[]),
        };
        shared.iter().chain(tuned).for_each(|(name, value)| {
            config.set(*name, *value);
        });
        if role == Role::Consumer {
            config.set("queued.max.messages.kbytes", (self.consumer_bytes_max / 1024).max(1).to_string());
        }
        self.properties.iter().for_each(|(name, value)| {
            config.set(name, value);
        });
        self.set_ours(&mut config, role, id);
        config
    }

    /// What no property may change, last.
    fn set_ours(&self, config: &mut ClientConfig, role: Role, id: &str) {
        match role {
            Role::Consumer => {
                config
                    .set("group.id", &self.application)
                    .set("session.timeout.ms", self.session_timeout_ms.to_string())
                    .set("heartbeat.interval.ms", (self.session_timeout_ms / 4).clamp(1, 3000).to_string())
                    .set("max.poll.interval.ms", self.max_poll_interval_ms.max(self.session_timeout_ms).to_string());
                if !self.leave {
                    config.set("group.instance.id", id);
                }
            }
            Role::Transactions => {
                config
                    .set("transactional.id", id)
                    .set("transaction.timeout.ms", self.transaction_timeout_ms.to_string());
            }
            // A group of its own name makes committed positions readable; it never joins.
            Role::Reader | Role::Replay => {
                config.set("group.id", &self.application);
            }
            Role::Appender | Role::Admin => {}
        }
    }
}

const CA_BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

const CONSUMER: Properties = &[
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "range"),
    ("enable.partition.eof", "true"),
    // librdkafka's default of 1,000 ms throttles: a partition whose queue was full once is asked again only after it.
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.wait.max.ms", "10"),
    ("queued.min.messages", "1000000"),
    ("check.crcs", "true"),
];

const TRANSACTIONS: Properties = &[
    ("linger.ms", "5"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "200000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("message.max.bytes", "10485760"),
    // A delivered row is given back without a word; only failures matter, and the queue's length tells the rest.
    ("delivery.report.only.error", "true"),
];

/// Of whoever reads committed rows of partitions of its own choice.
const MANUAL: Properties = &[
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.wait.max.ms", "10"),
];

const READER: Properties = &[("queued.max.messages.kbytes", "4096")];

const REPLAY: Properties = &[
    // Of small rows, what librdkafka keeps beside each is ten times its size, and not counted in the bytes.
    ("queued.min.messages", "100000"),
    ("queued.max.messages.kbytes", "16384"),
    ("check.crcs", "true"),
];

const APPENDER: Properties = &[("enable.idempotence", "true"), ("linger.ms", "0"), ("message.max.bytes", "10485760")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_exactly_once_depends_on_is_refused_by_name() {
        for name in ["acks", "isolation.level", "transactional.id", "enable.auto.commit", "group.instance.id"] {
            let mut config = KafkaConfig::new("localhost:9092", "app", "host");
            config.properties.push((name.into(), "1".into()));
            assert!(matches!(config.check(), Err(ConfigError::Refused { name: told, .. }) if told == name));
        }
    }

    #[test]
    fn a_timeout_given_as_a_property_holds_for_every_client_that_goes_by_it() {
        let mut config = KafkaConfig::new("localhost:9092", "app", "host");
        config.properties.push(("session.timeout.ms".into(), "6000".into()));
        config.properties.push(("transaction.timeout.ms".into(), "7000".into()));
        config.take_timeouts().unwrap();
        assert_eq!(config.client(Role::Consumer, "x").get("heartbeat.interval.ms"), Some("1500"));
        assert_eq!((config.transaction_timeout_ms, config.properties.len()), (7000, 0));
        config.properties.push(("session.timeout.ms".into(), "6s".into()));
        assert!(config.take_timeouts().unwrap_err().to_string().contains("session.timeout.ms=6s"));
    }

    #[test]
    fn an_unknown_property_is_refused_by_name() {
        let mut config = KafkaConfig::new("localhost:9092", "app", "host");
        config.properties.push(("linger.mss".into(), "1".into()));
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("linger.mss"), "{error}");
    }

    #[test]
    fn properties_reach_every_client_and_ours_stay() {
        let mut config = KafkaConfig::new("localhost:9092", "app", "host");
        config.properties.push(("security.protocol".into(), "sasl_ssl".into()));
        config.properties.push(("fetch.wait.max.ms".into(), "77".into()));
        config.check().unwrap();
        let consumer = config.client(Role::Consumer, &config.transactional_id(3));
        assert_eq!(consumer.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(consumer.get("fetch.wait.max.ms"), Some("77"));
        assert_eq!(consumer.get("group.instance.id"), Some("app-host-3"));
        assert_eq!(config.client(Role::Admin, "x").get("security.protocol"), Some("sasl_ssl"));
        config.leave = true;
        assert_eq!(config.client(Role::Consumer, "x").get("group.instance.id"), None);
    }
}
