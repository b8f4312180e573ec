use std::borrow::Cow;

/// A business error of one record, for the node's error policy. Nothing of the record's results stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    code: Cow<'static, str>,
    message: String,
}

impl Reject {
    /// `code` is yours and open, such as `order.no-id`; the prefix `weir.` is the SDK's and the host's. `message` is for people.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// What kind of error this is.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_abi(self, row: u32) -> crate::abi::weir::plugin::types::Reject {
        crate::abi::weir::plugin::types::Reject { row, code: self.code.into_owned(), message: self.message }
    }
}
