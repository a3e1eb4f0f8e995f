//! An operator at the log file: renames, removes, empties, cuts and appends, before each operation of
//! a recorded run whose disk is full for a while in the middle of a write. In the end each record is
//! in the files or in a copy that the operator has kept, and none is twice in the files.
//!
//! Fault model, beside that of the disk:
//!
//! | the operator may | and never does |
//! |---|---|
//! | act once, between any two operations of pandad | act in the middle of one |
//! | act while the disk refuses the rest of a write | touch journal or lock |
//! | append a line, or a line without its end | change a byte in place |

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::disk::{DiskFlaw, OperatorAct, RunEnd, SimDisk};
use crate::logfile::{
    AppendError, Disk, Landmark, Ledger, LogFileOptions, LogWriter, Piece, PositionChange, RestartMemory,
    Rotation, Settler, open_with,
};
use crate::record::{OffsetMetadata, TopicPartition};

const LOG_PATH: &str = "/log/out.log";
/// So small that a run rewrites its journal.
const HALF_BYTES: u64 = 4096;
/// The first offset after each range. After every second range what was written settles.
const RANGES: [i64; 6] = [3, 5, 6, 10, 12, 15];
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

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Lines of different lengths, so that a write stops sometimes in the middle of a line and sometimes at its
/// end.
fn line(record: i64) -> String {
    format!("record {record}, {}whole\n", "x".repeat(record as usize % 4 * 5))
}

fn record_of(text: &str) -> Option<i64> {
    let record = text.strip_prefix("record ")?.split_once(',')?.0.parse().ok()?;
    (line(record) == text).then_some(record)
}

struct OperatorRun {
    writer: LogWriter,
    settler: Settler,
    ledger: Ledger,
}

/// Opens the file. Returns the offset at which to go on.
fn open(disk: &SimDisk, boot: u128) -> (OperatorRun, i64) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let (path, mut memory) = (Path::new(LOG_PATH), RestartMemory::default());
    let opened = open_with(&shared, path, &options, HALF_BYTES, Some(boot), &mut memory);
    let (writer, settler, ledger) = opened.expect("nothing hinders it");
    let nothing = OffsetMetadata::Text(String::new());
    let position = ledger.resume(&partition(), None, &nothing).unwrap().position;
    if position.is_none() {
        ledger.set_position(&partition(), 0).unwrap();
    }
    (OperatorRun { writer, settler, ledger }, position.unwrap_or(0))
}

impl OperatorRun {
    /// Writes the records up to `next` as one range of two pieces, however often the disk refuses.
    /// False if the run was stopped.
    fn append(&mut self, next: i64) -> bool {
        let (index, from) = self.ledger.written(&partition()).unwrap();
        let middle = i64::midpoint(from, next);
        let lines = [(from, middle), (middle, next)].map(|(a, b)| (a..b).map(line).collect::<String>());
        let crcs = lines.each_ref().map(|lines| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(lines.as_bytes());
            crc
        });
        let pieces: Vec<Piece<'_>> =
            lines.iter().zip(&crcs).map(|(lines, crc)| Piece { bytes: lines.as_bytes(), crc }).collect();
        let last = Some(Landmark { offset: next - 1, fingerprint: 0 });
        let change = PositionChange { index, position: next, last };
        for _ in 0..=REFUSALS {
            match self.writer.append(&pieces, std::slice::from_ref(&change)) {
                Ok(()) => return true,
                Err(AppendError::Retry(error)) if error.kind() == std::io::ErrorKind::StorageFull => {}
                Err(_) => return false,
            }
        }
        panic!("refused more often than the disk refuses");
    }

    fn settle(&mut self) -> bool {
        let checkpoint = self.writer.checkpoint();
        let settled = self.settler.settle(checkpoint);
        self.ledger.record_committed(&[]);
        settled.is_ok()
    }

    /// Writes every range that is not written yet.
    fn go_on(&mut self) -> bool {
        let (_, from) = self.ledger.written(&partition()).unwrap();
        let ranges = RANGES.iter().enumerate().filter(|(_, next)| **next > from);
        for (number, next) in ranges {
            if !self.append(*next) || number % 2 == 1 && !self.settle() {
                return false;
            }
        }
        true
    }
}

/// What is wrong with the files. Until the run has ended, the last line may lack its newline. `torn_max`:
/// how many lines may be neither a record's nor the operator's, and how many records may be out of order.
fn faults(disk: &SimDisk, torn_max: usize, has_ended: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found: HashMap<i64, usize> = HashMap::new();
    let (mut torn, mut backwards) = (Vec::new(), 0);
    for (name, bytes) in disk.contents(LOG_PATH.strip_suffix("log").unwrap()) {
        if name.contains(".journal") {
            continue;
        }
        let mut last = -1;
        for text in String::from_utf8_lossy(&bytes).split_inclusive('\n') {
            match record_of(text) {
                Some(record) => {
                    *found.entry(record).or_default() += 1;
                    backwards += usize::from(record < last);
                    last = record;
                }
                None if matches!(text, "a note\n" | "a note" | "\n") => {}
                None => torn.push(format!("{name}: {text:?}")),
            }
        }
    }
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    if !doubled.is_empty() {
        faults.push(format!("doubled: {doubled:?}"));
    }
    let copies = disk.copies();
    let texts: Vec<_> = copies.iter().map(|copy| String::from_utf8_lossy(copy)).collect();
    let copied = texts.iter().flat_map(|text| text.split_inclusive('\n')).filter_map(record_of);
    found.extend(copied.map(|record| (record, 1)));
    let missing: Vec<_> = (0..RANGES[5]).filter(|record| !found.contains_key(record)).collect();
    if !missing.is_empty() {
        faults.push(format!("missing: {missing:?}"));
    }
    let unended = has_ended && torn.iter().any(|text| !text.ends_with("\\n\""));
    if torn.len() > torn_max || unended || backwards > torn_max {
        faults.push(format!("torn: {torn:?}, {backwards} out of order"));
    }
    faults
}

/// How many lines may be torn. A line is torn only if somebody has put bytes after a part of it, or has
/// taken a part of it away while the rest was being written.
fn torn_max(act: OperatorAct) -> usize {
    match act {
        OperatorAct::Rename | OperatorAct::Remove | OperatorAct::RenameAndRemove => 0,
        _ => 3,
    }
}

/// A disk with the first range written and settled, and how many operations that took.
fn begun() -> (SimDisk, OperatorRun) {
    let disk = SimDisk::new(DiskFlaw::None);
    let (mut run, _) = open(&disk, 1);
    assert!(run.append(1) && run.settle());
    (disk, run)
}

fn operations() -> (u64, u64) {
    let (disk, mut run) = begun();
    let from = disk.operations();
    assert!(run.go_on());
    assert_eq!(faults(&disk, 0, true), Vec::<String>::new(), "without an operator");
    (from, disk.operations())
}

/// One case: at which operation the disk is full and how much room it has then, and what the operator does
/// at which operation.
#[derive(Debug, Clone, Copy)]
struct OperatorCase {
    act: OperatorAct,
    at: u64,
    full: u64,
    room: usize,
}

impl OperatorCase {
    fn begin(self) -> (SimDisk, OperatorRun) {
        let (disk, run) = begun();
        disk.plan_full(self.full, self.room, REFUSALS);
        disk.plan_act(self.at, LOG_PATH, self.act);
        (disk, run)
    }

    /// The run goes on to its end. Then it is killed, and the next start must find nothing to do.
    /// `None`: the operator came too late.
    fn faults(self) -> Option<Vec<String>> {
        let (disk, mut run) = self.begin();
        assert!(run.go_on(), "nothing stops it");
        if !disk.has_acted() {
            return None;
        }
        let mut found = faults(&disk, torn_max(self.act), false);
        drop(run);
        let (mut run, position) = start_again(&disk);
        if position != RANGES[5] || !run.go_on() {
            found.push(format!("goes on at {position}"));
        }
        found.extend(
            faults(&disk, torn_max(self.act), true).into_iter().map(|fault| format!("again: {fault}")),
        );
        Some(found)
    }

    /// Kills the run this many operations after the operator has acted, and lets another run go on. If
    /// lines were torn, lines of the same write may come twice.
    fn faults_after_kill(self, more: u64) -> Vec<String> {
        let (disk, mut run) = self.begin();
        disk.stop_after((self.at + more).saturating_sub(disk.operations()));
        run.go_on();
        drop(run);
        let (mut run, _) = start_again(&disk);
        assert!(run.go_on(), "nothing stops it");
        let mut found = faults(&disk, torn_max(self.act), true);
        found.retain(|fault| torn_max(self.act) == 0 || fault.starts_with("missing"));
        found
    }
}

fn start_again(disk: &SimDisk) -> (OperatorRun, i64) {
    disk.leave_alone();
    disk.end(RunEnd::Kill, &mut fastrand::Rng::with_seed(1));
    open(disk, 1)
}

fn every_case() -> Vec<OperatorCase> {
    let all = std::env::var_os("PANDAD_TEST_ALL").is_some();
    let (from, to) = operations();
    let rooms: Vec<usize> = if all { (0..40).collect() } else { vec![0, 11, 22, 33] };
    let mut cases = Vec::new();
    for act in ACTS {
        for full in from..to {
            for room in rooms.iter().copied() {
                cases.extend((full..full + 9).map(|at| OperatorCase { act, at, full, room }));
            }
        }
    }
    cases
}

fn assert_good(states: u64, bad: &[String]) {
    println!("{states} states with an operator, {} bad", bad.len());
    assert!(states > 5000, "{states} are not every step");
    assert!(bad.is_empty(), "{} of {states}:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
fn an_operator_loses_doubles_and_tears_no_record() {
    let (mut states, mut bad) = (0, Vec::new());
    for case in every_case() {
        let Some(found) = case.faults() else { continue };
        states += 1;
        if !found.is_empty() {
            bad.push(format!("{case:?}: {}", found.join("; ")));
        }
    }
    assert_good(states, &bad);
}

#[test]
fn a_kill_after_an_operator_loses_no_record() {
    let (mut states, mut bad) = (0, Vec::new());
    for case in every_case() {
        let more = 1 + (case.at * 7 + case.room as u64) % 12;
        let found = case.faults_after_kill(more);
        states += 1;
        if !found.is_empty() {
            bad.push(format!("{case:?}, killed {more} later: {}", found.join("; ")));
        }
    }
    assert_good(states, &bad);
}

/// A run in which another program appends a line before each range. False if it was stopped.
fn beside_another(disk: &SimDisk, run: &mut OperatorRun, note: &'static str) -> bool {
    RANGES.iter().enumerate().all(|(number, next)| {
        disk.append_at_once(LOG_PATH, note);
        run.append(*next) && (number % 2 == 0 || run.settle())
    })
}

#[test]
fn what_another_program_appends_costs_no_sync() {
    let disk = SimDisk::new(DiskFlaw::None);
    let (mut run, _) = open(&disk, 1);
    // As long as the last mark found the file empty, each range costs a sync of the journal.
    assert!(run.append(1) && run.settle());
    let mut cost = |note: Option<&'static str>, next| {
        if let Some(note) = note {
            disk.append_at_once(LOG_PATH, note);
        }
        let before = disk.operations();
        assert!(run.append(next));
        disk.operations() - before
    };
    let alone = cost(None, 2);
    // Each range costs one more entry of the journal, and one more write for the newline if the other line
    // has none.
    assert_eq!(cost(Some("a note\n"), 3), alone + 1);
    assert_eq!(cost(Some("a note"), 4), alone + 2);
    assert!(run.writer.is_foreign_logged(), "one line says so");
}

#[test]
fn after_a_power_loss_beside_another_program_no_record_is_lost_or_doubled() {
    let whole = SimDisk::new(DiskFlaw::None);
    let (mut run, _) = open(&whole, 1);
    let from = whole.operations();
    assert!(beside_another(&whole, &mut run, "a note\n"));
    let (mut states, mut bad) = (0, Vec::new());
    for at in from..=whole.operations() {
        for seed in 0..100 {
            let disk = SimDisk::new(DiskFlaw::None);
            let (mut run, _) = open(&disk, 1);
            disk.stop_after(at - from);
            beside_another(&disk, &mut run, if seed % 2 == 0 { "a note\n" } else { "a note" });
            drop(run);
            disk.leave_alone();
            let end = if seed % 3 == 0 { RunEnd::Kill } else { RunEnd::PowerLoss };
            disk.end(end, &mut fastrand::Rng::with_seed(at * 1000 + seed));
            let (mut run, _) = open(&disk, if end == RunEnd::Kill { 1 } else { 2 });
            assert!(run.go_on(), "nothing stops it");
            states += 1;
            let found = faults(&disk, 0, true);
            if !found.is_empty() {
                bad.push(format!("{end:?} at {at}, {seed}: {}", found.join("; ")));
            }
        }
    }
    assert_good(states, &bad);
}
