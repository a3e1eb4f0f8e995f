//! The keys of pandad's own beside a work list. They are a wire format: pandads of
//! different versions meet at them.
//!
//! Each begins with `pandad:` and ends in a word. Should one of them ever reach a work
//! list, as a key that expired does, the field it stands for is that word and no user.

/// What every key of pandad's own begins with.
pub const OWN_KEY_PREFIX: &[u8] = b"pandad:";

/// The keys of one work list.
#[derive(Debug, Clone)]
pub struct QueueKeys {
    /// The work list itself.
    pub list: String,
}

impl QueueKeys {
    /// For the work list of this key.
    pub fn new(list: &str) -> Self {
        Self { list: list.to_owned() }
    }

    /// Hash: who works on the list, and how many batch lists each has used.
    pub fn instances(&self) -> String {
        format!("pandad:queue:{}:instances", self.list)
    }

    /// There for as long as the instance lives; holds what process it is.
    pub fn heartbeat(&self, instance: &str) -> String {
        format!("pandad:queue:{}:{instance}:alive", self.list)
    }

    /// List: the batch in one of an instance's slots.
    pub fn batch(&self, instance: &str, slot: u32) -> String {
        format!("pandad:queue:{}:{instance}:{slot}:batch", self.list)
    }

    /// List: items that cannot be done, newest first.
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
        for key in [keys.instances(), keys.heartbeat("0f"), keys.batch("0f", 3), keys.dead_list()] {
            assert!(key.as_bytes().starts_with(OWN_KEY_PREFIX), "{key}");
            assert!(key.rsplit(':').next().unwrap().bytes().all(|byte| byte.is_ascii_lowercase()), "{key}");
        }
    }
}
