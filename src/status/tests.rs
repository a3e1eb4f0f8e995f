//! Every form says the same of one process.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::web::respond;
use super::*;
use crate::http::{HttpRequest, Response, Status};
use crate::report::{CountedUnit, Counters, PartitionView, ServerKind};

fn job(name: &'static str, unit: CountedUnit) -> ShownJob {
    let counters = Counters::shared(name, unit);
    counters.phase.begin_run();
    let group = if unit == CountedUnit::Records { "g" } else { "" };
    let route = JobRoute { from: "from \"here\"".into(), to: "to".into(), group: group.into() };
    ShownJob { name, route, counters }
}

/// All three jobs, which run.
fn process() -> StatusSource {
    let jobs = vec![
        job("kafka_to_file", CountedUnit::Records),
        job("expired_to_list", CountedUnit::Keys),
        job("list_to_hash", CountedUnit::Items),
    ];
    StatusSource { config: "/etc/pandad/.inv".into(), started: SystemTime::now(), jobs: Arc::new(jobs) }
}

fn counters<'a>(source: &'a StatusSource, name: &str) -> &'a Counters {
    &source.jobs.iter().find(|job| job.name == name).unwrap().counters
}

fn partition(number: i32, lag: i64, blocked: Option<&str>) -> PartitionView {
    PartitionView {
        topic: "t\"1".into(),
        partition: number,
        position: Some(100),
        committed: (number > 0).then_some(90),
        end: (number != 2).then_some(100 + lag),
        last_time: Some(1_000),
        blocked: blocked.map(|why| (Instant::now(), why.to_owned())),
    }
}

fn ask(source: &StatusSource, path: &str) -> Response {
    let (host, accept) = (None, String::new());
    let request = HttpRequest { is_head: false, path: path.into(), host, accept };
    respond(&request, source, &History::default(), &Pulse::default())
}

#[test]
fn a_process_that_works_is_well_on_every_surface() {
    let source = process();
    let snapshot = source.look();
    assert!(snapshot.is_well());
    assert_eq!(readiness(&snapshot), (true, "ready\n".to_owned()));
    let text = json(&snapshot, &[]);
    let report = StatusReport::parse(&text).unwrap();
    assert!(report.is_well());
    assert_eq!(report.jobs(), ["kafka_to_file", "expired_to_list", "list_to_hash"]);
    assert!(terminal(&report).contains("kafka_to_file: running for 0 s\n"), "{}", terminal(&report));
    assert_eq!(ask(&source, "/ready").status, Status::Ok);
    assert_eq!(ask(&source, "/live").status, Status::Ok);
    assert_eq!(ask(&source, "/other").status, Status::NotFound);
    let page = ask(&source, "/metrics").body;
    assert!(page.contains("pandad_job_up{job_name=\"list_to_hash\"} 1\n"), "{page}");
}

/// The figures that people found wrong: lag 0 and a good disk while nobody answers.
#[test]
fn dead_servers_show_on_every_surface() {
    let source = process();
    let kafka = counters(&source, "kafka_to_file");
    let mut broker = kafka.conditions.server(ServerKind::Kafka, "10.0.0.1:9092");
    broker.down(Instant::now(), "Connection refused; look at the brokers");
    let list = counters(&source, "list_to_hash");
    let mut redis = list.conditions.server(ServerKind::Redis, "redis_list 10.0.0.2:6379");
    redis.up(Instant::now());
    redis.down(Instant::now(), "Connection reset");

    let snapshot = source.look();
    assert!(!snapshot.is_well());
    let (is_ready, why) = readiness(&snapshot);
    assert_eq!(
        (is_ready, why.as_str()),
        (
            false,
            "kafka_to_file: waiting: 10.0.0.1:9092 for 0 s: Connection refused; look at the brokers\n\
             list_to_hash: waiting: redis_list 10.0.0.2:6379 for 0 s: Connection reset\n"
        )
    );
    assert_eq!(ask(&source, "/ready").status, Status::Unavailable);
    let page = ask(&source, "/metrics").body;
    for line in [
        "pandad_job_up{job_name=\"kafka_to_file\"} 0\n",
        "pandad_job_up{job_name=\"expired_to_list\"} 1\n",
        "pandad_job_state{job_name=\"list_to_hash\",state=\"waiting\"} 1\n",
        "pandad_server_up{job_name=\"kafka_to_file\",kind=\"kafka\",server=\"10.0.0.1:9092\"} 0\n",
        "pandad_server_up{job_name=\"list_to_hash\",kind=\"redis\",server=\"redis_list 10.0.0.2:6379\"} 0\n",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    let whole: Value = serde_json::from_str(&json(&snapshot, &[])).unwrap();
    assert_eq!(whole["well"], false);
    assert_eq!(whole["jobs"][0]["state"], "waiting");
    assert_eq!(whole["jobs"][0]["figures"]["lag"], Value::Null);
    assert_eq!(whole["jobs"][0]["reasons"][0]["why"], "Connection refused; look at the brokers");
    assert_eq!(whole["jobs"][2]["servers"][0]["up"], false);
    let shown = terminal(&StatusReport::parse(&json(&snapshot, &[])).unwrap());
    assert!(shown.contains("waits: 10.0.0.1:9092 for 0 s: Connection refused"), "{shown}");
    assert!(shown.contains("server: redis_list 10.0.0.2:6379: down for 0 s\n"), "{shown}");
    assert!(shown.contains("lag=unknown"), "{shown}");
    assert!(kafka.to_string().contains("lag=unknown"), "{kafka}");
}

#[test]
fn partitions_are_shown_with_what_is_known() {
    let source = process();
    let kafka = counters(&source, "kafka_to_file");
    kafka
        .partitions
        .set(|| vec![partition(0, 0, None), partition(1, 7, Some("no leader")), partition(2, 0, None)]);
    let page = ask(&source, "/metrics").body;
    let labels = |number| format!("{{consumergroup=\"g\",topic=\"t\\\"1\",partition=\"{number}\"}}");
    for (name, number, value) in [
        ("consumergroup_lag", 0, "0"),
        ("consumergroup_lag", 1, "7"),
        ("consumergroup_lag_seconds", 0, "0"),
        ("consumergroup_committed_offset", 1, "90"),
        ("partition_landed_offset", 2, "100"),
        ("partition_high_watermark", 1, "107"),
        ("partition_blocked", 1, "1"),
    ] {
        let line = format!("pandad_{name}{} {value}\n", labels(number));
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    assert!(!page.contains(&format!("pandad_consumergroup_lag{}", labels(2))), "nobody has said its end");
    assert!(!page.contains(&format!("pandad_consumergroup_committed_offset{}", labels(0))), "{page}");
    let whole: Value = serde_json::from_str(&json(&source.look(), &[])).unwrap();
    let numbers: Vec<_> =
        whole["jobs"][0]["partitions"].as_array().unwrap().iter().map(|one| &one["partition"]).collect();
    assert_eq!(numbers, [1, 2, 0], "blocked, then unknown, then by lag");
    // Partitions that are given away vanish.
    kafka.partitions.clear();
    assert!(!ask(&source, "/metrics").body.contains("partition="));
}

/// Each family once, with its type before its samples; nothing twice; no label that breaks a line.
#[test]
fn the_metrics_are_well_formed_in_both_formats() {
    let source = process();
    let many = || (0..2100).map(|number| partition(number, 1, None)).collect();
    counters(&source, "kafka_to_file").partitions.set(many);
    for format in [MetricsFormat::Text, MetricsFormat::OpenMetrics] {
        let page = metrics(&source.look(), &source.jobs, format);
        let (mut family, mut families, mut series) =
            (String::new(), Vec::new(), std::collections::HashSet::new());
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(!families.contains(&name.to_owned()), "{name} is there twice");
                assert!(
                    kind != "counter" || (format == MetricsFormat::Text) == name.ends_with("_total"),
                    "{name}"
                );
                family = name.to_owned();
                families.push(family.clone());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with(&family) && value.parse::<f64>().is_ok(), "{line} after {family}");
                assert!(series.insert(name.to_owned()), "{name} is there twice");
            }
        }
        assert!(families.len() > 30, "{families:?}");
        assert_eq!(page.ends_with("# EOF\n"), format == MetricsFormat::OpenMetrics);
        assert!(page.contains("pandad_partitions_left_out{consumergroup=\"g\"} 100\n"));
        assert!(page.len() < 2 << 20, "{} bytes", page.len());
    }
}

#[test]
fn the_history_keeps_one_hour() {
    let (source, history) = (process(), History::default());
    let items = counters(&source, "list_to_hash");
    for number in 0..400 {
        items.done.store(number, Relaxed);
        history.record(&source.look());
    }
    let all = history.all();
    let (name, samples) = &all[2];
    assert_eq!((*name, samples.len()), ("list_to_hash", 360));
    assert_eq!((samples[0].done, samples[359].done), (40, 399));
    assert_eq!(all[0].1[0].lag, None, "nobody has said it");
    let whole: Value = serde_json::from_str(&json(&source.look(), &all)).unwrap();
    assert_eq!(whole["jobs"][2]["history"].as_array().unwrap().len(), 360);
    assert_eq!(whole["jobs"][2]["history"][359][1], 399);
}

/// Control characters of a server's text would move the cursor of a terminal, or make lines of their own.
#[test]
fn texts_of_servers_stay_in_their_line() {
    let source = process();
    let mut redis = counters(&source, "list_to_hash").conditions.server(ServerKind::Redis, "a:1");
    redis.down(Instant::now(), "ERR \x1b[2Jgone\nfoo: bar");
    let (_, why) = readiness(&source.look());
    assert_eq!((why.lines().count(), why.contains('\x1b')), (1, false), "{why:?}");
    let shown = terminal(&StatusReport::parse(&json(&source.look(), &[])).unwrap());
    assert!(!shown.contains('\x1b') && shown.contains("gone foo: bar"), "{shown:?}");
}
