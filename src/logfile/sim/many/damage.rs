//! A damaged journal of several files: recorded runs are killed, then a byte of the journal is flipped, or a
//! block is set to zero that was not synced. In the end no record is lost. A block doubles nothing; a byte
//! that was synced doubles at most what was written after the last commit.

use super::{Mistake, PARTITIONS, SCRIPT, World};
use crate::logfile::journal::STOP_AT_HOLE;
use crate::logfile::sim::disk::RunEnd;

const JOURNAL_PATH: &str = "/log/all.journal";
const HEADER_BYTES: usize = 128;

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flipped(usize, u8),
    Zeroed(usize, usize),
}

impl World {
    /// Damages the journal, lets the next run finish, and says what is wrong then.
    fn after(&self, damage: Damage, other_boot: bool) -> Option<String> {
        let mut world = self.copy();
        world.disk.damage(JOURNAL_PATH, |bytes| match damage {
            Damage::Flipped(at, mask) => bytes[at] ^= mask,
            Damage::Zeroed(from, to) => bytes[from..to].fill(0),
        });
        world.boot += u128::from(other_boot);
        if world.run(&[]).is_none() {
            return Some("the next run did not end".to_owned());
        }
        if matches!(damage, Damage::Zeroed(..)) {
            let faults = world.faults();
            return (!faults.is_empty()).then(|| faults[..faults.len().min(3)].join("; "));
        }
        let survey = world.survey();
        let mut faults = world.missing(&survey);
        let committed: [i64; PARTITIONS.len()] =
            self.group.each_ref().map(|held| held.as_ref().map_or(0, |(offset, _)| *offset));
        for ((number, record), times) in &survey.times {
            if *times > 2 || *times == 2 && *record < committed[*number] {
                faults.push(format!("{number}/{record} is there {times} times"));
            }
        }
        faults.extend(survey.torn);
        (!faults.is_empty()).then(|| faults[..faults.len().min(3)].join("; "))
    }

    /// The damage to examine.
    fn damages(&self, stride: usize) -> Vec<Damage> {
        let files = self.disk.contents(JOURNAL_PATH);
        // It may be under its first name yet.
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
            let end = start + if first < start + HEADER_BYTES { HEADER_BYTES } else { half };
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

/// Kills the scripted run after every `every` operations, and damages the journal in every way. Returns how
/// many flips and blocks were examined, and the bad states.
fn every_damage(every: usize, stride: usize) -> (u64, u64, Vec<String>) {
    let mut whole = World::new(Mistake::Nothing);
    whole.run(SCRIPT).expect("nothing stops it");
    let begun = World::new(Mistake::Nothing).disk.operations();
    let (mut flips, mut blocks, mut bad) = (0, 0, Vec::new());
    for at in (10..whole.disk.operations() - begun).step_by(every) {
        let mut killed = World::new(Mistake::Nothing);
        killed.disk.stop_after(at);
        assert!(killed.run(SCRIPT).is_none(), "not stopped after {at}");
        killed.disk.end(RunEnd::Kill, &mut fastrand::Rng::with_seed(at));
        for damage in killed.damages(stride) {
            for other_boot in [false, true] {
                match damage {
                    Damage::Flipped(..) => flips += 1,
                    Damage::Zeroed(..) => blocks += 1,
                }
                if let Some(fault) = killed.after(damage, other_boot) {
                    bad.push(format!("{damage:?} after {at}, other boot {other_boot}: {fault}"));
                }
            }
        }
    }
    (flips, blocks, bad)
}

#[test]
fn a_damaged_journal_of_several_files_loses_nothing() {
    let all = std::env::var_os("PANDAD_TEST_ALL").is_some();
    let (flips, blocks, bad) = if all { every_damage(3, 7) } else { every_damage(17, 1601) };
    println!("{flips} states after a flipped byte, {blocks} after a zeroed block, {} bad", bad.len());
    assert!(flips > 500 && blocks > 25, "{flips} and {blocks} are not every damage");
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
fn a_journal_of_several_files_that_is_read_up_to_its_damage_is_seen() {
    STOP_AT_HOLE.set(true);
    let (flips, blocks, bad) = every_damage(41, 1601);
    STOP_AT_HOLE.set(false);
    println!("read up to the damage: {} of {} states are bad", bad.len(), flips + blocks);
    assert!(bad.len() > 20, "only {} are bad", bad.len());
}
