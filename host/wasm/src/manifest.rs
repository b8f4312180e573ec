/// What a plugin says of itself in `describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it was made with.
    pub sdk: String,
    /// A JSON Schema of its configuration.
    pub config_schema: Option<String>,
    /// The columns that it reads.
    pub reads: Reads,
    /// The formats of the keys and values that it takes; "" is any.
    pub input: (String, String),
    /// Its output ports, by number; at least one.
    pub ports: Vec<Port>,
    /// The stores that it opens.
    pub stores: Vec<StoreNeed>,
    /// Whether it sets timers.
    pub timers: bool,
    /// What an aggregator can do beyond adding rows.
    pub aggregates: Aggregates,
}

/// A store that a plugin opens, by the name that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreNeed {
    /// Its name.
    pub name: String,
    /// Its kind: key-value, window, session.
    pub kind: String,
    /// The format of its keys; "" is any.
    pub key_format: String,
    /// The format of its values; "" is any.
    pub value_format: String,
}

/// What an aggregator can do beyond adding rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aggregates {
    /// Make one accumulator of two, for sessions.
    pub merges: bool,
    /// Take rows out again, for tables.
    pub removes: bool,
}

/// The columns of a batch that a plugin reads. The others do not cross the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Keys.
    pub keys: bool,
    /// Values.
    pub values: bool,
    /// Timestamps.
    pub timestamps: bool,
}

/// An output port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The format of its keys; "" is any.
    pub key_format: String,
    /// The format of its values; "" is any.
    pub value_format: String,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            sdk: String::new(),
            config_schema: None,
            reads: Reads { keys: true, values: true, timestamps: true },
            input: (String::new(), String::new()),
            ports: Vec::new(),
            stores: Vec::new(),
            timers: false,
            aggregates: Aggregates::default(),
        }
    }
}

impl Manifest {
    /// What `describe` left out, filled in.
    pub(crate) fn completed(mut self) -> Self {
        if self.ports.is_empty() {
            let any = String::new;
            self.ports.push(Port { name: "out".to_owned(), key_format: any(), value_format: any() });
        }
        self
    }
}
