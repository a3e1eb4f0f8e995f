//! The files of a path with placeholders, as who reads them again finds them.

mod meanwhile;

use std::io::Read;

use super::faulty_disk::{Faults, disk_with};
use super::*;
use crate::logfile::backup::CopyFailure;
use crate::logfile::disk::{Handle, OpenMode, RealDisk};
use crate::logfile::file_set::{CompleteBefore, FileSetOptions, FileWriters, RoutedPieces, open_with};
use crate::logfile::journal::{EVERY_PARTITION, HALF_BYTES_MIN};
use crate::logfile::parts::{LogPart, LogPath, SetPath, SettledLog};
use crate::path_template::PathTemplate;

/// After so many looks at files that change, what is there counts.
const LOOKS: u32 = 20;

/// A set below a directory, and where its files are.
struct Set {
    dir: Dir,
    path: SetPath,
    writers: FileWriters,
    settler: Settler,
    ledger: Ledger,
    next: i64,
}

impl Set {
    fn new(template: &str) -> Self {
        Self::compressing(template, false)
    }

    /// Complete files are compressed on their way.
    fn compressing(template: &str, complete_gzip: bool) -> Self {
        Self::on(&(Arc::new(RealDisk) as Arc<dyn Disk>), template, complete_gzip)
    }

    fn on(disk: &Arc<dyn Disk>, template: &str, complete_gzip: bool) -> Self {
        let dir = Dir::new();
        let template = PathTemplate::parse(&dir.0.join("logs"), template).unwrap();
        let done = dir.0.join("done");
        fs::create_dir(template.fixed_directory()).unwrap();
        let options = FileSetOptions {
            base: template.fixed_directory().join(template.journal_name()),
            log_file: options(true),
            complete_dir: Some(done.clone()),
            complete_gzip,
            open_max: 8,
            new_max: 1_000_000,
        };
        let (writers, settler, ledger) =
            open_with(disk, &options, HALF_BYTES_MIN, Some(1), &mut RestartMemory::default()).unwrap();
        ledger.set_position(&partition(), 0).unwrap();
        let path = SetPath::new(template, Vec::new(), Some(&done));
        Self { dir, path, writers, settler, ledger, next: 0 }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.0.join("logs").join(name)
    }

    /// Writes the next record to this file, whose period ends at this time.
    fn write(&mut self, name: &str, until: i64) {
        let path = self.file(name);
        let line = format!("line {}\n", self.next);
        let mut crc = crc32fast::Hasher::new();
        crc.update(line.as_bytes());
        let (index, _) = self.ledger.written(&partition()).unwrap();
        let last = Some(Landmark { offset: self.next, fingerprint: 0 });
        self.next += 1;
        let pieces = vec![Piece { bytes: line.as_bytes(), crc: &crc }];
        let part = RoutedPieces { path: &path, until: Some(until), scope: &EVERY_PARTITION, pieces };
        self.writers.append(0, &[part], &[PositionChange { index, position: self.next, last }]).unwrap();
    }

    fn settle(&mut self) {
        self.settler.settle(self.ledger.checkpoint()).unwrap();
    }

    fn look(&self, looks: u32) -> Result<SettledLog, String> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        self.path.look(&disk, looks).map_err(|failure| match failure {
            CopyFailure::Changed(why) => self.short(&format!("changed: {why}")),
            CopyFailure::Refused(why) => self.short(&format!("refused: {why}")),
        })
    }

    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.0.display()), "")
    }

    /// Names and texts of the files.
    fn found(&self, log: &SettledLog) -> Vec<(String, String)> {
        log.parts.iter().map(|part| (self.short(&part.path.display().to_string()), text(part))).collect()
    }
}

fn text(part: &LogPart) -> String {
    let mut text = String::new();
    part.open().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_set_is_what_its_journal_knows_and_what_has_such_a_name() {
    let mut set = Set::new("{key}/{%Y-%m-%d}.log");
    let names = ["a/2026-11-24.log", "a/2026-11-25.log", "b/2026-11-25.log", "future/c/2026-11-25.log"];
    for (until, name) in (1..).zip(names) {
        set.write(name, until);
    }
    set.settle();
    assert_eq!(set.writers.finish(&CompleteBefore::all(1)).unwrap(), 1, "it is moved");
    // Behind the last mark.
    set.write("a/2026-11-25.log", 2);
    for (name, text) in [
        ("a/2026-11-20.log.gz", gzipped("compressed\n")),
        ("a/2026-11-21.log.late", b"late\n".to_vec()),
        ("a/2026-11-21.log.late.2.gz", gzipped("later\n")),
        ("b/2026-11-22.log.1", b"renamed\n".to_vec()),
        ("b/2026-11-23-20261130.log", b"dated\n".to_vec()),
        // These have other names, or belong to another log.
        ("a/2026-11-2x.log", b"not ours\n".to_vec()),
        ("a/2026-11-24.log.zst", b"not ours\n".to_vec()),
        ("2026-11-24.log", b"not ours\n".to_vec()),
        ("b/2026-11-26.log", b"not ours\n".to_vec()),
        ("b/2026-11-26.log.1", b"not ours\n".to_vec()),
        ("b/2026-11-26.log.journal", Vec::new()),
        ("b/c/2026-11-24.log", b"not ours\n".to_vec()),
    ] {
        fs::create_dir_all(directory_of(&set.file(name))).unwrap();
        fs::write(set.file(name), text).unwrap();
    }
    let log = set.look(1).unwrap();
    assert_eq!((log.identity, &log.doubts[..]), (Some(set.ledger.identity()), &[][..]));
    assert_eq!(log.partitions[0].held.as_ref().unwrap().ranges(log.partitions[0].position), [(0, 4)]);
    let expected = pairs(&[
        ("done/a/2026-11-24.log", "line 0\n"),
        ("logs/a/2026-11-20.log.gz", "compressed\n"),
        ("logs/a/2026-11-21.log.late", "late\n"),
        ("logs/a/2026-11-21.log.late.2.gz", "later\n"),
        ("logs/a/2026-11-25.log", "line 1\n"),
        ("logs/b/2026-11-22.log.1", "renamed\n"),
        ("logs/b/2026-11-23-20261130.log", "dated\n"),
        ("logs/b/2026-11-25.log", "line 2\n"),
        ("logs/future/c/2026-11-25.log", "line 3\n"),
    ]);
    assert_eq!(set.found(&log), expected);
    // Between the look and the reading pandad moves one, and somebody compresses another.
    set.settle();
    assert_eq!(set.writers.finish(&CompleteBefore::all(2)).unwrap(), 1);
    fs::remove_file(set.file("b/2026-11-25.log")).unwrap();
    fs::write(set.file("b/2026-11-25.log.gz"), gzipped("line 2\n")).unwrap();
    assert_eq!(set.found(&log), expected);
}

/// A file whose name is that of a log file, although it ends as those of gzip.
#[test]
fn the_content_says_whether_a_log_file_named_gz_is_compressed() {
    let mut set = Set::new("{key}.gz");
    set.write("a.gz", 1);
    set.settle();
    fs::write(set.file("b.gz"), gzipped("compressed\n")).unwrap();
    fs::write(set.file("c.gz"), "c").unwrap();
    let found = set.found(&set.look(1).unwrap());
    assert_eq!(found, pairs(&[("logs/a.gz", "line 0\n"), ("logs/b.gz", "compressed\n"), ("logs/c.gz", "c")]));
}

#[test]
fn of_copies_of_a_file_one_is_read() {
    let mut set = Set::new("{key}.log");
    set.write("a.log", 1);
    set.write("a.log", 1);
    set.settle();
    fs::write(set.file("b.log"), "one\ntwo\n").unwrap();
    let long: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    fs::write(set.file("c.log"), &long).unwrap();
    let torn = |text: &str, left: usize| {
        let mut bytes = gzipped(text);
        bytes.truncate(bytes.len() - left);
        bytes
    };
    // gzip -k, and one that is at work.
    fs::write(set.file("a.log.gz"), gzipped("line 0\nline 1\nline 2\n")).unwrap();
    fs::write(set.file("b.log.gz"), gzipped("one\n")).unwrap();
    fs::write(set.file("c.log.gz"), torn(&long, 1000)).unwrap();
    // Late lines after the first file was compressed.
    fs::write(set.file("d.log"), "late\n").unwrap();
    fs::write(set.file("d.log.gz"), gzipped("first\n")).unwrap();
    let archive = set.dir.0.join("archive");
    fs::create_dir(&archive).unwrap();
    fs::write(archive.join("b.log.gz"), gzipped("one\ntwo\n")).unwrap();
    fs::write(archive.join("d.log"), "an older one\n").unwrap();
    fs::write(archive.join("e.log"), "only there\n").unwrap();
    let mut log = set.look(1).unwrap();
    let expected = [
        ("archive/d.log", "an older one\n"),
        ("archive/e.log", "only there\n"),
        ("logs/a.log", "line 0\nline 1\n"),
        ("logs/b.log", "one\ntwo\n"),
        ("logs/c.log", &long),
        ("logs/d.log", "late\n"),
        ("logs/d.log.gz", "first\n"),
    ];
    assert_eq!(set.found(&log), pairs(&expected[2..]));
    let path = LogPath::Set(set.path.clone());
    path.add_archived(&mut log, &archive).unwrap();
    path.order(&mut log.parts);
    assert_eq!(set.found(&log), pairs(&expected));
    // Of two that the journal does not know, the longer one counts.
    fs::write(set.file("f.log"), "one\n").unwrap();
    fs::write(set.file("f.log.gz"), gzipped("one\ntwo\n")).unwrap();
    let found = set.found(&set.look(1).unwrap());
    assert_eq!(found.last(), pairs(&[("logs/f.log.gz", "one\ntwo\n")]).last());
}

/// Whatever changes between two looks is looked at again. After a while what is there counts.
#[test]
fn files_that_change_are_looked_at_again() {
    type Act = fn(&Path);
    let removed: Act = |file| fs::remove_file(file).unwrap();
    let renamed: Act = |file| fs::rename(file, file.with_extension("log.1")).unwrap();
    let other: Act = |file| fs::write(file, "some other text").unwrap();
    let compressed: Act = |file| {
        fs::remove_file(file).unwrap();
        fs::write(file.with_extension("log.gz"), gzipped("line 0\n")).unwrap();
    };
    type Case<'a> = (Act, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 4] = [
        (removed, "is not the file that the journal knows", &[], &["logs/a.log: is not there"]),
        (renamed, "was moved", &[("logs/a.log.1", "line 0\n")], &[]),
        (other, "is not the file that the journal knows", &[("logs/a.log", "some other text")], &[]),
        (compressed, "is not the file that the journal knows", &[("logs/a.log.gz", "line 0\n")], &[]),
    ];
    for (act, why, found, doubts) in cases {
        let mut set = Set::new("{key}.log");
        set.write("a.log", 1);
        set.settle();
        act(&set.file("a.log"));
        assert_eq!(set.look(LOOKS - 1).unwrap_err(), format!("changed: logs/a.log: {why}"));
        let log = set.look(LOOKS).unwrap();
        assert_eq!(set.found(&log), pairs(found));
        let said: Vec<String> = log.doubts.iter().map(|doubt| set.short(doubt)).collect();
        assert_eq!(said, doubts, "{why}");
    }
}

/// When the journal is opened for reading, this file gets that name.
#[derive(Debug)]
struct RenamedMeanwhile(PathBuf, PathBuf);

impl Faults for RenamedMeanwhile {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Handle> {
        if path.extension().is_some_and(|end| end == "journal") && self.0.exists() {
            fs::rename(&self.0, &self.1)?;
        }
        RealDisk.open(path, how)
    }
}

/// The file system gives the number of a removed file to the next one. If both are of one length, only their
/// names tell them apart.
#[test]
fn a_new_file_with_the_number_of_a_removed_one_is_not_taken_for_it() {
    let mut set = Set::new("{key}.log");
    set.write("a.log", 1);
    set.settle();
    for (to, what) in [("c.log", "has just come"), ("b.log.1", "has just come")] {
        let (from, to) = (set.file("b.log"), set.file(to));
        fs::write(&from, "line 7\n").unwrap();
        let disk = disk_with(&Arc::new(RenamedMeanwhile(from, to.clone())));
        match set.path.look(&disk, 1) {
            Err(CopyFailure::Changed(why)) => assert_eq!(why, format!("{}: {what}", to.display())),
            Err(CopyFailure::Refused(why)) => panic!("{why}"),
            Ok(log) => panic!("{log:?}"),
        }
        fs::remove_file(&to).unwrap();
    }
}

/// `pandad journal` of a set.
#[test]
fn the_journal_of_a_set_is_shown_and_made_to_forget_and_not_copied() {
    let mut set = Set::new("{key}/{%Y}.log");
    let base = LogPath::Set(set.path.clone()).base();
    let elsewhere = set.dir.0.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let refused = crate::logfile::backup::copy(&base, &elsewhere).unwrap_err();
    assert!(refused.contains("this is the journal of several files"), "{refused}");
    set.write("a/2026.log", 1);
    set.write("b/2026.log", 2);
    set.settle();
    set.write("b/2026.log", 2);
    let shown = inspect::lines(&base).unwrap();
    let end: Vec<String> = shown[shown.len() - 4..].iter().map(|line| set.short(line)).collect();
    let expected = [
        "t/0 is at 3, settled up to 2",
        "a/2026.log is settled up to 7 bytes",
        "b/2026.log is settled up to 7 bytes",
        "1 unsettled write",
    ];
    assert_eq!(end, expected, "{shown:#?}");
    let refused = crate::logfile::backup::copy(&base, &elsewhere).unwrap_err();
    let named = format!("copy the whole directory {}", set.file("").display());
    assert!(refused.contains(named.trim_end_matches('/')), "{refused}");
    assert!(elsewhere.read_dir().unwrap().next().is_none());
    // The files and their numbers stay known.
    let Set { dir, path, writers, settler, ledger, .. } = set;
    drop((writers, settler, ledger));
    assert_eq!(inspect::forget(&base), Ok(1));
    let log = LogPath::Set(path).settled().unwrap();
    assert_eq!((log.partitions.len(), log.parts.iter().filter(|part| part.doubt.is_none()).count()), (0, 2));
    assert_eq!(fs::read_to_string(dir.0.join("logs/a/2026.log")).unwrap(), "line 0\n");
}

/// The journal of another host names the paths that files have there.
#[test]
fn the_files_of_another_host_are_found_where_they_are_now() {
    let mut set = Set::new("{key}/{%Y}.log");
    set.write("a/2026.log", 1);
    set.write("future/a/2026.log", 1);
    set.settle();
    let moved = set.dir.0.join("moved");
    fs::rename(set.dir.0.join("logs"), &moved).unwrap();
    let LogPath::Set(there) = LogPath::Set(set.path.clone()).in_directory(&moved) else { panic!() };
    let log = there.look(&(Arc::new(RealDisk) as Arc<dyn Disk>), 1);
    let log = log.map_err(CopyFailure::into_text).unwrap();
    let expected = pairs(&[("moved/a/2026.log", "line 0\n"), ("moved/future/a/2026.log", "line 1\n")]);
    assert_eq!((set.found(&log), log.doubts.len()), (expected, 0));
    let gone = set.look(1).unwrap_err();
    assert!(gone.starts_with("refused: logs: cannot be read"), "{gone}");
}
