//! The status as text for a terminal: `pandad status`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use super::readiness::one_line;

/// What one process answered to `pandad status`.
#[derive(Debug, Clone)]
pub struct StatusReport(Value);

impl StatusReport {
    /// Reads the JSON of [`super::json()`].
    ///
    /// # Errors
    /// A text: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match whole.get("jobs") {
            Some(Value::Array(_)) => Ok(Self(whole)),
            _ => Err("it has no jobs".to_owned()),
        }
    }

    /// Whether nobody needs to look after any job.
    pub fn is_well(&self) -> bool {
        self.0.get("well") == Some(&Value::Bool(true))
    }

    /// The names of its jobs.
    pub fn jobs(&self) -> Vec<String> {
        list(&self.0, "jobs").iter().map(|job| text(job, "name")).collect()
    }
}

/// The report as lines for people.
pub fn terminal(report: &StatusReport) -> String {
    let whole = &report.0;
    let mut out = String::new();
    let runs = (number(whole, "taken_ms") - number(whole, "started_ms")) / 1000;
    // Writing to a string cannot fail.
    let _written = writeln!(
        out,
        "pandad {}, process {}, {}, running for {}",
        text(whole, "version"),
        number(whole, "pid"),
        text(whole, "config"),
        lasts(runs)
    );
    for job in list(whole, "jobs") {
        append_job(&mut out, job, number(whole, "taken_ms"));
    }
    out
}

fn append_job(out: &mut String, job: &Value, taken_ms: i64) {
    let (state, since) = (text(job, "state"), lasts(number(job, "lasts_s")));
    let _written = writeln!(out, "\n{}: {state} for {since}", text(job, "name"));
    let _written = writeln!(out, "  {}  ->  {}", text(job, "from"), text(job, "to"));
    for reason in list(job, "reasons") {
        let (subject, why) = (text(reason, "subject"), one_line(&text(reason, "why")));
        let since = lasts(number(reason, "lasts_s"));
        let _written = writeln!(out, "  waits: {subject} for {since}: {why}");
    }
    for server in list(job, "servers") {
        let is = match server.get("up") {
            Some(Value::Bool(true)) => "up for",
            Some(Value::Bool(false)) => "down for",
            _ => {
                let _written = writeln!(out, "  server: {}: not asked yet", text(server, "name"));
                continue;
            }
        };
        let since = lasts(number(server, "lasts_s"));
        let _written = write!(out, "  server: {}: {is} {since}", text(server, "name"));
        let heard = server.get("heard_s").and_then(Value::as_i64);
        let _written = match heard {
            Some(ago @ 5..) => writeln!(out, ", no answer for {}", lasts(ago)),
            _ => writeln!(out),
        };
    }
    let figures = job.get("figures").and_then(Value::as_object);
    let words = figures
        .into_iter()
        .flatten()
        .filter(|(key, _)| !["state", "waits_for", "waits_s"].contains(&key.as_str()));
    let words: Vec<String> = words.map(|(key, value)| format!("{key}={}", plain(value))).collect();
    let _written = writeln!(out, "  {}", words.join(" "));
    append_partitions(out, job, taken_ms);
}

/// The partitions that are furthest behind.
fn append_partitions(out: &mut String, job: &Value, taken_ms: i64) {
    let all = list(job, "partitions");
    let count = job.get("partitions_count").and_then(Value::as_u64).unwrap_or(0);
    if count > 0 {
        let _written = writeln!(out, "  partitions: {count}");
    }
    let is_of_interest = |one: &&Value| {
        !one.get("blocked").is_some_and(Value::is_null) || one.get("lag").and_then(Value::as_u64) != Some(0)
    };
    for one in all.iter().filter(is_of_interest).take(10) {
        let name = format!("{}/{}", text(one, "topic"), number(one, "partition"));
        let at = |key| one.get(key).map_or_else(|| "unknown".to_owned(), plain);
        let _written = write!(out, "    {name}: at {} of {}, lag {}", at("position"), at("end"), at("lag"));
        if let Some(time) = one.get("last_time_ms").and_then(Value::as_i64) {
            let _written = write!(out, ", last record {} old", lasts((taken_ms - time).max(0) / 1000));
        }
        if let Some(why) = one.get("blocked").filter(|blocked| !blocked.is_null()) {
            let since = lasts(number(why, "lasts_s"));
            let _written = write!(out, ", blocked for {since}: {}", one_line(&text(why, "why")));
        }
        let _written = writeln!(out);
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    one_line(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or(0)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => one_line(text),
        other => other.to_string(),
    }
}

/// A duration in the two largest units that fit.
fn lasts(seconds: i64) -> String {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
