//! The status as JSON: `/status.json` and `pandad status --json`.

use serde_json::{Map, Value, json};

use super::history::Sample;
use super::snapshot::{JobRoute, JobSnapshot, ServerSnapshot, Snapshot};
use crate::report::{CountedUnit, FigureValue, PartitionView};

/// How many partitions are listed. What is behind or blocked comes first.
const PARTITIONS_MAX: usize = 2000;

/// The whole snapshot, with the samples of the last hour for each job where there are any.
///
/// Times are milliseconds since 1970 (`…_ms`) or seconds that something has lasted (`…_s`). What is not known
/// is `null`.
pub fn json(snapshot: &Snapshot, history: &[(&'static str, Vec<Sample>)]) -> String {
    let jobs = snapshot.jobs.iter().map(|job| {
        let samples = history.iter().find(|(name, _)| *name == job.name).map(|(_, samples)| samples);
        of_job(job, samples.map_or(&[], Vec::as_slice))
    });
    let whole = json!({
        "version": snapshot.version,
        "pid": snapshot.pid,
        "config": snapshot.config,
        "started_ms": snapshot.started_ms,
        "taken_ms": snapshot.taken_ms,
        "well": snapshot.is_well(),
        "jobs": jobs.collect::<Vec<Value>>(),
    });
    format!("{whole}\n")
}

fn of_job(job: &JobSnapshot, samples: &[Sample]) -> Value {
    let JobRoute { from, to, group } = &job.route;
    let reasons = job.reasons.iter().map(
        |(reason, lasts)| json!({"subject": reason.subject, "lasts_s": lasts.as_secs(), "why": reason.why}),
    );
    let figures: Map<String, Value> =
        job.figures.iter().map(|figure| (figure.key.to_owned(), of_figure(&figure.value))).collect();
    json!({
        "name": job.name,
        "unit": unit(job.unit),
        "from": from,
        "to": to,
        "group": Some(group).filter(|group| !group.is_empty()),
        "state": job.state.word(),
        "well": job.state.is_well(),
        "lasts_s": job.lasts.as_secs(),
        "behind": job.behind(),
        "reasons": reasons.collect::<Vec<Value>>(),
        "servers": job.servers.iter().map(of_server).collect::<Vec<Value>>(),
        "figures": figures,
        "partitions": job.partitions.as_deref().map(of_partitions),
        "partitions_count": job.partitions.as_ref().map(Vec::len),
        "history": samples.iter().map(of_sample).collect::<Vec<Value>>(),
    })
}

/// What the job counts.
fn unit(unit: CountedUnit) -> &'static str {
    match unit {
        CountedUnit::Records => "records",
        CountedUnit::Keys => "keys",
        CountedUnit::Items => "items",
    }
}

fn of_figure(value: &FigureValue) -> Value {
    match value {
        FigureValue::Count(count) => json!(count),
        FigureValue::Measured(number) => json!(number),
        FigureValue::Unknown => Value::Null,
        FigureValue::Word(word) => json!(word),
        FigureValue::Text(text) => json!(text),
    }
}

fn of_server(server: &ServerSnapshot) -> Value {
    json!({
        "kind": server.kind.to_string(),
        "name": server.name,
        "up": server.up,
        "lasts_s": server.lasts.as_secs(),
        "heard_s": server.heard.map(|ago| ago.as_secs()),
        "why": server.why,
    })
}

/// Blocked partitions first, then those of which nobody knows the end, then by their lag.
fn of_partitions(all: &[PartitionView]) -> Value {
    let mut order: Vec<&PartitionView> = all.iter().collect();
    order.sort_by_key(|one| {
        (one.blocked.is_none(), one.lag().is_some(), std::cmp::Reverse(one.lag().unwrap_or(0)))
    });
    let listed = order.iter().take(PARTITIONS_MAX).map(|one| {
        json!({
            "topic": &*one.topic,
            "partition": one.partition,
            "position": one.position,
            "committed": one.committed,
            "end": one.end,
            "lag": one.lag(),
            "last_time_ms": one.last_time,
            "blocked": one.blocked.as_ref().map(|(since, why)| {
                json!({"lasts_s": since.elapsed().as_secs(), "why": why})
            }),
        })
    });
    Value::Array(listed.collect())
}

/// Short, for there are many: seconds ago, done so far, lag, lateness in milliseconds.
fn of_sample(sample: &Sample) -> Value {
    json!([sample.taken_ms, sample.done, sample.lag, sample.late_ms])
}
