//! The status for Prometheus, in its text format 0.0.4 or in that of OpenMetrics 1.0.
//!
//! Names have the prefix `pandad_` and base units. Labels have the names that exporters for Kafka and Redis
//! use, so that series can be joined; the name of a job is `job_name`, since `job` is Prometheus's own.
//! See <https://prometheus.io/docs/instrumenting/exposition_formats>.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::snapshot::{JobSnapshot, ShownJob, Snapshot};
use crate::report::{CountedUnit, Counters, DiskState, PartitionView};

/// How many partitions have series of their own.
const PARTITIONS_MAX: usize = 2000;

/// The form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            MetricsFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
            MetricsFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Every metric of the process.
pub fn metrics(snapshot: &Snapshot, jobs: &[ShownJob], format: MetricsFormat) -> String {
    let mut page = Page { out: String::with_capacity(16 * 1024), format };
    of_process(&mut page, snapshot);
    of_jobs(&mut page, snapshot);
    of_servers(&mut page, snapshot);
    of_counters(&mut page, jobs);
    for job in &snapshot.jobs {
        if let Some(partitions) = &job.partitions {
            of_partitions(&mut page, job, partitions, snapshot.taken_ms);
        }
    }
    page.end()
}

fn of_process(page: &mut Page, snapshot: &Snapshot) {
    page.family("build_info", Kind::Gauge, "The version of pandad.");
    page.sample("build_info", &[("version", snapshot.version)], 1);
    page.family("start_time_seconds", Kind::Gauge, "When the jobs were started, in seconds since 1970.");
    page.sample("start_time_seconds", &[], seconds(snapshot.started_ms));
}

fn of_jobs(page: &mut Page, snapshot: &Snapshot) {
    page.family("job_up", Kind::Gauge, "Whether the job runs and waits for nothing.");
    for job in &snapshot.jobs {
        page.sample("job_up", &[("job_name", job.name)], u8::from(job.state.is_well()));
    }
    page.family("job_state", Kind::Gauge, "The state of the job: 1 for the one that it is in.");
    for job in &snapshot.jobs {
        page.sample("job_state", &[("job_name", job.name), ("state", job.state.word())], 1);
    }
    page.family("job_waiting_seconds", Kind::Gauge, "How long the job has waited for something.");
    for job in &snapshot.jobs {
        let oldest = job.reasons.first().map_or(0, |(_, lasts)| lasts.as_secs());
        page.sample("job_waiting_seconds", &[("job_name", job.name)], oldest);
    }
}

fn of_servers(page: &mut Page, snapshot: &Snapshot) {
    page.family("server_up", Kind::Gauge, "Whether the server serves the job.");
    for job in &snapshot.jobs {
        for server in &job.servers {
            let Some(up) = server.up else { continue };
            let kind = server.kind.to_string();
            let labels = [("job_name", job.name), ("kind", kind.as_str()), ("server", server.name.as_str())];
            page.sample("server_up", &labels, u8::from(up));
        }
    }
}

/// One counter or gauge of a job: its name, kind, help, and where its value comes from.
type Metric = (&'static str, Kind, &'static str, fn(&Counters) -> Option<f64>);

fn count(counter: &AtomicU64) -> Option<f64> {
    Some(counter.load(Relaxed) as f64)
}

/// The metrics of each unit.
fn metrics_of(unit: CountedUnit) -> &'static [Metric] {
    match unit {
        CountedUnit::Records => &[
            ("records_total", Kind::Counter, "Records written to the file.", |it| count(&it.done)),
            ("written_bytes_total", Kind::Counter, "Bytes of lines written.", |it| count(&it.bytes)),
            ("filtered_records_total", Kind::Counter, "Records that have no line.", |it| count(&it.filtered)),
            ("refetched_records_total", Kind::Counter, "Records that were fetched again.", |it| {
                count(&it.refetched)
            }),
            (
                "lost_records_total",
                Kind::Counter,
                "Records deleted at the broker before they were read.",
                |it| count(&it.lost),
            ),
            ("skipped_offsets_total", Kind::Counter, "Offsets passed over by a reset of the group.", |it| {
                count(&it.skipped)
            }),
            ("blocked_partitions", Kind::Gauge, "Partitions that cannot be read.", |it| count(&it.blocked)),
            ("unsettled_seconds", Kind::Gauge, "The age of the oldest line that is not durable.", |it| {
                Some(it.oldest_unsettled_ms() as f64 / 1000.0)
            }),
            (
                "log_write_blocked",
                Kind::Gauge,
                "Whether the log file cannot be opened, written or synced.",
                |it| Some(f64::from(u8::from(it.disk() != DiskState::Ok))),
            ),
        ],
        CountedUnit::Keys => &[
            ("expired_keys_total", Kind::Counter, "Expired keys pushed to the work list.", |it| {
                count(&it.done)
            }),
            ("expiry_waiting_keys", Kind::Gauge, "Keys received and not pushed yet.", |it| count(&it.lag)),
            ("expiry_delay_seconds", Kind::Gauge, "The largest lateness of the last minute or two.", |it| {
                count(&it.late_us).map(|micros| micros / 1e6)
            }),
            ("lost_keys_total", Kind::Counter, "Expired keys lost for want of room.", |it| count(&it.lost)),
            ("overflowed_keys_total", Kind::Counter, "Keys dropped that reconcile finds again.", |it| {
                count(&it.overflowed)
            }),
            ("unsettled_keys_total", Kind::Counter, "Due keys that could not be waited for.", |it| {
                count(&it.unsettled)
            }),
            ("expiry_missed_total", Kind::Counter, "Keys that reconcile found.", |it| count(&it.found)),
            ("standby", Kind::Gauge, "Whether another pandad does the work.", |it| {
                Some(f64::from(u8::from(it.standby.load(Relaxed))))
            }),
        ],
        CountedUnit::Items => &[
            ("items_done_total", Kind::Counter, "Items done.", |it| count(&it.done)),
            ("deleted_fields_total", Kind::Counter, "Hash fields deleted.", |it| count(&it.fields)),
            ("list_length", Kind::Gauge, "Items on the work list.", |it| count(&it.lag)),
            ("items_dead_total", Kind::Counter, "Items put on the dead list.", |it| count(&it.dead)),
            ("items_came_back_total", Kind::Counter, "Items whose users came back.", |it| {
                count(&it.came_back)
            }),
            ("items_taken_over_total", Kind::Counter, "Items taken over from a pandad that is gone.", |it| {
                count(&it.taken_over)
            }),
        ],
    }
}

fn of_counters(page: &mut Page, jobs: &[ShownJob]) {
    for unit in [CountedUnit::Records, CountedUnit::Keys, CountedUnit::Items] {
        let of_unit: Vec<&ShownJob> = jobs.iter().filter(|job| job.counters.unit() == unit).collect();
        if of_unit.is_empty() {
            continue;
        }
        for (name, kind, help, value) in metrics_of(unit) {
            page.family(name, *kind, help);
            for job in &of_unit {
                if let Some(value) = value(&job.counters) {
                    page.sample(name, &[("job_name", job.name)], value);
                }
            }
        }
    }
    page.family("panics_total", Kind::Counter, "Panics of workers that were contained.");
    for job in jobs {
        page.sample("panics_total", &[("job_name", job.name)], job.counters.panics.load(Relaxed));
    }
}

/// One gauge of a partition: its name, help, and where its value comes from. What is not known has no
/// sample.
type PartitionMetric = (&'static str, &'static str, fn(&PartitionView, i64) -> Option<f64>);

const PARTITION_METRICS: &[PartitionMetric] = &[
    ("consumergroup_lag", "Records that are not written yet.", |one, _| one.lag().map(|lag| lag as f64)),
    (
        "consumergroup_lag_seconds",
        "The age of the last record that is written, while there are more; otherwise 0.",
        |one, now| match one.lag()? {
            0 => Some(0.0),
            _ => Some(now.saturating_sub(one.last_time?).max(0) as f64 / 1000.0),
        },
    ),
    ("consumergroup_committed_offset", "The offset that the group holds.", |one, _| {
        one.committed.map(|offset| offset as f64)
    }),
    ("partition_landed_offset", "The next offset after what is written.", |one, _| {
        one.position.map(|offset| offset as f64)
    }),
    ("partition_high_watermark", "The next offset after the last record that can be read.", |one, _| {
        one.end.map(|offset| offset as f64)
    }),
    ("partition_blocked", "Whether the partition cannot be read.", |one, _| {
        Some(f64::from(u8::from(one.blocked.is_some())))
    }),
];

fn of_partitions(page: &mut Page, job: &JobSnapshot, partitions: &[PartitionView], now: i64) {
    let group = job.route.group.as_str();
    for (name, help, value) in PARTITION_METRICS {
        page.family(name, Kind::Gauge, help);
        for one in partitions.iter().take(PARTITIONS_MAX) {
            let Some(value) = value(one, now) else { continue };
            let number = one.partition.to_string();
            let labels = [("consumergroup", group), ("topic", &*one.topic), ("partition", number.as_str())];
            page.sample(name, &labels, value);
        }
    }
    page.family("partitions", Kind::Gauge, "Partitions that this process reads.");
    page.sample("partitions", &[("consumergroup", group)], partitions.len());
    page.family(
        "partitions_left_out",
        Kind::Gauge,
        "Partitions that have no series here, for there are too many.",
    );
    page.sample(
        "partitions_left_out",
        &[("consumergroup", group)],
        partitions.len().saturating_sub(PARTITIONS_MAX),
    );
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// The page that is written.
struct Page {
    out: String,
    format: MetricsFormat,
}

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind_name = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // In OpenMetrics a counter's family has no `_total`, and its samples have.
        let name = match self.format {
            MetricsFormat::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
            MetricsFormat::Text => name,
        };
        // Writing to a string cannot fail.
        let _written = writeln!(self.out, "# HELP pandad_{name} {help}\n# TYPE pandad_{name} {kind_name}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _written = write!(self.out, "pandad_{name}");
        for (number, (label, text)) in labels.iter().enumerate() {
            self.out.push(if number == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _written = writeln!(self.out, " {value}");
    }

    fn end(mut self) -> String {
        if self.format == MetricsFormat::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}
