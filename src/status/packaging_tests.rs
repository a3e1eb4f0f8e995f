//! What is shipped for monitoring names metrics that there are, and the document names all of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::{JobRoute, MetricsFormat, ShownJob, StatusSource, metrics};
use crate::report::{CountedUnit, Counters, PartitionView, ServerKind};

const ALERTS: &str = include_str!("../../packaging/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../packaging/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../packaging/grafana.json");
const DOCUMENT: &str = include_str!("../../docs/monitoring.md");

/// A process of which everything is known, so that every metric has a sample.
fn page() -> String {
    let job = |(name, unit)| {
        let counters = Counters::shared(name, unit);
        counters.lag_unknown.store(0, Relaxed);
        counters.conditions.server(ServerKind::Kafka, "k:9092").up(Instant::now());
        if unit == CountedUnit::Records {
            counters.partitions.set(|| {
                vec![PartitionView {
                    topic: "t".into(),
                    partition: 0,
                    position: Some(1),
                    committed: Some(1),
                    end: Some(2),
                    last_time: Some(0),
                    blocked: None,
                }]
            });
        }
        ShownJob { name, route: JobRoute::default(), counters }
    };
    let jobs = [
        ("kafka_to_file", CountedUnit::Records),
        ("expired_to_list", CountedUnit::Keys),
        ("list_to_hash", CountedUnit::Items),
    ];
    let jobs = Arc::new(jobs.map(job).to_vec());
    let source = StatusSource { config: ".inv".into(), started: SystemTime::now(), jobs };
    metrics(&source.look(), &source.jobs, MetricsFormat::Text)
}

/// The metrics that have a sample.
fn written(page: &str) -> BTreeSet<&str> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// Every word of the text that begins as the name of a metric does.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.filter(|word| word.starts_with("pandad_")).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let page = page();
    let written = written(&page);
    for (file, text, least) in
        [("alerts.yml", ALERTS, 10), ("alerts_test.yml", ALERTS_TEST, 10), ("grafana.json", DASHBOARD, 30)]
    {
        let named = named(text);
        assert!(named.len() >= least, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&written).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn the_document_has_each_metric_and_no_other() {
    let page = page();
    let rows: BTreeSet<&str> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `pandad_"))
        .filter_map(|rest| rest.split(['{', '`']).next())
        .collect();
    let written: BTreeSet<&str> =
        written(&page).into_iter().filter_map(|name| name.strip_prefix("pandad_")).collect();
    assert_eq!(rows, written);
}

#[test]
fn the_dashboard_chooses_its_source_job_and_instance() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let variables: Vec<Value> =
        list(&dashboard["templating"]["list"]).iter().map(|one| one["name"].clone()).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
    let panels = list(&dashboard["panels"]);
    let targets: Vec<Value> = panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .flat_map(|panel| list(&panel["targets"]))
        .collect();
    assert!(targets.len() > 20, "{}", targets.len());
    for target in targets {
        let expr = target["expr"].as_str().unwrap();
        assert!(expr.contains(r#"{job=~"$job", instance=~"$instance"}"#), "{expr}");
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{expr}");
    }
}
