//! The open files of a set: how many there are, and what becomes of a file that was closed meanwhile.

use super::*;

fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// A range was given up, and the next one cannot be announced yet. Only the very same lines can go on.
#[test]
fn a_range_that_was_given_up_stays_pending_until_its_lines_are_written() {
    let (dir, faults) = (Dir::new(), FullDisk::new());
    let (mut set, _) = open_set_on(&disk_with(&faults), &dir);
    let is_allowed = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_allowed);
    set.writers.set_guard(Arc::new(move || asked.load(Relaxed)));
    set.append(0, 6);
    faults.room.store(24, Relaxed);
    set.try_append(6, 12).unwrap_err();
    // The first file has all of its lines already, and the range is given up in this file.
    OpenOptions::new().append(true).open(file(&dir, "a")).unwrap().write_all(b"a note\n").unwrap();
    faults.room.store(u64::MAX, Relaxed);
    is_allowed.store(false, Relaxed);
    let refused = set.try_append(6, 12);
    assert!(matches!(refused, Err(AppendError::Guarded)), "{refused:?}");
    assert!(set.writers.is_pending(0), "other lines would be taken for the rest");
    is_allowed.store(true, Relaxed);
    set.append(6, 12);
    assert!(!set.writers.is_pending(0));
    assert_eq!(texts(&dir), [own_lines(0, 0, 12) + "a note\n", own_lines(1, 0, 12), own_lines(2, 0, 12)]);
}

/// The journal is full when a file begins.
#[test]
fn a_file_that_could_not_begin_does_not_count_as_a_new_one() {
    let (dir, faults) = (Dir::new(), FullDisk::new());
    let (mut set, _) = open_set_with(&disk_with(&faults), &set_options(&dir, 100, 3));
    faults.is_journal_full.store(true, Relaxed);
    for _ in 0..5 {
        let refused = set.try_append(0, 3);
        assert!(
            matches!(&refused, Err(AppendError::Retry(why)) if why.kind() == io::ErrorKind::StorageFull),
            "{refused:?}"
        );
    }
    faults.is_journal_full.store(false, Relaxed);
    set.append(0, 3);
    assert_eq!(texts(&dir), all_lines(0, 3));
}

/// The disk is full for the files of one lane. What another lane is given goes to other files.
#[test]
fn a_write_that_needs_more_files_than_may_be_open_is_refused_before_it_is_announced() {
    let (dir, faults) = (Dir::new(), FullDisk::new());
    let (mut set, _) = open_set_with(&disk_with(&faults), &set_options(&dir, 8, 100));
    let other = TopicPartition::new("u", 0);
    set.ledger.set_position(&other, 0).unwrap();
    faults.room.store(0, Relaxed);
    set.try_append(0, 3).unwrap_err();
    let names = |n: i64| ["d", "e"][n as usize % 2].to_owned();
    for _ in 0..3 {
        let refused = set.try_append_in(1, &other, 0..2, names);
        assert!(matches!(&refused, Err(AppendError::Retry(_))), "{refused:?}");
        assert!(!set.writers.is_pending(1));
    }
    faults.room.store(u64::MAX, Relaxed);
    set.append(0, 3);
    set.try_append_in(1, &other, 0..2, names).unwrap();
    assert_eq!(texts(&dir), all_lines(0, 3));
    assert_eq!([text(&file(&dir, "d")), text(&file(&dir, "e"))], ["line 0\n", "line 1\n"]);
}
