use std::sync::Arc;

use weir_core::ports::StateCell;
use weir_core::task::TaskId;
use weir_core::topology::NodeName;

use crate::binding::Binding;
use crate::bindings::weir::plugin::types;
use crate::config::Limits;
use crate::coordinates::Coordinates;
use crate::limits::Meter;
use crate::log_lines::LogLines;
use crate::manifest::Manifest;
use crate::metrics::Update;
use crate::trap::LastWords;

/// What the host knows of one instance while its guest runs: the other side of every import.
pub(crate) struct Guest {
    pub(crate) place: Place,
    pub(crate) meter: Meter,
    pub(crate) log: LogLines,
    pub(crate) last_words: Option<LastWords>,
    /// Of the call in progress; given out if it succeeds.
    pub(crate) metrics: Vec<Update>,
    /// Of the call in progress, for plugins that import `context`.
    pub(crate) coordinates: Option<Coordinates>,
    /// Of the call in progress; none: it has no rows, or its node neither stores nor timers.
    pub(crate) state: Option<StateCell>,
    /// Rows of the call in progress.
    pub(crate) rows: usize,
    /// Some inside `describe` alone.
    pub(crate) manifest: Option<Manifest>,
}

/// Where an instance works.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) application: Arc<str>,
    pub(crate) node: NodeName,
    pub(crate) config: Arc<serde_json::Value>,
    /// What its node gives it.
    pub(crate) binding: Arc<Binding>,
    /// None: `describe`, which works nowhere.
    pub(crate) task: Option<TaskId>,
}

impl Place {
    pub(crate) fn task_name(&self) -> Option<String> {
        self.task.map(|task| task.to_string())
    }
}

impl Guest {
    pub(crate) fn new(place: Place, limits: Limits) -> Self {
        Self {
            place,
            meter: Meter::new(limits),
            log: LogLines::new(&limits),
            last_words: None,
            metrics: Vec::new(),
            coordinates: None,
            state: None,
            rows: 0,
            manifest: None,
        }
    }

    /// A call of `rows` rows begins.
    pub(crate) fn begin(&mut self, rows: usize, coordinates: Option<Coordinates>, state: Option<StateCell>) {
        self.meter.begin(rows);
        self.rows = rows;
        self.state = state;
        self.last_words = None;
        self.metrics.clear();
        self.coordinates = coordinates;
    }

    /// The call is over: what it was lent goes back.
    pub(crate) fn end(&mut self) {
        self.coordinates = None;
        self.state = None;
        self.rows = 0;
    }
}

/// Has no functions: the types that the other interfaces share.
impl types::Host for Guest {}
