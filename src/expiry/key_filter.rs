//! Which keys are work: those with the configured prefix, and never pandad's own.

/// See the module.
#[derive(Debug, Clone)]
pub struct KeyFilter {
    /// Keys that begin with this are work; if it is empty, every key is.
    pub prefix: Vec<u8>,
    /// Keys that begin with this are never work.
    pub never: Vec<u8>,
}

impl KeyFilter {
    /// Whether the key is work.
    pub(super) fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && !key.starts_with(&self.never)
    }
}
