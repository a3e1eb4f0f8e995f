//! Goal: a damaged journal brings nothing back that was written long ago. Method: pandad is killed or
//! stopped, and bytes or blocks of its journal are changed before each start.

use crate::support::unsettled::Unsettled;
use crate::support::{all, seed};
use std::fs;
use std::path::Path;

const UNREADABLE: &str = "consumer.log.journal.unreadable";
/// The length of a half in the journals of these tests.
const HALF: usize = 256 * 1024;
/// Where a half's frames begin, and where a frame's payload does.
const FRAMES_AT: usize = 128;
const FRAME_HEADER: usize = 12;
const KIND_MARK: u8 = 3;

/// The half in force, by the place of its frames.
struct Half {
    start: usize,
    /// Behind the last mark, up to where everything was synced.
    synced: usize,
    end: usize,
}

impl Half {
    fn of(journal: &[u8]) -> Half {
        let generation = |at: usize| u64::from_be_bytes(journal[at + 26..at + 34].try_into().unwrap());
        let start = if generation(HALF) > generation(0) { HALF } else { 0 };
        let number = |at: usize| u32::from_be_bytes(journal[at..at + 4].try_into().unwrap()) as usize;
        let (mut end, mut synced) = (start + FRAMES_AT, 0);
        while end + FRAME_HEADER < start + HALF && number(end + 8) == end - start {
            let next = end + FRAME_HEADER + number(end + 4);
            if journal[end + FRAME_HEADER] == KIND_MARK {
                synced = next;
            }
            end = next;
        }
        assert!(synced > 0, "no mark in the journal");
        Half { start, synced, end }
    }
}

fn damage(at: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let journal = at.join("consumer.log.journal");
    let mut bytes = fs::read(&journal).unwrap();
    change(&mut bytes);
    fs::write(journal, bytes).unwrap();
}

/// Killed each time; one byte of either half, or a block that was not synced.
#[test]
fn damaged_bytes_of_the_journal_double_nothing() {
    let (rounds, seed) = (if all() { 120 } else { 8 }, seed());
    println!("PANDAD_TEST_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (at, mut to) = Unsettled::in_a_directory("a damaged byte or block of the journal, and a kill -9");
    let log = [at.join("consumer.log")];
    to.settle();
    for round in 0..rounds {
        to.kill();
        let mut done = String::new();
        damage(&at, |journal| {
            let half = Half::of(journal);
            let older = HALF - half.start;
            let at = match round % 4 {
                0 | 1 => dice.usize(half.start..half.end),
                2 => older + dice.usize(0..half.end - half.start),
                _ => {
                    let size = [512, 4096][dice.usize(0..2)];
                    let blocks = half.synced / size..half.end.div_ceil(size);
                    let block = dice.usize(blocks) * size;
                    journal[block.max(half.synced)..block + size].fill(0);
                    done = format!("a block of {size} bytes at {block}");
                    return;
                }
            };
            let bit = 1 << dice.u8(0..8);
            journal[at] ^= bit;
            done = format!("byte {at}, bit {bit:#x}, of {} to {}", half.start, half.end);
        });
        to.write();
        assert!(!at.join(UNREADABLE).exists(), "{done}: {}", to.daemon.log());
        to.assert_whole(&log, &done);
    }
    to.daemon.stop();
    to.assert_whole(&log, "in the end");
    to.passed(format_args!("{rounds} kills"));
    fs::remove_dir_all(&at).unwrap();
}

/// Stopped each time, so that the group holds the ends. What is left of the journal must not be taken
/// for an older one.
#[test]
fn journal_without_its_end_or_newest_half_doubles_nothing() {
    let (at, mut to) = Unsettled::in_a_directory("a journal that was cut off, or whose newest half is lost");
    let log = [at.join("consumer.log")];
    to.write();
    for round in 0..if all() { 28 } else { 7 } {
        to.daemon.stop();
        damage(&at, |journal| {
            let half = Half::of(journal);
            match round % 7 {
                0 => journal.truncate(half.end - 1),
                1 => journal.truncate(half.start + FRAMES_AT + 20),
                2 => journal.truncate(HALF),
                3 => journal.truncate(2 * HALF - 1),
                4 => journal[half.start..half.start + HALF].fill(0),
                5 => journal[half.start..half.start + HALF].fill(0xff),
                _ => journal.copy_within(HALF - half.start..2 * HALF - half.start, half.start),
            }
        });
        to.write();
        to.assert_whole(&log, &format!("round {round}"));
    }
    to.daemon.stop();
    to.passed("7 kinds of damage");
    fs::remove_dir_all(&at).unwrap();
}
