//! A set that is looked at while it is written, completed and compressed.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use super::*;
use crate::logfile::disk::FileStat;

/// Says so when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// While a set is written, its files begin, are finished, moved and compressed. Whenever it is looked at, the
/// lines are those of the records up to the position, each once.
#[test]
fn a_set_that_is_being_written_is_seen_at_one_moment() {
    look_while_written(false);
}

#[test]
fn a_set_whose_complete_files_are_compressed_is_seen_at_one_moment() {
    look_while_written(true);
}

fn look_while_written(complete_gzip: bool) {
    let mut set = Set::compressing("{key}/{%Y}.log", complete_gzip);
    set.write("0/2000.log", 0);
    set.settle();
    let (path, position) = (LogPath::Set(set.path.clone()), AtomicI64::new(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let (mut set, mut round) = (set, 0);
            while !is_over.load(Relaxed) {
                round += 1;
                for key in 0..5 {
                    set.write(&format!("{key}/{}.log", 2000 + round), round);
                    // Late ones.
                    set.write(&format!("{key}/2000.log"), 0);
                }
                set.settle();
                set.writers.finish(&CompleteBefore::all(round - 2)).unwrap();
                let moved = set.dir.0.join(format!("done/0/{}.log", 2000 + round - 3));
                if round > 4 && !complete_gzip {
                    fs::write(with_suffix(&moved, ".gz"), gzipped(&fs::read_to_string(&moved).unwrap()))
                        .unwrap();
                    fs::remove_file(&moved).unwrap();
                }
                // A look takes longer on a busy machine, and the last of twenty counts anyhow.
                std::thread::sleep(Duration::from_millis(200));
            }
            set
        });
        // Also if the test fails.
        let over = Over(&is_over);
        let started = std::time::Instant::now();
        let mut looks = 0;
        while started.elapsed() < Duration::from_secs(3) {
            let log = path.settled().unwrap();
            let texts: Vec<(&LogPart, String)> = log.parts.iter().map(|part| (part, text(part))).collect();
            let number = |line: &str| line.strip_prefix("line ").unwrap().parse::<i64>().unwrap();
            let mut found: Vec<i64> = texts.iter().flat_map(|(_, text)| text.lines().map(number)).collect();
            found.sort_unstable();
            let expected: Vec<i64> = (0..log.partitions[0].position).collect();
            assert_eq!((found == expected, &log.doubts), (true, &Vec::new()), "{found:?} in {texts:#?}");
            position.store(log.partitions[0].position, Relaxed);
            looks += 1;
        }
        drop(over);
        drop(writing.join().unwrap());
        println!("{looks} looks, up to {}", position.load(Relaxed));
        assert!(looks > 3 && position.load(Relaxed) > 50);
    });
}

/// Finishes files again and again.
fn finish_until(set: &mut Set, is_done: impl Fn(Result<usize, AppendError>) -> bool) {
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while !is_done(set.writers.finish(&CompleteBefore::all(1))) {
        assert!(std::time::Instant::now() < limit, "too late");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Complete files are not removed.
#[derive(Debug)]
struct FilesStay;

impl Faults for FilesStay {
    fn remove(&self, path: &Path) -> io::Result<()> {
        let is_complete = path.extension().is_some_and(|end| end == "log");
        if is_complete { Err(io::ErrorKind::PermissionDenied.into()) } else { RealDisk.remove(path) }
    }
}

/// pandad was killed when the compressed file had its name, and the complete one was not removed yet. Once
/// another file had the name before.
#[test]
fn a_file_that_is_there_compressed_and_as_it_was_is_read_once() {
    for is_taken in [false, true] {
        let mut set = Set::on(&disk_with(&Arc::new(FilesStay)), "{key}/{%Y}.log", true);
        let done = set.dir.0.join("done/a");
        set.write("a/2026.log", 1);
        set.settle();
        if is_taken {
            fs::create_dir_all(&done).unwrap();
            fs::write(done.join("2026.log.gz"), gzipped("an older one\n")).unwrap();
        }
        finish_until(&mut set, |finished| finished.is_err());
        assert_eq!(done.read_dir().unwrap().count(), 1 + usize::from(is_taken));
        let log = set.look(1).unwrap();
        let older = ("done/a/2026.log.gz", "an older one\n");
        let expected = [older, ("logs/a/2026.log", "line 0\n")];
        let expected = pairs(&expected[usize::from(!is_taken)..]);
        assert_eq!((set.found(&log), log.doubts.len()), (expected.clone(), 0));
        // It is gone when it is read.
        fs::remove_file(set.file("a/2026.log")).unwrap();
        assert_eq!(set.found(&log), expected);
        // Nobody finishes it.
        let names = |log: &SettledLog| log.parts.iter().map(|part| part.path.clone()).collect::<Vec<_>>();
        let log = set.look(LOOKS).unwrap();
        assert_eq!((names(&log).len(), log.doubts.len()), (1 + usize::from(is_taken), 0));
        assert!(set.found(&log).iter().any(|(_, text)| text == "line 0\n"));
    }
}

/// Late lines are compressed and begin anew while the set is read. The file system may give the new file the
/// number of the one that was removed. The older files of the same name begin alike, or end so.
#[test]
fn a_new_file_of_the_same_name_and_number_is_not_read_instead() {
    let mut set = Set::compressing("{key}/{%Y}.log", true);
    let all: String = (0..800).map(|n| format!("line {n}\n")).collect();
    (0..800).for_each(|_| set.write("a/2026.log", 1));
    set.settle();
    let done = set.dir.0.join("done/a");
    fs::create_dir_all(&done).unwrap();
    let older = [all.replace("line 700\n", "line 7xx\n"), all.replacen("line 0\n", "line x\n", 1)];
    for (name, text) in ["2026.log.gz", "2026.log.1.gz"].into_iter().zip(&older) {
        fs::write(done.join(name), gzipped(text)).unwrap();
    }
    let log = set.look(1).unwrap();
    finish_until(&mut set, |finished| finished.unwrap() == 1);
    assert!(done.join("2026.log.2.gz").exists());
    fs::write(set.file("a/2026.log"), &older[0]).unwrap();
    let mut part = log.parts.into_iter().find(|part| part.path == set.file("a/2026.log")).unwrap();
    part.id = RealDisk.stat(&part.path).unwrap().id;
    assert!(text(&part) == all, "{}", text(&part));
}

/// What happens when the journal is opened to be read.
struct Meanwhile(std::sync::Mutex<Option<Set>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Faults for Meanwhile {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        if path.extension().is_some_and(|end| end == "journal")
            && let Some(set) = self.0.lock().unwrap().as_mut()
        {
            set.writers.finish(&CompleteBefore::all(1)).unwrap();
        }
        RealDisk.open(path, how)
    }
}

/// While the set is looked at, a complete file is moved, and another one has its name there already. If files
/// change each time, the last look counts.
#[test]
fn a_complete_file_that_gets_a_number_while_it_is_looked_for_is_read() {
    for is_gone in [false, true] {
        let mut set = Set::new("{key}/{%Y}.log");
        for _ in 0..2 {
            set.write("a/2026.log", 1);
            set.settle();
            set.writers.finish(&CompleteBefore::all(1)).unwrap();
            set.write("a/2026.log", 1);
            set.settle();
        }
        let (path, root) = (set.path.clone(), set.dir.0.clone());
        let names = |directory: &str| fs::read_dir(root.join(directory)).map_or(0, Iterator::count);
        assert_eq!((names("logs/a"), names("done/a")), (1, 2));
        if is_gone {
            // What has come into the directory meanwhile was complete.
            fs::rename(root.join("done/a/2026.log"), root.join("kept")).unwrap();
        }
        let disk = disk_with(&Arc::new(Meanwhile(Some(set).into())));
        let log = path.look(&disk, LOOKS).map_err(|_| "refused").unwrap();
        let mut lines: Vec<String> = log.parts.iter().map(text).collect();
        lines.sort();
        let expected: String = (i64::from(is_gone)..4).map(|n| format!("line {n}\n")).collect();
        assert_eq!((lines.concat(), names("logs/a")), (expected, 0), "{:?}", log.doubts);
    }
}

/// What happens once the journal was read.
struct Afterwards {
    is_read: AtomicBool,
    is_done: AtomicBool,
    set: std::sync::Mutex<Set>,
}

impl std::fmt::Debug for Afterwards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Afterwards")
    }
}

impl Faults for Afterwards {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        self.is_read.fetch_or(path.extension().is_some_and(|end| end == "journal"), Relaxed);
        RealDisk.open(path, how)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let is_journal = path.to_string_lossy().contains("journal");
        if self.is_read.load(Relaxed) && !is_journal && !self.is_done.swap(true, Relaxed) {
            let mut set = self.set.lock().unwrap();
            set.settle();
            set.writers.finish(&CompleteBefore::all(1)).unwrap();
        }
        RealDisk.stat(path)
    }
}

/// Nothing of a file is settled when the journal is read, and then all of it, and the file is moved to a name
/// that another one has, so that it gets a number.
#[test]
fn lines_that_are_settled_after_the_look_are_not_read() {
    for looks in [1, LOOKS] {
        let mut set = Set::new("{key}/{%Y}.log");
        set.write("a/2026.log", 1);
        set.settle();
        set.writers.finish(&CompleteBefore::all(1)).unwrap();
        set.write("a/2026.log", 1);
        let (path, done) = (set.path.clone(), set.dir.0.join("done/a"));
        let meanwhile = Afterwards { is_read: false.into(), is_done: false.into(), set: set.into() };
        let disk = disk_with(&Arc::new(meanwhile));
        let log = path.look(&disk, looks).unwrap();
        assert_eq!(done.read_dir().unwrap().count(), 2);
        let lines: Vec<String> = log.parts.iter().map(text).collect();
        assert_eq!((lines, log.partitions[0].position), (vec!["line 0\n".to_owned()], 1), "{:?}", log.doubts);
    }
}

/// The third file of late lines is about to be moved, and so is another one, which would get the number that
/// stands in the name of the third.
#[test]
fn two_files_that_are_being_compressed_get_two_names() {
    let mut set = Set::compressing("{key}/{%Y}.log", true);
    let done = set.dir.0.join("done/a");
    fs::create_dir_all(&done).unwrap();
    for name in ["2026.log.late.gz", "2026.log.late.1.gz", "2026.log.late.2.gz"] {
        fs::write(done.join(name), gzipped("an older one\n")).unwrap();
    }
    for name in ["a/2026.log.late.3", "a/2026.log.late"] {
        set.write(name, 1);
    }
    set.settle();
    set.writers.finish(&CompleteBefore::all(1)).unwrap();
    let closing = set.ledger.numbered_files().into_iter().filter_map(|(_, _, to)| to);
    let closing: std::collections::BTreeSet<PathBuf> = closing.collect();
    let expected = ["a/2026.log.late.3.gz", "a/2026.log.late.3.1.gz"].map(PathBuf::from);
    assert_eq!(closing, expected.into());
}
