//! A damaged journal: recorded runs are killed, then a byte of the journal is flipped, or an unsynced block
//! is set to zero. In the end no record is lost and no line is torn. A zeroed block doubles nothing; a
//! flipped byte doubles at most what was written after the last acknowledged commit.

use crate::logfile::journal::STOP_AT_HOLE;

use super::{CrashWorld, JOURNAL_PATH, LOG_PATH, Mistake, PARTITIONS, RECORDS, RunEnd, SCRIPT, read_line};

const HEADER_BYTES: usize = 128;

/// What damages the journal.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flipped(usize, u8),
    Zeroed(usize, usize),
}

impl CrashWorld {
    /// How often each record is in the files, and how many lines are not records.
    fn tally(&self) -> ([Vec<u32>; PARTITIONS], usize) {
        let mut times = [(); PARTITIONS].map(|()| vec![0; RECORDS as usize]);
        let mut torn = 0;
        for (_, text) in self.texts() {
            for line in text.split_inclusive('\n') {
                match read_line(line) {
                    Some((number, record)) => times[number][record as usize] += 1,
                    None => torn += 1,
                }
            }
        }
        (times, torn)
    }

    /// How many records of each partition were written after the last commit.
    fn uncommitted(&self) -> [i64; PARTITIONS] {
        let (times, _) = self.tally();
        let held = self.group.each_ref().map(|held| held.as_ref().map_or(0, |(offset, _)| *offset));
        std::array::from_fn(|number| {
            times[number].iter().filter(|times| **times > 0).count() as i64 - held[number]
        })
    }

    /// Damages the journal, lets the next run finish, and says what is wrong then.
    fn after(&self, damage: Damage, other_boot: bool) -> Option<String> {
        let mut world = self.copy();
        world.disk.damage(JOURNAL_PATH, |bytes| match damage {
            Damage::Flipped(at, mask) => bytes[at] ^= mask,
            Damage::Zeroed(from, to) => bytes[from..to].fill(0),
        });
        world.boot += u128::from(other_boot);
        let uncommitted = world.uncommitted();
        if world.run(&[]).is_none() {
            return Some("the next run did not end".to_owned());
        }
        if matches!(damage, Damage::Zeroed(..)) {
            let faults = world.faults();
            return (!faults.is_empty()).then(|| faults[..faults.len().min(3)].join("; "));
        }
        let (times, torn) = world.tally();
        let missing: Vec<usize> =
            times.iter().map(|of| of.iter().filter(|times| **times == 0).count()).collect();
        let doubled = times.map(|of| of.iter().map(|times| i64::from(times.saturating_sub(1))).sum::<i64>());
        let good = torn == 0
            && missing.iter().all(|missing| *missing == 0)
            && doubled.iter().zip(uncommitted).all(|(doubled, uncommitted)| *doubled <= uncommitted);
        (!good).then(|| format!("missing {missing:?}, doubled {doubled:?} of {uncommitted:?}, torn {torn}"))
    }

    /// The damage to examine.
    fn damages(&self, stride: usize) -> Vec<Damage> {
        let files = self.disk.contents(JOURNAL_PATH);
        let Some((_, journal)) = files.iter().find(|(name, _)| name == JOURNAL_PATH) else {
            return Vec::new();
        };
        let offset = self.disk.operations() as usize % stride;
        let flips = (offset..journal.len()).step_by(stride);
        let mut all: Vec<Damage> =
            flips.map(|at| Damage::Flipped(at, if at % 2 == 0 { 0x10 } else { 0xff })).collect();
        let unsynced = self.disk.unsynced(JOURNAL_PATH);
        let half = journal.len() / 2;
        for start in [0, half] {
            let written: Vec<_> =
                unsynced.iter().filter(|(from, _)| (start..start + half).contains(from)).collect();
            let Some(first) = written.iter().map(|(from, _)| *from).min() else { continue };
            // A header is written alone, when everything after it has been synced.
            let is_header = first == start;
            let end = if is_header { first + HEADER_BYTES } else { start + half };
            for size in [512, 4096] {
                let blocks = (start..end).step_by(size).map(|at| (at.max(first), (at + size).min(end)));
                let blocks =
                    blocks.filter(|(from, to)| written.iter().any(|(begin, end)| begin < to && from < end));
                all.extend(blocks.map(|(from, to)| Damage::Zeroed(from, to)));
            }
        }
        all
    }
}

#[derive(Debug, Default)]
struct Examined {
    flips: u64,
    blocks: u64,
    bad: Vec<String>,
}

/// Kills the scripted run after every `every` operations, and damages the journal in every way.
fn every_damage(every: usize, stride: usize) -> Examined {
    let mut whole = CrashWorld::new(Mistake::Nothing);
    whole.run(SCRIPT).expect("nothing stops it");
    let operations = whole.disk.operations();
    let mut examined = Examined::default();
    for at in (10..operations).step_by(every) {
        let mut killed = CrashWorld::new(Mistake::Nothing);
        killed.disk.stop_after(at);
        assert!(killed.run(SCRIPT).is_none(), "not stopped after {at} of {operations}");
        killed.disk.end(RunEnd::Kill, &mut fastrand::Rng::with_seed(at));
        for damage in killed.damages(stride) {
            for other_boot in [false, true] {
                match damage {
                    Damage::Flipped(..) => examined.flips += 1,
                    Damage::Zeroed(..) => examined.blocks += 1,
                }
                if let Some(fault) = killed.after(damage, other_boot) {
                    examined.bad.push(format!("{damage:?} after {at}, other boot {other_boot}: {fault}"));
                }
            }
        }
    }
    examined
}

#[test]
fn a_damaged_journal_loses_nothing_and_doubles_no_commit() {
    let all = std::env::var_os("PANDAD_TEST_ALL").is_some();
    let Examined { flips, blocks, bad } = if all { every_damage(3, 1) } else { every_damage(7, 61) };
    println!(
        "{LOG_PATH}: {flips} states after a flipped byte, {blocks} after a zeroed block, {} bad",
        bad.len()
    );
    assert!(flips > 3000 && blocks > 40, "{flips} and {blocks} are not every damage");
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
fn a_journal_that_is_read_up_to_its_damage_is_seen() {
    STOP_AT_HOLE.set(true);
    let Examined { flips, blocks, bad } = every_damage(11, 61);
    STOP_AT_HOLE.set(false);
    println!("read up to the damage: {} of {} states are bad", bad.len(), flips + blocks);
    assert!(bad.len() > 100, "only {} are bad", bad.len());
}
