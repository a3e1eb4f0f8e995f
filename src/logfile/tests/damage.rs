//! A damaged journal: what it must neither forget nor bring back.

use super::super::journal::MemberIdentity;
use super::*;

/// The half in force, and what the header of that half says: its base.
fn in_force(journal: &[u8]) -> (usize, usize) {
    let number = |at: usize| u64::from_be_bytes(journal[at..at + 8].try_into().unwrap());
    let half = journal.len() / 2;
    let active = if number(half + 26) > number(26) { half } else { 0 };
    (active, number(active + 38) as usize)
}

/// A kill in the middle of a rewrite: the other half is filled already, and has the header of its last
/// generation. Then a block of the snapshot in force is damaged, with the entry of a partition and the mark.
#[test]
fn a_half_that_is_being_rewritten_does_not_pass_for_an_older_one() {
    let dir = Dir::new();
    let other = TopicPartition::new("t", 1);
    let mut log = at_boot(&dir, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    log.ledger.set_position(&other, 70).unwrap();
    append(&mut log, 0, 5);
    settle(&mut log);
    drop(log);
    drop(at_boot(&dir, 1));
    let journal = dir.0.join("out.log.journal");
    let mut bytes = fs::read(&journal).unwrap();
    let (active, base) = in_force(&bytes);
    let half = bytes.len() / 2;
    bytes[half - active + 128..][..half - 128].fill(0xff);
    let first_length = u32::from_be_bytes(bytes[active + 132..active + 136].try_into().unwrap()) as usize;
    bytes[active + 128 + 12 + first_length..active + base].fill(0);
    fs::write(&journal, bytes).unwrap();
    let log = at_boot(&dir, 1);
    let resumed = log.ledger.resume(&other, None, &OffsetMetadata::Unsupported).unwrap();
    let is_aside = dir.0.join("out.log.journal.unreadable").exists();
    assert!(is_aside || resumed.position == Some(70), "{resumed:?}");
}

/// A mark settled each of 150 records on its own, one entry has `long` bytes more, and a kill tore the last
/// write.
fn with_many_marks(long: usize) -> Dir {
    let dir = Dir::new();
    let mut log = at_boot(&dir, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    for n in 0..150 {
        append(&mut log, n, n + 1);
        settle(&mut log);
        log.ledger.record_committed(&[(partition(), n + 1)]);
        if n == 20 && long > 0 {
            log.ledger.record_member(MemberIdentity { id: "m".repeat(long), silent: false }).unwrap();
        }
    }
    append(&mut log, 150, 155);
    let torn = dir.content().len() as u64 - 5;
    OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(torn).unwrap();
    dir
}

#[test]
fn a_lost_page_with_several_marks_is_made_up_for() {
    for (size, long) in [(512, 0), (4096, 0), (4096, 5000)] {
        let dir = with_many_marks(long);
        let journal = dir.0.join("out.log.journal");
        let (whole, text) = (fs::read(&journal).unwrap(), dir.content());
        let (active, _) = in_force(&whole);
        for at in (4096..24576).step_by(size) {
            let mut bytes = whole.clone();
            bytes[active + at..][..size].fill(0);
            fs::write(&journal, bytes).unwrap();
            fs::write(dir.log(), &text).unwrap();
            let log = at_boot(&dir, 1);
            let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
            let found = (resumed.position, dir.content() == lines(150));
            assert_eq!(found, (Some(150), true), "{size} bytes at {at}, one entry with {long} more");
        }
    }
}

/// Offsets without a token, as in ZooKeeper. The mark that announced a commit is damaged, and the next mark
/// announces none, because that commit is not answered yet. The group takes the commit; then comes a kill.
#[test]
fn our_own_commit_is_no_reset_when_the_mark_that_announced_it_is_lost() {
    let dir = Dir::new();
    let resume = |log: &LogFile, held| {
        log.ledger.resume(&partition(), held, &OffsetMetadata::Unsupported).unwrap().position
    };
    let log = at_boot(&dir, 1);
    resume(&log, None);
    log.ledger.set_position(&partition(), 0).unwrap();
    drop(log);
    // The partition's entry is in the snapshot, so no mark repeats it for its own sake.
    let mut log = at_boot(&dir, 1);
    resume(&log, None);
    append(&mut log, 0, 5);
    assert_eq!(settle(&mut log), [(partition(), 5)]);
    append(&mut log, 5, 7);
    log.ledger.record_committed(&[(partition(), 5)]);
    let journal = dir.0.join("out.log.journal");
    let before = fs::read(&journal).unwrap();
    assert_eq!(settle(&mut log), [(partition(), 7)]);
    let after = fs::read(&journal).unwrap();
    append(&mut log, 7, 9);
    assert_eq!(settle(&mut log), [], "the commit of 7 is under way");
    drop(log);
    let mark = before.iter().zip(&after).position(|(one, other)| one != other).unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    bytes[mark + 20] ^= 0x10;
    fs::write(&journal, bytes).unwrap();
    let log = at_boot(&dir, 1);
    assert_eq!(resume(&log, Some(7)), Some(9), "records 7 and 8 are in the file, and settled");
}

/// A journal that was settled up to 3, and then made to forget its positions. Also: its bytes before that,
/// and the name that it had.
fn forgotten() -> (Dir, Vec<u8>, u128) {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    let identity = log.ledger.identity();
    drop(log);
    let before = fs::read(dir.0.join("out.log.journal")).unwrap();
    assert_eq!(inspect::forget(&dir.log()), Ok(1));
    (dir, before, identity)
}

/// One byte is damaged in the snapshot that knows no partition. The half before it is asked, which is the
/// old one if the command was killed in its middle.
#[test]
fn forgotten_positions_do_not_come_back_with_a_damaged_byte() {
    for is_killed in [false, true] {
        let (dir, before, _) = forgotten();
        let journal = dir.0.join("out.log.journal");
        let mut bytes = fs::read(&journal).unwrap();
        let (half, (last, _)) = (bytes.len() / 2, in_force(&bytes));
        if is_killed {
            bytes[last..last + half].copy_from_slice(&before[last..last + half]);
            // The notes that this half has followed.
            let first = half - last;
            [54, 118].into_iter().for_each(|note| bytes[first + note..first + note + 8].fill(0));
        }
        let (active, _) = in_force(&bytes);
        assert_eq!(active != last, is_killed);
        bytes[active + 128 + 20] ^= 0x10;
        fs::write(&journal, bytes).unwrap();
        let (log, position) = again(&dir, None);
        assert!(!log.ledger.knows_topic("t") && position == -1, "killed: {is_killed}");
        assert!(!dir.0.join("out.log.journal.unreadable").exists(), "killed: {is_killed}");
    }
}

/// With the old name, its own tokens would tell the journal that it knew the partition once, and it would
/// go to the first record.
#[test]
fn a_forgotten_journal_keeps_its_new_name_when_a_header_is_lost() {
    let (dir, _, identity) = forgotten();
    let journal = dir.0.join("out.log.journal");
    let mut bytes = fs::read(&journal).unwrap();
    let (active, _) = in_force(&bytes);
    bytes[active..active + 128].fill(0);
    fs::write(&journal, bytes).unwrap();
    let (log, _) = again(&dir, None);
    assert_ne!(log.ledger.identity(), identity);
}

/// The length of the last entry is damaged, so that the entry seems to go on behind the end of its page. It
/// was a range, whose lines must not be taken for another program's: they would come twice.
#[test]
fn a_damaged_length_at_the_end_doubles_no_line() {
    let dir = Dir::new();
    let mut log = at_boot(&dir, 1);
    log.ledger.set_position(&partition(), 0).unwrap();
    append(&mut log, 0, 5);
    settle(&mut log);
    let journal = dir.0.join("out.log.journal");
    let before = fs::read(&journal).unwrap();
    append(&mut log, 5, 7);
    drop(log);
    let mut bytes = fs::read(&journal).unwrap();
    let last = before.iter().zip(&bytes).position(|(one, other)| one != other).unwrap();
    // 4096 bytes more.
    bytes[last + 6] ^= 0x10;
    fs::write(&journal, bytes).unwrap();
    let mut log = at_boot(&dir, 1);
    let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
    append(&mut log, resumed.position.unwrap(), 9);
    assert_eq!(dir.content(), lines(9));
}

/// More is lost than any mark repeats, and all of it was synced. Whether the machine was started anew since
/// or not: going on where the damage begins would double what was committed long ago.
#[test]
fn a_hole_that_nothing_makes_up_for_is_no_end() {
    let dir = with_many_marks(0);
    let journal = dir.0.join("out.log.journal");
    let (whole, text) = (fs::read(&journal).unwrap(), dir.content());
    let (active, _) = in_force(&whole);
    for boot in [1, 2] {
        let mut bytes = whole.clone();
        bytes[active + 4096..][..12288].fill(0);
        fs::write(&journal, &bytes).unwrap();
        fs::write(dir.log(), &text).unwrap();
        let log = at_boot(&dir, boot);
        let resumed = log.ledger.resume(&partition(), None, &OffsetMetadata::Unsupported).unwrap();
        assert_eq!(resumed.position, None, "boot {boot}");
        drop(log);
        let aside = dir.0.join("out.log.journal.unreadable");
        assert!(fs::read(&aside).unwrap() == bytes, "boot {boot}");
        assert!(dir.content().starts_with(&text), "boot {boot}: nothing is cut");
        fs::remove_file(aside).unwrap();
    }
}
