//! The keys that pandad keeps beside a work list. They are a wire format, which pandads of different
//! versions share.
//!
//! Each key begins with `pandad:` and ends in a word. If such a key expires and reaches a work list as an
//! item, that word is the field of the item, and no user has this field.

/// The beginning of every key that pandad itself writes.
pub const OWN_KEY_PREFIX: &[u8] = b"pandad:";

/// The keys of one work list.
#[derive(Debug, Clone)]
pub struct QueueKeys {
    /// The work list itself.
    pub list: String,
}

impl QueueKeys {
    /// The keys beside the work list with this key.
    pub fn new(list: &str) -> Self {
        Self { list: list.to_owned() }
    }

    /// The register, a hash: each instance that works on the list, and how many batch lists it has
    /// used.
    pub fn instances(&self) -> String {
        format!("pandad:queue:{}:instances", self.list)
    }

    /// A hash: each instance, and what it deletes from.
    pub fn targets(&self) -> String {
        format!("pandad:queue:{}:targets", self.list)
    }

    /// The heartbeat of an instance, a string with a time to live. It names the process of the
    /// instance.
    pub fn heartbeat(&self, instance: &str) -> String {
        format!("pandad:queue:{}:{instance}:alive", self.list)
    }

    /// The beat of an instance, a string without a time to live, which changes with each heartbeat. Only
    /// there if the server evicts keys.
    pub fn beat(&self, instance: &str) -> String {
        format!("pandad:queue:{}:{instance}:beat", self.list)
    }

    /// The batch list in one slot of an instance.
    pub fn batch(&self, instance: &str, slot: u32) -> String {
        format!("pandad:queue:{}:{instance}:{slot}:batch", self.list)
    }

    /// The dead list: items that cannot be done, the newest first.
    pub fn dead_list(&self) -> String {
        format!("pandad:queue:{}:dead", self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_marked_and_ends_in_a_word() {
        let keys = QueueKeys::new("panda_user_expire");
        let of_instance = [keys.heartbeat("0f"), keys.beat("0f"), keys.batch("0f", 3)];
        for key in of_instance.into_iter().chain([keys.instances(), keys.targets(), keys.dead_list()]) {
            assert!(key.as_bytes().starts_with(OWN_KEY_PREFIX), "{key}");
            assert!(key.rsplit(':').next().unwrap().bytes().all(|byte| byte.is_ascii_lowercase()), "{key}");
        }
    }
}
