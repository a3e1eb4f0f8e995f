//! A damaged journal: recorded runs are killed, then a byte of the journal is flipped, a block is set
//! to zero that was not synced, the file is cut off, or a half is overwritten. In the end no record is
//! lost, and no line is torn unless the whole journal was. Blocks double nothing; the others double at
//! most what was written after the last commit that was acknowledged.

use crate::logfile::journal::STOP_AT_HOLE;

use super::{CrashWorld, JOURNAL_PATH, LOG_PATH, Mistake, PARTITIONS, RECORDS, RunEnd, SCRIPT, read_line};

const HEADER_BYTES: usize = 128;

/// What damages the journal.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flipped(usize, u8),
    Zeroed(usize, usize),
    /// The file has so many bytes.
    Cut(usize),
    /// A half is full of this byte.
    Overwritten(usize, u8),
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
            Damage::Cut(length) => bytes.truncate(length),
            Damage::Overwritten(number, byte) => {
                let half = bytes.len() / 2;
                bytes[number * half..(number + 1) * half].fill(byte);
            }
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
        // Without a journal, a torn line cannot be told from another program's. It gets a newline, which
        // may make it whole.
        let ended = i64::from(!matches!(damage, Damage::Flipped(..)));
        let good = torn as i64 <= ended
            && missing.iter().all(|missing| *missing == 0)
            && doubled.iter().zip(uncommitted).all(|(doubled, uncommitted)| *doubled <= uncommitted + ended);
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
        all.extend((offset..journal.len()).step_by(stride * 16).map(Damage::Cut));
        all.extend([0, 1].into_iter().flat_map(|half| [0, 0xff].map(|byte| Damage::Overwritten(half, byte))));
        let unsynced = self.disk.unsynced(JOURNAL_PATH);
        let half = journal.len() / 2;
        for start in [0, half] {
            let written: Vec<_> =
                unsynced.iter().filter(|(from, _)| (start..start + half).contains(from)).collect();
            let Some(first) = written.iter().map(|(from, _)| *from).min() else { continue };
            // A header is written alone, when everything after it has been synced.
            let is_header = first < start + HEADER_BYTES;
            let end = start + if is_header { HEADER_BYTES } else { half };
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
    /// States after a file that was cut off, or a half that was overwritten.
    losses: u64,
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
                    Damage::Cut(_) | Damage::Overwritten(..) => examined.losses += 1,
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
    let Examined { flips, blocks, losses, bad } = if all { every_damage(3, 1) } else { every_damage(7, 61) };
    println!(
        "{LOG_PATH}: {flips} states after a flipped byte, {blocks} after a zeroed block, {losses} after a \
         lost end or half, {} bad",
        bad.len()
    );
    assert!(
        flips > 3000 && blocks > 40 && losses > 500,
        "{flips}, {blocks} and {losses} are not every damage"
    );
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad[..bad.len().min(12)].join("\n"));
}

#[test]
fn a_journal_that_is_read_up_to_its_damage_is_seen() {
    STOP_AT_HOLE.set(true);
    let Examined { flips, blocks, losses, bad } = every_damage(11, 61);
    STOP_AT_HOLE.set(false);
    println!("read up to the damage: {} of {} states are bad", bad.len(), flips + blocks + losses);
    assert!(bad.len() > 100, "only {} are bad", bad.len());
}
