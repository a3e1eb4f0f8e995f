//! Simulated histories of one to three hosts that share a group. The function under test is [`decide`]
//! itself; an oracle knows what must be in the files.
//!
//! Fault model:
//!
//! | it may | it never does |
//! |---|---|
//! | kill a host at any step of a start | tear a range: the crash points do that |
//! | leave any number of unsettled ranges | |
//! | lose a commit or its answer, or carry it out in part, late, never | carry it out in a later generation |
//! | move partitions | assign a partition to two hosts at once |
//! | reset, expire or delete offsets, copy metadata | |
//! | put an older copy of a host's files back | change a file by hand |
//! | recreate a topic; upgrade from commits without tokens | |
//!
//! `PANDAD_TEST_ALL=1` runs fifty times as many histories. `PANDAD_TEST_SEED=N` runs only the history of
//! that number and prints it.

mod event;
mod host;
mod limits;
mod mirror;
mod oracle;
mod vocabulary;
mod world;
mod wrong_rules;

use std::collections::BTreeMap;

use crate::logfile::resume::decide;
use crate::record::Token;
use event::HistoryEvent;
use fastrand::Rng;
use limits::{Limit, Tally};
use mirror::LedgerMirror;
use vocabulary::{Claiming, CommitStyle, HistorySetting, Naming, PARTITIONS, Rule, claiming};
use world::HistoryWorld;

/// A kind of installation.
#[derive(Debug, Clone, Copy)]
struct Installation {
    name: &'static str,
    hosts: (usize, usize),
    commits: CommitStyle,
    upgrades: bool,
    naming: Naming,
    claiming: Claiming,
    mirrored: bool,
}

const ALONE: Installation = Installation {
    name: "a host alone",
    hosts: (1, 1),
    commits: CommitStyle::Tokens,
    upgrades: false,
    naming: Token::naming,
    claiming,
    mirrored: false,
};
/// Offsets in ZooKeeper, or commits by the legacy client.
const ALONE_WITHOUT_TOKENS: Installation =
    Installation { name: "a host alone, without tokens", commits: CommitStyle::Values, ..ALONE };
const ALONE_AND_UPGRADED: Installation = Installation {
    name: "a host alone, from some start on with tokens",
    upgrades: true,
    ..ALONE_WITHOUT_TOKENS
};
/// Members of a coordinated group.
const SEVERAL: Installation =
    Installation { name: "several hosts", hosts: (2, 3), commits: CommitStyle::TokensFirst, ..ALONE };
/// Hosts that run one after the other, as a person starts them.
const SEVERAL_WITHOUT_TOKENS: Installation =
    Installation { name: "several hosts, without tokens", commits: CommitStyle::Values, ..SEVERAL };

impl Installation {
    fn history(self, rule: Rule, seed: u64) -> (HistorySetting, Vec<HistoryEvent>) {
        let mut dice = Rng::with_seed(seed);
        let hosts = dice.usize(self.hosts.0..=self.hosts.1);
        let partitions = dice.usize(1..=PARTITIONS);
        let Self { commits, upgrades, naming, claiming, mirrored, .. } = self;
        let setting =
            HistorySetting { hosts, partitions, commits, upgrades, rule, naming, claiming, mirrored };
        (setting, event::history(&mut dice, hosts))
    }
}

/// Runs a history up to the first thing that is wrong.
fn run(setting: HistorySetting, events: &[HistoryEvent], with_story: bool) -> HistoryWorld {
    let mut world = HistoryWorld::new(setting, with_story);
    world.mirror = setting.mirrored.then(LedgerMirror::new);
    for event in events {
        world.happen(event);
        if let Some(mirror) = &mut world.mirror {
            world.oracle.violations.append(&mut mirror.faults);
        }
        if !world.oracle.violations.is_empty() {
            return world;
        }
    }
    let faults = world.faults();
    world.oracle.violations.extend(faults);
    world
}

/// A shorter history with the same `flaw`: the shortest beginning that has it, without every event that can
/// be left out.
fn shrink(
    setting: HistorySetting,
    mut events: Vec<HistoryEvent>,
    flaw: impl Fn(&HistoryWorld) -> bool,
) -> Vec<HistoryEvent> {
    let flawed = |events: &[HistoryEvent]| flaw(&run(setting, events, false));
    let shortest = (0..=events.len()).find(|length| flawed(&events[..*length]));
    events.truncate(shortest.unwrap_or(events.len()));
    loop {
        let length = events.len();
        for at in (0..length).rev() {
            let left_out = events.remove(at);
            if !flawed(&events) {
                events.insert(at, left_out);
            }
        }
        if events.len() == length {
            return events;
        }
    }
}

/// The shortest form of a history, in words.
fn in_words(kind: Installation, rule: Rule, seed: u64, flaw: impl Fn(&HistoryWorld) -> bool) -> String {
    let (setting, events) = kind.history(rule, seed);
    let world = run(setting, &shrink(setting, events, flaw), true);
    let (story, violations) = (world.story.unwrap_or_default(), &world.oracle.violations);
    format!("{}\n{}", story.join("\n"), violations.join("\n"))
}

/// The results of many histories.
#[derive(Debug, Default)]
struct ManyHistories {
    histories: u32,
    tally: Tally,
    /// How many histories met each limit, and the first one that did.
    limits: BTreeMap<Limit, (u32, u64)>,
    /// Histories in which something is wrong that no limit allows.
    wrong: Vec<u64>,
}

fn many(kind: Installation, rule: Rule, seeds: impl IntoIterator<Item = u64>) -> ManyHistories {
    let mut many = ManyHistories::default();
    for seed in seeds {
        let (setting, events) = kind.history(rule, seed);
        let world = run(setting, &events, false);
        many.histories += 1;
        many.tally.add(&world.oracle.tally);
        for limit in world.oracle.tally.limits.keys() {
            many.limits.entry(*limit).or_insert((0, seed)).0 += 1;
        }
        if !world.oracle.violations.is_empty() {
            many.wrong.push(seed);
        }
    }
    many
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None if std::env::var("PANDAD_TEST_ALL").is_ok_and(|value| value == "1") => (0..count * 50).collect(),
        None => (0..count).collect(),
    }
}

/// Runs histories of a kind. They may meet these limits and no others.
fn holds(kind: Installation, limits: &[Limit]) {
    let seeds = seeds(6_000);
    let many = many(kind, decide, seeds.iter().copied());
    println!("{} histories of {}: {:?}", many.histories, kind.name, many.tally);
    for (limit, (histories, seed)) in &many.limits {
        println!("{limit:?}: in {histories}, first PANDAD_TEST_SEED={seed}");
        let meets = |world: &HistoryWorld| world.oracle.tally.limits.contains_key(limit);
        if seeds.len() == 1 || !limits.contains(limit) {
            println!("{}", in_words(kind, decide, *seed, meets));
        }
    }
    if let Some(seed) = many.wrong.first() {
        let wrong = |world: &HistoryWorld| !world.oracle.violations.is_empty();
        panic!(
            "{} histories are wrong; the first, PANDAD_TEST_SEED={seed}, in short:\n{}",
            many.wrong.len(),
            in_words(kind, decide, *seed, wrong)
        );
    }
    if seeds.len() > 1 {
        let others = many.limits.keys().filter(|limit| !limits.contains(limit));
        assert_eq!(others.count(), 0, "limits: {:?}", many.limits);
        // Some limits are rare, but they must be within reach.
        assert!(many.limits.len() + 1 >= limits.len(), "limits: {:?}", many.limits);
        for (limit, (histories, _)) in &many.limits {
            assert!(*histories < many.histories / 5, "{limit:?} in {histories} of {}", many.histories);
        }
        assert!(many.tally.honoured > many.histories / 2);
    }
}

#[test]
fn a_single_host_stays_within_its_limit() {
    holds(ALONE, &[Limit::LateClaim]);
}

#[test]
fn a_single_host_without_tokens_stays_within_its_limits() {
    use Limit::{LateClaim, LateWithoutToken, ResetToKeptValue, RestoredUnknown, RestoredWithoutToken};
    let limits = [RestoredUnknown, ResetToKeptValue, RestoredWithoutToken, LateWithoutToken];
    holds(ALONE_WITHOUT_TOKENS, &limits);
    holds(ALONE_AND_UPGRADED, &[&limits[..], &[LateClaim]].concat());
}

#[test]
fn several_hosts_stay_within_their_limits() {
    use Limit::{Expired, RestoredAndPassed, RestoredInOtherHistory, RestoredUnknown};
    holds(SEVERAL, &[Expired, RestoredAndPassed, RestoredInOtherHistory, RestoredUnknown]);
}

/// This case needs tokens. Without tokens the test only shows that nothing is lost, except where older
/// copies are put back.
#[test]
fn several_hosts_without_tokens_stay_within_their_limits() {
    use Limit::{Expired, RestoredAndPassed, RestoredInOtherHistory, RestoredUnknown};
    use Limit::{ResetToKeptValue, SeveralWithoutToken};
    let restored = [RestoredAndPassed, RestoredInOtherHistory, RestoredUnknown];
    let limits = [&restored[..], &[Expired, ResetToKeptValue, SeveralWithoutToken]].concat();
    holds(SEVERAL_WITHOUT_TOKENS, &limits);
}

/// A simulator proves something only if it finds the mistakes that are made on purpose.
#[test]
fn simpler_rules_give_wrong_histories() {
    for kind in [ALONE, ALONE_WITHOUT_TOKENS, SEVERAL] {
        for (name, rule) in wrong_rules::SIMPLER {
            let wrong = many(kind, rule, 0..1_000).wrong.len();
            println!("{name}: {wrong} of 1000 histories of {} wrong", kind.name);
            assert!(wrong > 100, "{name}: {wrong} of 1000 of {}", kind.name);
        }
    }
}

#[test]
fn each_row_of_the_decision_table_is_needed() {
    let credulous = Installation { naming: |_, text| Token::parse(text), ..SEVERAL };
    let renaming =
        Installation { claiming: |_, _, offset, _, fresh| Token::claim(fresh.into(), offset), ..ALONE };
    let rows: [(&str, Rule, Installation, u64); 9] = [
        ("a token names its offset", wrong_rules::any_offset, credulous, 1_000),
        ("histories are told apart", wrong_rules::any_history, SEVERAL, 1_000),
        ("a journal knows its own tokens", wrong_rules::any_journal, ALONE, 1_000),
        ("those of other histories, too", wrong_rules::own_of_this_history, ALONE, 1_000),
        ("a reset to the position is one", wrong_rules::by_position, SEVERAL, 4_000),
        ("the journal keeps values", wrong_rules::no_values, ALONE_WITHOUT_TOKENS, 1_000),
        ("the journal keeps histories", wrong_rules::no_histories, ALONE, 6_000),
        ("a journal that never knew begins anew", wrong_rules::followed, ALONE, 6_000),
        ("a claim keeps its name", decide, renaming, 1_000),
    ];
    for (name, rule, kind, count) in rows {
        let wrong = many(kind, rule, 0..count).wrong.len();
        println!("without \"{name}\": {wrong} of {count} histories wrong");
        assert!(wrong >= 5, "{name}: {wrong} of {count}");
    }
}

/// The mistake: several hosts write before the group holds a token of the history that they are in.
#[test]
fn writing_before_the_commit_gives_wrong_histories() {
    let wrong = many(Installation { commits: CommitStyle::Tokens, ..SEVERAL }, decide, 0..1_000).wrong.len();
    println!("{wrong} of 1000 histories wrong");
    assert!(wrong > 50);
}

/// The shortest form of a wrong history is found, and shows what happened.
#[test]
fn a_wrong_history_is_reduced_to_its_shortest_form() {
    let wrong = many(ALONE, wrong_rules::the_group, 0..100).wrong;
    let story =
        in_words(ALONE, wrong_rules::the_group, wrong[0], |world| !world.oracle.violations.is_empty());
    println!("{story}");
    assert!(story.lines().count() < 20 && story.contains("must start in"), "{story}");
}

/// The simulated hosts do what the ledger does: the same histories once more, beside the real log file.
#[test]
fn the_ledger_agrees_with_the_simulated_books() {
    for kind in [ALONE, ALONE_WITHOUT_TOKENS, ALONE_AND_UPGRADED] {
        let kind = Installation { mirrored: true, ..kind };
        let many = many(kind, decide, seeds(300));
        println!("{} histories of {}: {:?}", many.histories, kind.name, many.tally);
        let Some(seed) = many.wrong.first() else { continue };
        let story = in_words(kind, decide, *seed, |world| !world.oracle.violations.is_empty());
        panic!(
            "{} histories are wrong; the first, PANDAD_TEST_SEED={seed}, in short:\n{story}",
            many.wrong.len()
        );
    }
}
