//! The files that hold the lines of a log, as who reads them again finds them.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use super::*;
use crate::logfile::backup::CopyFailure;
use crate::logfile::parts::{LogPart, SettledLog, add_archived, archived, in_order, look, settled};

/// So many looks at files that change are made before what is there counts.
const LOOKS: u32 = 20;

fn look_at(dir: &Dir, looks: u32) -> Result<SettledLog, String> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    look(&disk, &dir.log(), looks).map_err(|failure| match failure {
        CopyFailure::Changed(why) => {
            format!("changed: {}", why.replace(&dir.log().display().to_string(), ""))
        }
        CopyFailure::Refused(why) => format!("refused: {why}"),
    })
}

fn names(parts: &[LogPart]) -> Vec<&str> {
    parts.iter().map(|part| part.path.file_name().unwrap().to_str().unwrap()).collect()
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

/// Writes a file beside the log file, last modified at this time, in seconds since 1970.
fn put(dir: &Dir, suffix: &str, bytes: impl AsRef<[u8]>, modified: u64) -> PathBuf {
    let path = with_suffix(&dir.log(), suffix);
    fs::write(&path, bytes).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
    OpenOptions::new().write(true).open(&path).unwrap().set_modified(time).unwrap();
    path
}

/// A log file with two settled lines, and one that is not settled.
fn written(dir: &Dir) -> LogFile {
    let mut log = fresh(dir);
    append(&mut log, 0, 2);
    settle(&mut log);
    append(&mut log, 2, 3);
    log
}

#[test]
fn a_log_is_its_rotated_files_and_what_is_settled_of_the_last_one() {
    let dir = Dir::new();
    // The stamps are 1,795,534,200 and 1,795,537,800 seconds after 1970. A time in a name counts, whenever
    // the file was written.
    put(&dir, "-20261124T163000.000Z.gz", gzipped("second\n"), 1);
    put(&dir, "-20261124T153000.000Z", "first\n", 1_900_000_000);
    put(&dir, ".1", "between\n", 1_795_536_000);
    put(&dir, ".2.gz", gzipped("before\n"), 1_795_530_000);
    // Pandad has compressed this one, and has not deleted it yet.
    put(&dir, "-20261124T173000.000Z", "third\n", 1);
    put(&dir, "-20261124T173000.000Z.gz", gzipped("third\n"), 1);
    // What belongs to another log file, is no file, or has another name.
    put(&dir, ".3.journal", "", 1);
    put(&dir, ".3", "not ours\n", 1);
    put(&dir, ".3.1", "not ours\n", 1);
    fs::create_dir(with_suffix(&dir.log(), ".4")).unwrap();
    symlink(with_suffix(&dir.log(), ".1"), with_suffix(&dir.log(), ".5")).unwrap();
    put(&dir, ".old", "not ours\n", 1);
    let log = written(&dir);
    let found = settled(&dir.log()).unwrap();
    assert_eq!((found.identity, found.doubts), (Some(log.ledger.identity()), Vec::new()));
    let [known] = &found.partitions[..] else { panic!("{:?}", found.partitions) };
    assert_eq!((known.partition.clone(), known.position), (partition(), 2));
    assert_eq!(known.held.as_ref().unwrap().ranges(2), [(0, 2)]);
    let expected = [
        ("out.log.2.gz", "before\n", false),
        ("out.log-20261124T153000.000Z", "first\n", true),
        ("out.log.1", "between\n", false),
        ("out.log-20261124T163000.000Z.gz", "second\n", true),
        ("out.log-20261124T173000.000Z", "third\n", true),
        ("out.log", "line 0\nline 1\n", true),
    ];
    assert_eq!(names(&found.parts), expected.map(|(name, ..)| name));
    for (part, (name, content, has_stamp)) in found.parts.iter().zip(expected) {
        assert_eq!((text(part), part.has_stamp, part.doubt), (content.to_owned(), has_stamp, None), "{name}");
    }
    let bytes: Vec<_> = found.parts.iter().map(|part| part.bytes).collect();
    assert_eq!((bytes[1], bytes[5]), (6, 14), "up to the last mark");
}

/// The file may be rotated between the looks at the journal and at the names. After a while what is there
/// counts.
#[test]
fn a_log_file_that_changes_is_looked_at_again() {
    let moved = |dir: &Dir| fs::rename(dir.log(), with_suffix(&dir.log(), ".1")).unwrap();
    let shortened = |dir: &Dir| OpenOptions::new().write(true).open(dir.log()).unwrap().set_len(10).unwrap();
    let changed = |dir: &Dir| fs::write(dir.log(), "LINE 0\nline 1\nline 2\n").unwrap();
    let other = |dir: &Dir| {
        fs::write(dir.0.join("new"), "of another program").unwrap();
        fs::rename(dir.0.join("new"), dir.log()).unwrap();
    };
    let removed = |dir: &Dir| fs::remove_file(dir.log()).unwrap();
    type Act = fn(&Dir);
    type Found = (&'static str, u64, Option<&'static str>);
    let other_text = "it is not the file that pandad has written";
    let cases: [(Act, &str, Option<Found>); 5] = [
        (moved, "was moved", Some(("out.log.1", 14, None))),
        (shortened, "", Some(("out.log", 10, Some("somebody has shortened it")))),
        (changed, "", Some(("out.log", 21, Some("somebody has changed it")))),
        (other, "", Some(("out.log", 18, Some(other_text)))),
        (removed, "", None),
    ];
    for (act, why, found) in cases {
        let dir = Dir::new();
        drop(written(&dir));
        act(&dir);
        let why = if why.is_empty() { "is not the file that the journal knows" } else { why };
        assert_eq!(look_at(&dir, LOOKS - 1).unwrap_err(), format!("changed: : {why}"));
        let log = look_at(&dir, LOOKS).unwrap();
        let parts: Vec<_> = names(&log.parts)
            .into_iter()
            .zip(&log.parts)
            .map(|(name, part)| (name, part.bytes, part.doubt))
            .collect();
        assert_eq!(parts, found.into_iter().collect::<Vec<_>>(), "{why}");
        let doubt = found.is_none().then(|| format!("{}: is not there", dir.log().display()));
        assert_eq!(log.doubts, doubt.into_iter().collect::<Vec<_>>());
    }
    // The looks go on until then.
    let dir = Dir::new();
    drop(written(&dir));
    moved(&dir);
    assert_eq!(names(&settled(&dir.log()).unwrap().parts), ["out.log.1"]);
}

#[test]
fn a_log_whose_files_cannot_be_told_is_refused() {
    let dir = Dir::new();
    let missing = settled(&dir.log()).unwrap_err();
    assert!(missing.contains("out.log.journal: there is none"), "{missing}");
    drop(written(&dir));
    // Copies of the log file have other numbers, and one is as good as the other.
    fs::copy(dir.log(), with_suffix(&dir.log(), ".1")).unwrap();
    fs::copy(dir.log(), with_suffix(&dir.log(), ".2")).unwrap();
    fs::remove_file(dir.log()).unwrap();
    let several = look_at(&dir, 1).unwrap_err();
    assert!(several.starts_with("refused: ") && several.contains("both hold"), "{several}");
    let away = Dir::new();
    let missing = archived(&dir.log(), &away.0.join("no")).unwrap_err();
    assert!(missing.contains("no: cannot be read"), "{missing}");
}

/// Other directories may hold copies of files that are still here, and files that are here no more.
#[test]
fn files_of_an_archive_are_added_once() {
    let (dir, away) = (Dir::new(), Dir::new());
    let here = put(&dir, "-20261124T153000.000Z", "here\n", 1);
    put(&dir, ".1", "number one here\n", 5);
    drop(written(&dir));
    put(&away, "-20261124T153000.000Z.gz", gzipped("here\n"), 1);
    put(&away, "-20261124T143000.000Z", "only there\n", 1);
    put(&away, ".1", "number one there\n", 7);
    put(&away, "", "line 0\n", 1);
    let there = archived(&dir.log(), &away.0).unwrap();
    let stamped: Vec<_> = there.iter().map(|part| (part.bytes, part.has_stamp)).collect();
    assert_eq!(
        names(&there),
        ["out.log.1", "out.log-20261124T143000.000Z", "out.log-20261124T153000.000Z.gz", "out.log"]
    );
    assert_eq!((stamped[1], stamped[3]), ((11, true), (7, false)));
    let mut parts = settled(&dir.log()).unwrap().parts;
    add_archived(&mut parts, there);
    // The same file by another name.
    fs::hard_link(&here, with_suffix(&away.log(), "-20261124T183000.000Z")).unwrap();
    add_archived(&mut parts, archived(&dir.log(), &away.0).unwrap());
    in_order(&mut parts);
    let texts: Vec<_> = parts.iter().map(text).collect();
    // The log file and its copy have the same time, and are sorted by their paths.
    let mut last = [(dir.log(), "line 0\nline 1\n"), (away.log(), "line 0\n")];
    last.sort();
    let first = ["number one here\n", "number one there\n", "only there\n", "here\n"];
    assert_eq!(texts, [&first[..], &last.map(|(_, text)| text)].concat());
    fs::remove_file(away.log()).unwrap();
    fs::create_dir(away.log()).unwrap();
    assert_eq!(archived(&dir.log(), &away.0).unwrap().len(), 4, "a directory is no copy");
}

/// Between the look at the names and the reading of a file, pandad or another program may rename the file.
#[test]
fn a_rotated_file_is_found_under_its_new_name() {
    let dir = Dir::new();
    let stamped = put(&dir, "-20261124T153000.000Z", "stamped\n", 1);
    let number = put(&dir, ".1", "number one\n", 5);
    drop(written(&dir));
    let parts = settled(&dir.log()).unwrap().parts;
    let read = || -> Vec<_> {
        let read = |part: &LogPart| {
            let mut text = String::new();
            part.open().map(|mut reader| reader.read_to_string(&mut text).unwrap()).map(|_| text)
        };
        parts.iter().map(|part| read(part).map_err(|error| error.kind())).collect()
    };
    let [numbered, compressed, last] =
        ["number one\n", "stamped\n", "line 0\nline 1\n"].map(|text| Ok::<_, io::ErrorKind>(text.to_owned()));
    assert_eq!(read(), [numbered.clone(), compressed.clone(), last.clone()]);
    // The log file is rotated, too, and stays open.
    fs::write(with_suffix(&stamped, ".gz"), gzipped("stamped\n")).unwrap();
    fs::remove_file(&stamped).unwrap();
    fs::rename(&number, with_suffix(&dir.log(), ".2")).unwrap();
    fs::rename(dir.log(), &number).unwrap();
    assert_eq!(read(), [numbered, compressed, last.clone()]);
    // A file with the same name is not the file, and a file that is gone is not found.
    fs::remove_file(with_suffix(&dir.log(), ".2")).unwrap();
    fs::remove_file(with_suffix(&stamped, ".gz")).unwrap();
    assert_eq!(read(), [Err(io::ErrorKind::NotFound), Err(io::ErrorKind::NotFound), last]);
}
