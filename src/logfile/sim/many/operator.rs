//! An operator at one of several files: renames, removes, empties, cuts and appends, before each operation of
//! a recorded run whose disk is full for a while now and then. In the end each record is in its file or in a
//! copy that the operator has kept, and none is twice in the files. The fault model is that of an operator at
//! one file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::shipped::where_written;
use super::{FOREIGN, Mistake, PARTITIONS, RECORDS, ROOT, SCRIPT, World, partition, path_of, read_line};
use crate::logfile::disk::Disk;
use crate::logfile::sim::disk::{OperatorAct, RunEnd};

const ACTS: [OperatorAct; 9] = [
    OperatorAct::Rename,
    OperatorAct::Remove,
    OperatorAct::RenameAndRemove,
    OperatorAct::Empty,
    OperatorAct::Cut(9),
    OperatorAct::Append("a note\n"),
    OperatorAct::Append("a note"),
    OperatorAct::Append("\n"),
    OperatorAct::RenameAndAppend("a note"),
];
/// How often the full disk refuses.
const REFUSALS: u32 = 3;

/// One case: what the operator does at which operation of the run to which file, and from which operation on
/// the disk is full, and how much room it has then.
#[derive(Debug, Clone)]
struct Case {
    act: OperatorAct,
    at: u64,
    path: String,
    full: Option<(u64, usize)>,
}

/// How long each file is after so many operations.
fn lengths(at: u64) -> BTreeMap<String, usize> {
    let mut stopped = World::new(Mistake::Nothing);
    stopped.disk.stop_after(at);
    stopped.run(SCRIPT);
    let files = stopped.disk.contents(&format!("{ROOT}/"));
    let files = files.into_iter().filter(|(name, _)| name.ends_with(".log"));
    files.map(|(name, bytes)| (name, bytes.len())).collect()
}

/// The files that are written around this operation.
fn written_around(at: u64) -> Vec<String> {
    const AROUND: u64 = 12;
    let (earlier, later) = (lengths(at.saturating_sub(AROUND)), lengths(at + AROUND));
    lengths(at).into_keys().filter(|name| earlier.get(name) != later.get(name)).collect()
}

/// Cases of each act at every operation, or at some of these.
fn every_case() -> Vec<Case> {
    let all = std::env::var_os("PANDAD_TEST_ALL").is_some();
    let (step, per_act) = if all { (1, 8) } else { (17, 1) };
    let mut whole = World::new(Mistake::Nothing);
    let begun = whole.disk.operations();
    whole.run(SCRIPT).expect("nothing stops it");
    let mut cases = Vec::new();
    for at in (0..whole.disk.operations() - begun).step_by(step) {
        let paths = written_around(at);
        let mut dice = fastrand::Rng::with_seed(at);
        for act in ACTS.into_iter().flat_map(|act| std::iter::repeat_n(act, per_act)) {
            let Some(path) = dice.choice(&paths).cloned() else { continue };
            let room = [0, 7, 18, 25, 40][dice.usize(0..5)];
            let full = dice.bool().then(|| (at.saturating_sub(dice.u64(0..8)), room));
            cases.push(Case { act, at, path, full });
        }
    }
    cases
}

/// What is in the files.
#[derive(Default)]
pub(super) struct Survey {
    faults: Vec<String>,
    /// How often each record is in the files.
    pub(super) times: BTreeMap<(usize, i64), usize>,
    pub(super) torn: Vec<String>,
    backwards: usize,
    notes: usize,
}

impl World {
    pub(super) fn survey(&self) -> Survey {
        let (mut survey, mut numbers) = (Survey::default(), BTreeSet::new());
        for (name, bytes) in self.disk.contents("/") {
            // A file that is being moved has two names.
            if name.starts_with("/log/all.") || !numbers.insert(self.disk.number_of(&name)) {
                continue;
            }
            let name = where_written(&name);
            let mut last = [-1; PARTITIONS.len()];
            for line in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
                survey.notes += line.matches("a note").count();
                let Some((number, record)) = read_line(line) else {
                    if !matches!(line, FOREIGN | "a note\n" | "a note" | "\n") {
                        survey.torn.push(format!("{name}: {line:?}"));
                    }
                    continue;
                };
                *survey.times.entry((number, record)).or_default() += 1;
                let path = path_of(number, record);
                let is_own = |path: &Path| name.starts_with(path.to_str().unwrap());
                if !is_own(&path) && !is_own(&path.with_extension("old")) {
                    survey.faults.push(format!("{name}: {number}/{record} belongs to another file"));
                }
                survey.backwards += usize::from(record <= last[number]);
                last[number] = record;
            }
        }
        survey
    }

    /// The records that are neither in the files nor in a copy.
    pub(super) fn missing(&self, survey: &Survey) -> Vec<String> {
        let copies = self.disk.copies();
        let texts: Vec<_> = copies.iter().map(|copy| String::from_utf8_lossy(copy)).collect();
        let copied: Vec<_> =
            texts.iter().flat_map(|text| text.split_inclusive('\n')).filter_map(read_line).collect();
        let all = (0..PARTITIONS.len()).flat_map(|number| (0..RECORDS).map(move |record| (number, record)));
        let missing = all.filter(|record| !survey.times.contains_key(record) && !copied.contains(record));
        missing.map(|(number, record)| format!("{number}/{record} is missing")).collect()
    }
}

impl Case {
    fn begin(&self) -> World {
        let world = World::new(Mistake::Nothing);
        let begun = world.disk.operations();
        world.disk.plan_act(begun + self.at, &self.path, self.act);
        if let Some((at, room)) = self.full {
            world.disk.plan_full(begun + at, room, REFUSALS);
        }
        world
    }

    /// How many lines may be torn, or stand before earlier ones. A line is torn only if somebody has put
    /// bytes after a part of it, or has taken a part of it away while the rest was being written.
    fn torn_max(&self) -> usize {
        match self.act {
            OperatorAct::Rename | OperatorAct::Remove | OperatorAct::RenameAndRemove => 0,
            _ => 3,
        }
    }

    fn appends_note(&self) -> bool {
        matches!(self.act, OperatorAct::Append("a note\n" | "a note") | OperatorAct::RenameAndAppend(_))
    }

    /// What is wrong with the files. `may_double`: lines of the operator's file may come twice.
    fn faults(&self, world: &World, may_double: bool) -> Vec<String> {
        let survey = world.survey();
        let mut faults = world.missing(&survey);
        let is_allowed = |number, record| may_double && path_of(number, record).to_str() == Some(&self.path);
        for ((number, record), times) in &survey.times {
            if *times > if is_allowed(*number, *record) { 2 } else { 1 } {
                faults.push(format!("{number}/{record} is there {times} times"));
            }
        }
        if survey.torn.len() > self.torn_max() || survey.backwards > self.torn_max() && !may_double {
            faults.push(format!("torn: {:?}, {} out of order", survey.torn, survey.backwards));
        }
        faults.extend(survey.faults);
        faults
    }

    /// The run goes on to its end. Then it is killed, and the next start must find nothing to do. `None`: the
    /// operator came too late.
    fn faults_at_end(&self) -> Option<Vec<String>> {
        let mut world = self.begin();
        let ended = world.run(SCRIPT);
        if !world.disk.has_acted() {
            return None;
        }
        let mut found = self.faults(&world, false);
        if ended.is_none() {
            found.push("the run did not end".to_owned());
        }
        if world.survey().notes != usize::from(self.appends_note()) {
            found.push(format!("{} notes", world.survey().notes));
        }
        let before = world.disk.contents("/");
        world.disk.leave_alone();
        world.disk.end(RunEnd::Kill, &mut fastrand::Rng::with_seed(1));
        world.run(&[]);
        let logs = |files: Vec<(String, Vec<u8>)>| -> Vec<_> {
            files.into_iter().filter(|(name, _)| !name.starts_with("/log/all.")).collect()
        };
        if logs(before) != logs(world.disk.contents("/")) {
            found.push("the next start changes the files".to_owned());
        }
        Some(found)
    }

    /// Stops the run this many operations after the operator has acted, and lets another run finish.
    fn faults_after_stop(&self, more: u64, end: RunEnd) -> Vec<String> {
        let mut world = self.begin();
        world.disk.stop_after(self.at + more);
        world.run(SCRIPT);
        world.disk.leave_alone();
        let mut dice = fastrand::Rng::with_seed(self.at);
        world.boot += u128::from(end == RunEnd::PowerLoss);
        world.disk.end(end, &mut dice);
        if world.run(&[]).is_none() {
            return vec!["the last run did not end".to_owned()];
        }
        self.faults(&world, self.torn_max() > 0)
    }
}

fn assert_good(states: u64, bad: &[String]) {
    println!("{states} states with an operator at one of several files, {} bad", bad.len());
    assert!(states > 200, "{states} are not every step");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
fn an_operator_at_one_of_several_files_loses_doubles_and_tears_no_record() {
    let (mut states, mut bad) = (0, Vec::new());
    for case in every_case() {
        let Some(found) = case.faults_at_end() else { continue };
        states += 1;
        if !found.is_empty() {
            bad.push(format!("{case:?}: {}", found.join("; ")));
        }
    }
    assert_good(states, &bad);
}

#[test]
fn a_stop_after_an_operator_at_one_of_several_files_loses_no_record() {
    let (mut states, mut bad) = (0, Vec::new());
    for case in every_case() {
        let more = 1 + (case.at * 7 + case.path.len() as u64) % 30;
        for end in [RunEnd::Kill, RunEnd::PowerLoss] {
            let found = case.faults_after_stop(more, end);
            states += 1;
            if !found.is_empty() {
                bad.push(format!("{case:?}, {end:?} {more} later: {}", found.join("; ")));
            }
        }
    }
    assert_good(states, &bad);
}

/// A mark was appended and is not durable when an entry of a partition follows that relies on it. Before, one
/// of the files was removed, so that without the mark the lines in the others are cut.
#[test]
fn a_partitions_entry_never_outlives_the_marks_before_it() {
    for seed in 0..400 {
        let mut world = World::new(Mistake::Nothing);
        let mut run = world.open().unwrap();
        run.append(&[0], 4).unwrap();
        let checkpoint = run.ledger.checkpoint().0;
        checkpoint.sync().unwrap();
        run.ledger.mark(checkpoint.mark).unwrap();
        world.disk.remove(&path_of(0, 0)).unwrap();
        // The entry may be written and not synced.
        world.disk.stop_after(seed % 4);
        let _ = run.ledger.set_position(&partition(0), 4);
        world.boot += 1;
        world.disk.end(RunEnd::PowerLoss, &mut fastrand::Rng::with_seed(seed));
        world.run(&[]).unwrap();
        let mut missing = world.missing(&world.survey());
        missing.retain(|record| record != "0/0 is missing" && record != "0/2 is missing");
        assert_eq!(missing, Vec::<String>::new(), "seed {seed}");
    }
}
