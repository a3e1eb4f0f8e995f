//! Which expired keys become items: those with the configured prefix, and never pandad's own keys.

/// See the module.
#[derive(Debug, Clone)]
pub struct KeyFilter {
    /// Keys must begin with this to become items; empty lets every key pass.
    pub prefix: Vec<u8>,
    /// Keys that begin with this never become items.
    pub never: Vec<u8>,
}

impl KeyFilter {
    /// Whether the key becomes an item when it expires.
    pub(super) fn wants(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix) && !key.starts_with(&self.never)
    }
}
