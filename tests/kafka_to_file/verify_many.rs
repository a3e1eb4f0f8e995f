//! Goal: `pandad verify` says of the files of a path with placeholders whether they are whole, while pandad
//! writes, completes and moves them, and names what was done to any of them.
//! Method: a stream that falls into files by partition and minute, verified all the time; then each kind of
//! damage in a complete file, and in one that was compressed by hand. In the end every period is over. Once
//! more with complete files that pandad compresses, under kills.

use crate::support::content::ClientKind;
use crate::support::daemon::Daemon;
use crate::support::file_set::{BY_MINUTE, FIRST, STEP};
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::run::{Ran, run};
use crate::support::servers::{Kafka, kafka};
use crate::support::wait::{self, millis, seconds};
use crate::support::{all, directory, seed, unique};
use serde_json::{Map, Value};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

const PARTITIONS: usize = 2;

#[test]
fn files_of_a_set_are_verified_beside_the_running_daemon() {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested("pandad verify of files by partition and minute, while these are written");
    let Stream { topic, logs, done, root, inv } = Stream::new(&kafka);
    let mut daemon = Daemon::new(&inv.job("log_file['open']", "8").job("log_file['format']", "json"));
    let produce = Produce::seq(&kafka, &topic, 1_000_000).with("--partitions", PARTITIONS);
    let produce = produce.with("--time", FIRST).with("--step", STEP).with("--linger", 50);
    let producing = produce.with("--rate", 600).stream(100);
    daemon.start();
    wait::until("a file is complete", seconds(60), || done.exists() && !all_below(&done).is_empty());
    let (started, mut looks) = (Instant::now(), 0);
    while started.elapsed() < seconds(15) {
        verify(&daemon).expect(0).says("whole: ");
        assert!(daemon.running());
        looks += 1;
    }
    let each = producing.end();
    let whole = format!("whole: {} records", PARTITIONS as u64 * each);
    wait::until("all is settled", seconds(60), || verify(&daemon).out.contains(&whole));
    wait::until("every file is complete", seconds(60), || all_below(&logs.join(&topic)).is_empty());
    verify(&daemon).expect(0).says(&format!("{topic}/1: {each} expected, 0 missing, 0 doubled, 0 torn"));
    let complete = all_below(&done);
    let files = complete.len();
    assert!(looks > 5 && files > 100, "{looks} looks, {files} files");
    println!("{looks} times whole while written, {each} records of each partition in {files} files");
    let compressed = compress(&complete[1]);
    verify(&daemon).expect(0).says(&whole);
    // A shipper keeps a copy, which is a copy only.
    let away = root.join("away").join(complete[0].strip_prefix(&done).unwrap());
    fs::create_dir_all(away.parent().unwrap()).unwrap();
    fs::copy(&complete[0], &away).unwrap();
    let inv = daemon.dir.join("test.inv");
    let with_archive =
        || run(&["verify", "--dir", root.join("away").to_str().unwrap(), inv.to_str().unwrap()]);
    with_archive().expect(0).says(&whole);
    fs::rename(&complete[0], root.join("moved")).unwrap();
    verify(&daemon).expect(1).says(&format!("missing: {topic}/0 offsets 0 to "));
    with_archive().expect(0).says(&whole);
    fs::rename(root.join("moved"), &complete[0]).unwrap();
    for file in [&complete[2], &compressed] {
        sabotage(&daemon, file);
    }
    daemon.stop();
    verify(&daemon).expect(0).says(&whole);
    tested.passed(format_args!("{looks} times beside the daemon, {files} files"));
    fs::remove_dir_all(&root).unwrap();
}

/// Complete files are compressed, and pandad is killed again and again. In the end each record is in a whole
/// compressed file, and nothing else is left.
#[test]
fn complete_files_are_compressed_whole_under_kills() {
    compressed_under_kills("complete files by partition and minute that are compressed, under kills", STEP);
}

/// A minute is over for pandad when no lag is left, and its records still come: more late lines come while
/// a file of late lines is being compressed.
#[test]
fn files_of_late_lines_are_compressed_whole_under_kills() {
    compressed_under_kills(
        "files of late lines that are compressed while more come, under kills",
        STEP / 100,
    );
}

fn compressed_under_kills(what: &str, step: i64) {
    let kafka = kafka("3.9.1");
    let kills = if all() { 20 } else { 4 };
    let tested = kafka.tested(what);
    let Stream { topic, logs, done, root, inv } = Stream::new(&kafka);
    let inv = inv.job("log_file['complete_gzip']", "yes").job("log_file['open']", "8");
    let mut daemon = Daemon::new(&inv.job("log_file['format']", "json"));
    let produce = Produce::seq(&kafka, &topic, 1_000_000).with("--partitions", PARTITIONS);
    let produce = produce.with("--time", FIRST).with("--step", step).with("--linger", 50);
    let producing = produce.with("--rate", 600).stream(100);
    let seed = seed();
    println!("PANDAD_TEST_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let files = |root: &Path| if root.exists() { all_below(root) } else { Vec::new() };
    let mut parts = 0;
    for _ in 0..kills {
        let before = files(&done).len();
        daemon.start();
        wait::until("more files are complete", seconds(60), || files(&done).len() > before);
        std::thread::sleep(millis(dice.u64(0..1500)));
        daemon.kill9();
        parts += files(&logs).iter().filter(|path| path.to_str().unwrap().ends_with(".part")).count();
        assert!(files(&done).iter().all(|path| is_compressed(path)), "{:?}", files(&done));
        verify(&daemon).expect(0);
    }
    daemon.start();
    let each = producing.end();
    let whole = format!("whole: {} records", PARTITIONS as u64 * each);
    wait::until("all is settled", seconds(60), || verify(&daemon).out.contains(&whole));
    wait::until("every file is complete", seconds(60), || all_below(&logs.join(&topic)).is_empty());
    daemon.stop();
    verify(&daemon).expect(0).says(&format!("{topic}/1: {each} expected, 0 missing, 0 doubled, 0 torn"));
    let complete = all_below(&done);
    let lines: usize = complete.iter().map(|file| read(file).split(|byte| *byte == b'\n').count() - 1).sum();
    assert_eq!(lines as u64, PARTITIONS as u64 * each);
    assert!(complete.iter().all(|path| is_compressed(path)), "{complete:?}");
    println!("{kills} kills, {parts} while a file was compressed, {} files, {lines} records", complete.len());
    tested.passed(format_args!("{kills} kills, {} files", complete.len()));
    fs::remove_dir_all(&root).unwrap();
}

/// A topic whose records go to files by partition and minute, which are moved when they are complete.
struct Stream {
    topic: String,
    logs: PathBuf,
    done: PathBuf,
    root: PathBuf,
    inv: Inv,
}

impl Stream {
    fn new(kafka: &Kafka) -> Self {
        let (topic, group, root) = (unique("verify"), unique("verify"), directory("verify"));
        // The records' times are long past; without this setting they would be deleted.
        let keep = Map::from_iter([("retention.ms".to_owned(), Value::from("-1"))]);
        kafka.create_with_settings(vec![(&topic, PARTITIONS, keep)]);
        let (logs, done) = (root.join("logs"), root.join("done"));
        fs::create_dir(&logs).unwrap();
        let inv = Inv::log(kafka, &topic, &group).client(kafka, ClientKind::Native);
        let inv = inv.job("log_file['path']", logs.join(BY_MINUTE).to_str().unwrap());
        let inv = inv.job("log_file['complete']", done.to_str().unwrap()).job("log_file['grace']", "1m");
        Self { topic, logs, done, root, inv }
    }
}

/// Every file below a directory, sorted by name. Records whose times are long past are late for any period
/// when the daemon has caught up.
fn all_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in root.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(all_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

fn verify(daemon: &Daemon) -> Ran {
    run(&["verify", daemon.dir.join("test.inv").to_str().unwrap()])
}

/// Damages the file in each way, and puts it back.
fn sabotage(daemon: &Daemon, file: &Path) {
    let text = read(file);
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let at = lines.len() / 2;
    let line = String::from_utf8_lossy(lines[at]).into_owned();
    let of = |key: &str| line.split_once(key).unwrap().1.split(',').next().unwrap().to_owned();
    let record = format!("/{} offset {}", of("\"partition\":"), of("\"offset\":"));
    let cut = [&lines[at][..lines[at].len() / 2], b"\n"].concat();
    let foreign = [lines[at], b"foreign\n"].concat();
    let with = |others: &[(usize, &[u8])]| {
        let mut lines = lines.clone();
        others.iter().for_each(|(at, line)| lines[*at] = line);
        lines.concat()
    };
    let damages = [
        ("missing: ", 1, with(&[(at, b"")])),
        ("doubled: ", 1, with(&[(0, &[lines[at], lines[0]].concat())])),
        ("torn: ", 1, with(&[(at, &cut)])),
        ("out of order: ", 1, with(&[(at, lines[at + 1]), (at + 1, lines[at])])),
        ("not judged: 1 line that no record has", 2, with(&[(at, &foreign)])),
    ];
    for (says, status, damaged) in damages {
        write(file, &damaged);
        let ran = verify(daemon).expect(status).says(says);
        if status == 1 {
            ran.says(&record);
        }
        write(file, &text);
    }
    verify(daemon).expect(0);
}

/// As gzip does it.
fn compress(file: &Path) -> PathBuf {
    let compressed = PathBuf::from(format!("{}.gz", file.display()));
    write(&compressed, &read(file));
    fs::remove_file(file).unwrap();
    compressed
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "gz")
}

fn read(file: &Path) -> Vec<u8> {
    let bytes = fs::read(file).unwrap();
    if !is_compressed(file) {
        return bytes;
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    text
}

fn write(file: &Path, text: &[u8]) {
    if !is_compressed(file) {
        return fs::write(file, text).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    fs::write(file, encoder.finish().unwrap()).unwrap();
}
