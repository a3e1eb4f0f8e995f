//! The open files of a set: how many there are, and what becomes of a file that was closed meanwhile.

use super::*;

fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// How many log files of the set this process has open.
fn open_files(dir: &Dir) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    open.filter(|path| path.starts_with(dir.0.join("k"))).count()
}

/// Of 8 files that may be open, 4 are open for writing.
#[test]
fn no_more_files_are_open_than_may_be() {
    let dir = Dir::new();
    let (mut set, _) = open_set_with(&real(), &set_options(&dir, 8, 100));
    let name = |n: i64| format!("f{}", n * 7 % 20);
    for from in (0..400).step_by(4) {
        set.try_append_by(from, from + 4, name).unwrap();
        assert_eq!(open_files(&dir), 4);
        if from % 3 == 0 {
            set.settle();
        }
    }
    // What is being settled is kept open beside these.
    let checkpoint = set.ledger.checkpoint();
    set.try_append_by(400, 404, name).unwrap();
    assert!(open_files(&dir) <= 8, "{}", open_files(&dir));
    set.settler.settle(checkpoint).unwrap();
    assert_eq!(open_files(&dir), 4);
    let refused = set.try_append_by(404, 409, name);
    let Err(AppendError::Retry(why)) = refused else { panic!("{refused:?}") };
    let expected = "5 files of one write, beside 0 with unfinished writes, and 4 may be open";
    assert_eq!(why.to_string(), expected);
    drop(set);
    assert_eq!(open_set_on(&real(), &dir).1, 404);
    for number in 0..20 {
        let own: String = (0..404).filter(|n| n * 7 % 20 == number).map(|n| format!("line {n}\n")).collect();
        assert_eq!(text(&file(&dir, &format!("f{number}"))), own);
    }
}

/// What somebody does to a file that is closed, and what the file holds when pandad's line follows.
type Change = (&'static str, fn(&Path), &'static str);

const CHANGES: [Change; 9] = [
    ("nothing", |_| (), "line 0\nline 3\n"),
    ("longer", |path| append_text(path, "a note\n"), "line 0\na note\nline 3\n"),
    ("without a newline", |path| append_text(path, "a note"), "line 0\na note\nline 3\n"),
    ("shorter", |path| fs::write(path, "line").unwrap(), "line\nline 3\n"),
    ("empty", |path| fs::write(path, "").unwrap(), "line 3\n"),
    ("other content", |path| fs::write(path, "note 0\n").unwrap(), "note 0\nline 3\n"),
    ("removed", |path| fs::remove_file(path).unwrap(), "line 3\n"),
    ("renamed", |path| fs::rename(path, path.with_extension("1")).unwrap(), "line 3\n"),
    (
        "replaced",
        |path| {
            fs::rename(path, path.with_extension("1")).unwrap();
            fs::write(path, "another file\n").unwrap();
        },
        "another file\nline 3\n",
    ),
];

fn append_text(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Only one file may be open at a time. The first one is closed by the second one, and written again.
#[test]
fn a_file_that_was_changed_while_it_was_closed_goes_on() {
    for (what, change, expected) in CHANGES {
        for is_settled in [false, true] {
            let dir = Dir::new();
            let (mut set, _) = open_set_with(&real(), &set_options(&dir, 2, 100));
            let name = |n: i64| FILES[n as usize % 3].to_owned();
            for n in 0..3 {
                set.try_append_by(n, n + 1, name).unwrap();
            }
            if is_settled {
                set.settle();
            }
            change(&file(&dir, "a"));
            set.try_append_by(3, 4, name).unwrap();
            set.try_append_by(4, 5, name).unwrap();
            let whole = [expected, "line 1\nline 4\n", "line 2\n"];
            assert_eq!(texts(&dir), whole, "{what}");
            let moved = text(&file(&dir, "a").with_extension("1"));
            assert!(moved.is_empty() || moved == "line 0\n", "{what}: {moved}");
            drop(set);
            let (set, position) = open_set_on(&real(), &dir);
            assert_eq!(
                (position, texts(&dir)),
                (5, whole.map(str::to_owned)),
                "{what}, settled {is_settled}"
            );
            drop(set);
        }
    }
}

#[test]
fn a_producer_cannot_begin_more_files_than_the_limit() {
    let dir = Dir::new();
    let (mut set, _) = open_set_with(&real(), &set_options(&dir, 2, 3));
    set.try_append_by(0, 1, |_| "a".to_owned()).unwrap();
    set.try_append_by(1, 2, |_| "b".to_owned()).unwrap();
    // Other files that are opened again do not count.
    set.try_append_by(2, 3, |_| "a".to_owned()).unwrap();
    set.try_append_by(3, 4, |_| "c".to_owned()).unwrap();
    for _ in 0..2 {
        let refused = set.try_append_by(4, 5, |_| "d".to_owned());
        let Err(AppendError::Retry(why)) = refused else { panic!("{refused:?}") };
        let expected = format!(
            "3 new files began within an hour, and log_file['new_files'] allows no more; the next one is {}: \
             look at the keys and timestamps that are produced, or allow more",
            file(&dir, "d").display()
        );
        assert_eq!(why.to_string(), expected);
        assert!(!file(&dir, "d").exists());
    }
    set.try_append_by(4, 5, |_| "b".to_owned()).unwrap();
    drop(set);
    let (mut set, position) = open_set_with(&real(), &set_options(&dir, 2, 3));
    assert_eq!(position, 5);
    set.try_append_by(5, 6, |_| "d".to_owned()).unwrap();
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

/// Somebody renames the files and asks for new ones, also while a write is under way.
#[test]
fn files_that_were_renamed_are_begun_anew_on_request() {
    let (dir, faults) = (Dir::new(), FullDisk::new());
    let (mut set, _) = open_set_on(&disk_with(&faults), &dir);
    assert_eq!(set.writers.open_max(), set_options(&dir, 100, 1000).files_max());
    set.append(0, 6);
    for name in FILES {
        fs::rename(file(&dir, name), dir.0.join(format!("k/{name}.old"))).unwrap();
    }
    assert!(set.writers.reopen().unwrap());
    assert_eq!(texts(&dir), [(); 3].map(|()| String::new()));
    assert!(FILES.iter().all(|name| file(&dir, name).exists()));
    faults.room.store(0, Relaxed);
    set.try_append(6, 12).unwrap_err();
    assert!(!set.writers.reopen().unwrap(), "a write must be completed first");
    faults.room.store(u64::MAX, Relaxed);
    set.append(6, 12);
    assert_eq!((texts(&dir), set.writers.reopen().unwrap()), (all_lines(6, 12), true));
}
