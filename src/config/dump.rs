//! Prints a configuration as an .inv. When pandad reads that .inv, it gets the same configuration.
//!
//! Defaults are printed too, so that the text shows the values in effect; passwords are masked.

use super::keys;
use super::printer::InvPrinter;
use super::settings::{Config, ExpiredToListConfig, ListToHashConfig};

impl Config {
    /// The configuration in effect as an .inv; a mask stands for each password.
    pub fn to_inv(&self) -> String {
        let mut out = InvPrinter::default();
        if let Some(job) = &self.kafka_to_file {
            job.print(&mut out);
            job.kafka.print(&mut out);
            job.kafka.tls.print(&mut out, &keys::KAFKA_TLS);
            job.log_file.print(&mut out);
        }
        if let Some(job) = &self.expired_to_list {
            job.print(&mut out);
        }
        redis(&mut out, self.expired_to_list.as_ref(), self.list_to_hash.as_ref());
        if let Some(job) = &self.list_to_hash {
            job.print(&mut out);
        }
        self.daemon.print(&mut out);
        out.finish()
    }
}

/// The servers that the jobs use. The server of the work list is printed once, although two jobs use
/// it.
fn redis(out: &mut InvPrinter, expired: Option<&ExpiredToListConfig>, hash: Option<&ListToHashConfig>) {
    let markers = hash.and_then(|job| job.markers.as_ref());
    if let Some(expire) = expired.map(|job| &job.expire).or(markers.map(|markers| &markers.expire)) {
        expire.print(out, &keys::REDIS_EXPIRE);
    }
    let list = expired.map(|job| (&job.list, &job.list_key)).or(hash.map(|job| (&job.list, &job.list_key)));
    if let Some((list, key)) = list {
        list.print(out, &keys::REDIS_LIST);
        out.put(&keys::LIST_KEY, key);
    }
    if let Some(job) = hash {
        job.ar.print(out, &keys::REDIS_AR);
        out.put(&keys::HASHES, &job.hashes);
    }
}
