//! The text of an .inv, built key by key.

use super::content::ClientKind;
use super::redis::{Redis, shown};
use super::servers::{Kafka, Store};

/// The text of an .inv that is being built.
#[derive(Debug, Clone, Default)]
pub struct Inv {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Inv {
    /// A log job as most tests use it: alone in its group, raw lines.
    pub fn log(kafka: &Kafka, topics: &str, group: &str) -> Inv {
        Inv::default()
            .set("log_section", "broker_list", &kafka.address)
            .set("log_section", "kafka['topics']", topics)
            .set("log_section", "kafka['group']", group)
            .set("log_section", "kafka['membership']", "alone")
            .set("log_section", "log_handler['worker_num']", "2")
            .set("log_section", "log_file['format']", "raw")
    }

    /// A log job that is a member of its group.
    pub fn member(kafka: &Kafka, topics: &str, group: &str) -> Inv {
        Inv::log(kafka, topics, group).job("kafka['membership']", "coordinated")
    }

    /// Chooses the client that reads.
    pub fn client(self, kafka: &Kafka, by: ClientKind) -> Inv {
        let inv = self.job("kafka['client']", by.word());
        // The crate cannot filter aborted transactions, so pandad accepts it only with
        // read_uncommitted.
        let isolation = match by {
            ClientKind::Crate if kafka.at_least(0, 11) => "read_uncommitted",
            _ => "read_committed",
        };
        inv.job("kafka['isolation']", isolation)
    }

    /// The queue's job: items on the one server, hashes on the other.
    pub fn queue(list: &Redis, ar: &Redis) -> Inv {
        Inv::default()
            .set("panda_server_section", "max_process_num", "2")
            .redis("redis_list", list)
            .redis("redis_ar", ar)
    }

    /// The job for expired keys: they expire on the one server, the list is on the other.
    pub fn expiry(expire: &Redis, list: &Redis) -> Inv {
        Inv::default()
            .set("clearCache_section", "cache_clear_handler['worker_num']", "1")
            .redis("redis_kv_expire", expire)
            .redis("redis_list", list)
    }

    /// One of the three Redis servers.
    pub fn redis(self, name: &str, redis: &Redis) -> Inv {
        self.server(name, "host", "127.0.0.1").server(name, "port", &redis.port.to_string()).server(
            name,
            "password",
            &redis.password,
        )
    }

    /// Names one of the three servers by its unix socket.
    pub fn by_socket(self, name: &str, redis: &Redis) -> Inv {
        let inv = self.server(name, "socket_type", "unix").server(name, "socket", shown(&redis.socket()));
        inv.server(name, "password", &redis.password)
    }

    /// One key of one of the three servers.
    pub fn server(self, name: &str, key: &str, value: &str) -> Inv {
        self.set("redis_env_section", &format!("{name}['{key}']"), value)
    }

    /// Joins both texts. If both have a key, the other's value counts.
    pub fn and(mut self, other: Inv) -> Inv {
        for (section, keys) in other.sections {
            for (key, value) in keys {
                self = self.set(&section, &key, &value);
            }
        }
        self
    }

    /// A key of the log job.
    pub fn job(self, key: &str, value: &str) -> Inv {
        self.set("log_section", key, value)
    }

    pub fn store(self, store: Store) -> Inv {
        self.job("kafka['offsets']", store.name())
    }

    /// Sets a key, in place of an earlier one of that name.
    pub fn set(mut self, section: &str, key: &str, value: &str) -> Inv {
        let at = self.sections.iter().position(|(name, _)| name == section).unwrap_or_else(|| {
            self.sections.push((section.to_string(), Vec::new()));
            self.sections.len() - 1
        });
        let keys = &mut self.sections[at].1;
        keys.retain(|(name, _)| name != key);
        keys.push((key.to_string(), value.to_string()));
        self
    }

    /// The text, indented as the original is printed.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.sections {
            text += &format!("    [{section}]\n");
            for (key, value) in keys {
                text += &format!("    {key} = '{value}'\n");
            }
        }
        text
    }
}
