//! What the disk refuses in the middle of a write of several files, and when a file is opened or closed.

use super::*;

/// The disk is full in each part of a write of three files. Then there is room again, or pandad is killed.
#[test]
fn a_write_that_fills_the_disk_goes_on_or_is_cut() {
    for room in 0..44 {
        for is_killed in [false, true] {
            let (dir, faults) = (Dir::new(), FullDisk::new());
            let (mut set, _) = open_set_on(&disk_with(&faults), &dir);
            set.append(0, 6);
            faults.room.store(room, Relaxed);
            for _ in 0..2 {
                let refused = set.try_append(6, 12);
                assert!(matches!(refused, Err(AppendError::Retry(_))), "{refused:?}");
                assert!(set.writers.is_pending(0));
            }
            faults.room.store(u64::MAX, Relaxed);
            if is_killed {
                drop(set);
                let (again, position) = open_set_on(&disk_with(&faults), &dir);
                assert_eq!((position, texts(&dir)), (6, all_lines(0, 6)), "room {room}");
                set = again;
            }
            set.append(6, 12);
            set.settle();
            assert_eq!(texts(&dir), all_lines(0, 12), "room {room}, killed {is_killed}");
        }
    }
}

/// The run ends while the disk is full. What was begun is cut by the next start; of a write of which nothing
/// was begun, nothing is known any more.
#[test]
fn a_stop_on_a_full_disk_loses_nothing() {
    for room in [0, 3, 14, 20, 29, 36] {
        let (dir, faults) = (Dir::new(), FullDisk::new());
        let (mut set, _) = open_set_on(&disk_with(&faults), &dir);
        set.append(0, 6);
        faults.room.store(room, Relaxed);
        set.try_append(6, 12).unwrap_err();
        set.writers.end().unwrap();
        set.ledger.close().unwrap();
        drop(set);
        // Another program appends while pandad does not run.
        let note = if room == 0 { "a note\n" } else { "" };
        OpenOptions::new().append(true).open(file(&dir, "b")).unwrap().write_all(note.as_bytes()).unwrap();
        faults.room.store(u64::MAX, Relaxed);
        let (mut set, position) = open_set_on(&disk_with(&faults), &dir);
        assert_eq!(position, 6, "room {room}");
        set.append(6, 12);
        let mut expected = all_lines(0, 12);
        expected[1] = own_lines(1, 0, 6) + note + &own_lines(1, 6, 12);
        assert_eq!(texts(&dir), expected, "room {room}");
    }
}

#[test]
fn a_full_journal_is_waited_for() {
    let (dir, faults) = (Dir::new(), FullDisk::new());
    let (mut set, _) = open_set_on(&disk_with(&faults), &dir);
    set.append(0, 6);
    faults.is_journal_full.store(true, Relaxed);
    for _ in 0..3 {
        let refused = set.try_append(6, 12);
        assert!(matches!(refused, Err(AppendError::Retry(_))), "{refused:?}");
        assert_eq!(texts(&dir), all_lines(0, 6), "nothing is written before it is announced");
        assert!(!set.writers.is_pending(0));
    }
    faults.is_journal_full.store(false, Relaxed);
    set.append(6, 12);
    assert_eq!(texts(&dir), all_lines(0, 12));
}

/// The journal is so small that it is rewritten again and again.
#[test]
fn a_journal_that_is_soon_full_goes_on_with_all_files() {
    let dir = Dir::new();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut set = try_open_set(&disk, &set_options(&dir, 100, 1000), 4096).unwrap();
    set.ledger.set_position(&partition(), 0).unwrap();
    for from in (0..300).step_by(6) {
        set.append(from, from + 6);
        if from % 4 == 0 {
            set.settle();
        }
    }
    drop(set);
    assert_eq!((open_set_on(&disk, &dir).1, texts(&dir)), (300, all_lines(0, 300)));
}

/// Syncs of the log files fail.
#[derive(Debug, Default)]
struct BadSyncs {
    fails: AtomicBool,
}

impl Faults for BadSyncs {
    fn sync(&self, file: &FaultyFile<Self>) -> io::Result<()> {
        let is_log = file.path.extension().is_some_and(|end| end == "log");
        if is_log && self.fails.load(Relaxed) { Err(rustix::io::Errno::IO.into()) } else { file.inner.sync() }
    }
}

/// A file is closed because another one is opened. If its last bytes cannot be made durable, nobody would
/// learn of it later.
#[test]
fn a_failed_sync_of_a_file_that_is_closed_ends_the_run() {
    for is_taken in [false, true] {
        let (dir, faults) = (Dir::new(), Arc::<BadSyncs>::default());
        let (mut set, _) = open_set_with(&disk_with(&faults), &set_options(&dir, 2, 100));
        let name = |n: i64| format!("f{n}");
        set.try_append_by(0, 1, name).unwrap();
        // Another thread is about to sync it.
        let _taken = is_taken.then(|| set.ledger.checkpoint());
        faults.fails.store(true, Relaxed);
        let refused = set.try_append_by(1, 2, name);
        assert!(matches!(&refused, Err(AppendError::Restart(_))), "{refused:?}");
    }
}

/// A file that another program has written is opened. Its bytes are before the place that is journalled.
#[test]
fn a_failed_sync_of_a_file_that_is_opened_ends_the_run() {
    let (dir, faults) = (Dir::new(), Arc::<BadSyncs>::default());
    let (mut set, _) = open_set_with(&disk_with(&faults), &set_options(&dir, 100, 100));
    fs::create_dir(dir.0.join("k")).unwrap();
    fs::write(file(&dir, "a"), "a note\n").unwrap();
    faults.fails.store(true, Relaxed);
    // A file that begins empty needs no sync.
    set.try_append_by(0, 1, |_| "b".to_owned()).unwrap();
    let refused = set.try_append_by(1, 2, |_| "a".to_owned());
    assert!(matches!(&refused, Err(AppendError::Restart(_))), "{refused:?}");
}

/// The path of one file leads to a directory.
#[test]
fn a_file_that_cannot_be_opened_is_named_and_waited_for() {
    let (dir, disk) = (Dir::new(), Arc::new(RealDisk) as Arc<dyn Disk>);
    let (mut set, _) = open_set_on(&disk, &dir);
    let at = file(&dir, "b");
    fs::create_dir_all(&at).unwrap();
    for _ in 0..2 {
        let Err(AppendError::Retry(why)) = set.try_append(0, 6) else { panic!("a directory was written") };
        assert_eq!(why.to_string(), format!("{}: Is a directory (os error 21)", at.display()));
        assert!(!set.writers.is_pending(0));
        assert_eq!([text(&file(&dir, "a")), text(&file(&dir, "c"))], ["", ""]);
    }
    fs::remove_dir(&at).unwrap();
    set.append(0, 6);
    set.settle();
    assert_eq!(texts(&dir), all_lines(0, 6));
    // A file is where the directory of other files should be.
    fs::write(dir.0.join("x"), "").unwrap();
    set.files = dir.0.join("x");
    let Err(AppendError::Retry(why)) = set.try_append(6, 9) else {
        panic!("a file was taken for a directory")
    };
    assert_eq!(why.to_string(), format!("{}/x/a.log: Not a directory (os error 20)", dir.0.display()));
    fs::remove_file(dir.0.join("x")).unwrap();
    set.append(6, 9);
    assert_eq!(text(&dir.0.join("x/a.log")), "line 6\n");
}
