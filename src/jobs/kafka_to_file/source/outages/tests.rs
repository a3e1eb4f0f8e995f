use super::*;

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn unreachable(broker: &str) -> OutageCause {
    let why = format!("{broker} is unreachable: refused");
    OutageCause { broker: Some(broker.into()), kind: FailureKind::Broker, why }
}

fn refused(code: &str) -> OutageCause {
    let why = format!("Kafka answers {code}");
    OutageCause { broker: Some("a:9092".into()), kind: FailureKind::Partition, why }
}

fn leaderless(last: Option<&str>) -> OutageCause {
    let why = "no broker leads it: start one".to_owned();
    OutageCause { broker: last.map(Arc::from), kind: FailureKind::NoLeader, why }
}

/// Outages, and a clock that the test advances.
struct Case {
    outages: PartitionOutages,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        Self { outages: PartitionOutages::default(), now: Instant::now() }
    }

    /// These partitions fail for this reason, again and again, for longer than it takes to be logged.
    fn fail(&mut self, numbers: std::ops::Range<i32>, cause: &OutageCause) {
        for _ in 0..=PATIENCE.as_secs() + GATHER_TIME.as_secs() {
            numbers.clone().for_each(|one| self.outages.begin(self.now, &partition(one), 7, cause.clone()));
            self.outages.log_due(self.now);
            self.now += Duration::from_secs(1);
        }
        self.outages.log_due(self.now);
    }

    fn end(&mut self, numbers: std::ops::Range<i32>) {
        numbers.for_each(|one| self.outages.end(self.now, &partition(one)));
    }

    /// The subjects of the outages that are logged and not over.
    fn standing(&self) -> Vec<&str> {
        self.outages.logged.values().map(|logged| logged.subject.as_str()).collect()
    }
}

#[test]
fn many_partitions_of_a_broker_are_one_line() {
    let mut case = Case::new();
    case.fail(0..12, &unreachable("a:9092"));
    assert_eq!(case.standing(), ["12 partitions (t/0, t/1, t/2 and 9 more)"]);
    assert_eq!((case.outages.lines, case.outages.logged_count()), (1, 12));
    case.fail(0..12, &unreachable("a:9092"));
    assert_eq!(case.outages.lines, 1, "it is logged once");
    case.end(0..11);
    assert_eq!((case.standing().len(), case.outages.logged_count()), (1, 1));
    case.end(11..12);
    assert!(case.standing().is_empty(), "the last one ends it");
}

#[test]
fn other_causes_are_other_lines() {
    let mut case = Case::new();
    for (number, cause) in [
        (0, unreachable("a:9092")),
        (1, unreachable("b:9092")),
        (2, refused("CORRUPT_MESSAGE")),
        (3, refused("CORRUPT_MESSAGE")),
    ] {
        case.outages.begin(case.now, &partition(number), 7, cause.clone());
        case.outages.begin(case.now + PATIENCE, &partition(number), 7, cause);
    }
    case.outages.log_due(case.now + PATIENCE);
    assert!(case.standing().is_empty(), "others may follow");
    case.outages.log_due(case.now + PATIENCE + GATHER_TIME);
    let mut standing = case.standing();
    standing.sort_unstable();
    assert_eq!(standing, ["2 partitions (t/2, t/3)", "t/0", "t/1"]);
}

#[test]
fn short_outages_are_not_logged() {
    let (mut outages, now) = (PartitionOutages::default(), Instant::now());
    outages.begin(now, &partition(0), 7, refused("ANY"));
    outages.begin(now + PATIENCE - Duration::from_millis(1), &partition(0), 7, refused("ANY"));
    outages.log_due(now + 2 * PATIENCE);
    outages.begin(now + PATIENCE, &partition(0), 7, refused("ANY"));
    outages.end(now + PATIENCE, &partition(0));
    outages.begin(now + PATIENCE, &partition(0), 7, refused("ANY"));
    outages.log_due(now + 2 * PATIENCE);
    assert_eq!(outages.lines, 0);
    outages.begin(now + 2 * PATIENCE, &partition(0), 7, refused("ANY"));
    outages.forget_unlogged();
    outages.log_due(now + 3 * PATIENCE);
    assert_eq!(outages.lines, 0, "it was part of another outage");
}

/// Each partition notices by itself, after pauses of its own, that its broker is lost.
#[test]
fn partitions_of_a_lost_broker_are_one_line_whatever_they_have_noticed() {
    let mut case = Case::new();
    let mut begin = |number: i32, seconds: u64, cause: OutageCause| {
        let now = case.now + Duration::from_secs(seconds);
        case.outages.begin(now, &partition(number), 7, cause);
        case.outages.log_due(now);
    };
    (0..4).for_each(|one| begin(one, 0, unreachable("a:9092")));
    begin(0, 2, leaderless(Some("a:9092")));
    begin(0, 6, leaderless(Some("a:9092")));
    begin(1, 7, leaderless(Some("b:9092")));
    begin(2, 9, leaderless(None));
    begin(4, 9, leaderless(Some("a:9092")));
    begin(4, 15, leaderless(Some("a:9092")));
    begin(4, 16, leaderless(Some("a:9092")));
    assert_eq!(case.outages.lines, 1);
    assert_eq!(case.standing(), ["5 partitions (t/0, t/1, t/2 and 2 more)"]);
}

/// Partitions that notice late that their broker is gone give no new line; another corrupt partition does.
#[test]
fn later_partitions_join_a_broker_that_is_gone() {
    let mut case = Case::new();
    case.fail(0..2, &unreachable("a:9092"));
    case.fail(2..4, &unreachable("a:9092"));
    assert_eq!(case.standing(), ["4 partitions (t/0, t/1, t/2 and 1 more)"]);
    case.fail(4..5, &refused("CORRUPT_MESSAGE"));
    case.fail(5..6, &refused("CORRUPT_MESSAGE"));
    assert_eq!(case.standing()[1..], ["t/4", "t/5"]);
    assert_eq!((case.outages.lines, case.outages.logged_count()), (3, 6));
}

/// The broker is back, and one partition turns out to be corrupt.
#[test]
fn what_remains_for_another_reason_gets_its_own_line() {
    let mut case = Case::new();
    case.fail(0..3, &unreachable("a:9092"));
    case.fail(2..3, &refused("CORRUPT_MESSAGE"));
    assert_eq!(case.outages.lines, 1, "a reason that changes while all wait is no news");
    case.end(0..2);
    case.fail(2..3, &refused("CORRUPT_MESSAGE"));
    assert_eq!((case.standing(), case.outages.logged_count()), (vec!["t/2"], 1));
    case.end(2..3);
    assert!(case.standing().is_empty() && case.outages.partitions.is_empty());
}

#[test]
fn a_line_names_broker_error_and_remedy_once() {
    let code = "CORRUPT_MESSAGE (see the disk of the broker)";
    assert_eq!(refused(code).text(), format!("broker a:9092: Kafka answers {code}"));
    assert_eq!(
        unreachable("a:9092").text(),
        "a:9092 is unreachable: refused: look at this broker and the network"
    );
    assert_eq!(leaderless(None).text(), "no broker leads it: start one");
    assert_eq!(
        leaderless(Some("a:9092")).text(),
        "no broker leads it: start one; its last leader was a:9092"
    );
    assert_eq!(place(7), "offset 7");
    assert_eq!(place(-1), "its start");
}

#[test]
fn partitions_that_are_not_ours_are_forgotten() {
    let mut case = Case::new();
    case.fail(0..3, &unreachable("a:9092"));
    case.outages.clear();
    assert_eq!((case.outages.logged_count(), case.standing().len()), (0, 0));
    case.end(0..3);
    case.fail(0..3, &unreachable("a:9092"));
    assert_eq!(case.outages.lines, 2, "they are logged again when they are ours again");
}
