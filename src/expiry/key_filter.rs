//! Which keys are work.

/// Which keys are work.
#[derive(Debug, Clone)]
pub struct KeyFilter {
    /// Only keys that begin with this; empty is every key.
    pub prefix: Vec<u8>,
    /// Never keys that begin with this.
    pub never: Vec<u8>,
}

impl KeyFilter {
    pub(super) fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && !key.starts_with(&self.never)
    }
}
