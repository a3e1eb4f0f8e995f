//! Goal: `pandad verify` says of files that pandad is writing whether they are whole, and names what was done
//! to them. Method: records in rotated and compressed files beside the running daemon; each kind of damage in
//! each kind of file, one after the other; in the end a reset by an operator, after which records are
//! expected twice.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::run::{Ran, run};
use crate::support::servers::{Kafka, brokers};
use crate::support::wait::{self, seconds};
use crate::support::{all, unique};

const EACH: u64 = 10_000;
const FORMATS: [&str; 3] = ["json", "original", "raw"];

#[test]
fn damaged_files_are_told_from_whole_ones() {
    for kafka in brokers() {
        for format in if all() { &FORMATS[..] } else { &FORMATS[..1] } {
            verified(&kafka, format);
        }
    }
}

fn verified(kafka: &Kafka, format: &str) {
    let tested = kafka.tested(&format!("pandad verify names each kind of damage, {format}"));
    let (topic, group) = (unique("verify"), unique("verify"));
    kafka.create(&topic, 2);
    Produce::seq(kafka, &topic, 2 * EACH).with("--partitions", 2).run();
    let inv = Inv::log(kafka, &topic, &group).job("log_file['format']", format);
    let inv = inv.job("log_file['rotate_size']", "128K").job("log_file['rotate_gzip']", "yes");
    let mut daemon = Daemon::new(&inv.job("log_file['rotate_keep']", "100000"));
    daemon.start();
    let whole = format!("whole: {} records", 2 * EACH);
    wait::until("all is settled", seconds(60), || verify(&daemon).out.contains(&whole));
    wait::until("every rotated file is compressed", seconds(60), || {
        files(&daemon).split_last().is_some_and(|(_, rotated)| rotated.iter().all(|file| is_compressed(file)))
    });
    verify(&daemon).expect(0).says(&format!("{topic}/1: {EACH} expected, 0 missing, 0 doubled, 0 torn"));
    let files = files(&daemon);
    let [compressed, .., rotated, newest] = files.as_slice() else { panic!("{files:?}") };
    // As a person may have left it.
    let rotated = &decompressed(rotated);
    for file in [compressed, rotated, newest] {
        sabotage(&daemon, file, format);
    }
    // The operator's reset.
    daemon.stop();
    kafka.set_offset(&group, &topic, 0, EACH as i64 / 2);
    daemon.start();
    let twice =
        format!("{topic}/0: {} expected, 0 missing, 0 doubled, 0 torn, 0 out of order", EACH + EACH / 2);
    wait::until("they are settled a second time", seconds(60), || verify(&daemon).out.contains(&twice));
    verify(&daemon).expect(0);
    daemon.stop();
    verify(&daemon).expect(0);
    tested.passed(format_args!("{} records, {} files", 2 * EACH, files.len()));
}

/// The rotated files and the log file, oldest first.
fn files(daemon: &Daemon) -> Vec<PathBuf> {
    let beside = daemon.dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with("consumer.log-");
    let mut files: Vec<PathBuf> = beside.filter(name).collect();
    files.sort();
    files.push(daemon.file.clone());
    files
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "gz")
}

/// Puts the plain file in the place of the compressed one.
fn decompressed(file: &Path) -> PathBuf {
    let plain = file.with_extension("");
    write(&plain, &read(file));
    std::fs::remove_file(file).unwrap();
    plain
}

fn verify(daemon: &Daemon) -> Ran {
    run(&["verify", daemon.dir.join("test.inv").to_str().unwrap()])
}

/// Damages the file in each way, and puts it back.
fn sabotage(daemon: &Daemon, file: &Path, format: &str) {
    let text = read(file);
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() < 10 {
        // Only the newest file can be that short, and chance decides it.
        return println!("{} has {} lines, too few to damage", file.display(), lines.len());
    }
    let at = lines.len() / 2;
    // The next line of the same partition, if lines say their partitions.
    let says = |line: &[u8]| String::from_utf8_lossy(line).split(",\"offset\"").next().map(str::to_owned);
    let is_like = |other: &usize| format != "json" || says(lines[*other]) == says(lines[at]);
    let other = (at + 1..lines.len()).find(is_like).unwrap();
    let cut = &lines[at][..lines[at].len() / 2];
    let damages: [(&str, i32, Vec<Vec<u8>>); 5] = [
        (
            "missing: ",
            1,
            [&lines[..at], &lines[at + 1..]].concat().iter().map(|line| line.to_vec()).collect(),
        ),
        (
            "doubled: ",
            1,
            [&lines[..at], &lines[at - 1..]].concat().iter().map(|line| line.to_vec()).collect(),
        ),
        ("torn: ", 1, with(&lines, &[(at, &[cut, b"\n"].concat())])),
        ("out of order: ", 1, with(&lines, &[(at, lines[other]), (other, lines[at])])),
        (
            "not judged: 1 line that no record has",
            2,
            with(&lines, &[(at, &[lines[at], b"foreign\n"].concat())]),
        ),
    ];
    for (says, status, damaged) in damages {
        // Without partition and offset in its lines a file has no order.
        if says == "out of order: " && format != "json" {
            continue;
        }
        write(file, &damaged.concat());
        let ran = verify(daemon).expect(status).says(says);
        if format == "json" && status == 1 {
            let line = String::from_utf8_lossy(lines[at]).into_owned();
            let offset = line.split_once("\"offset\":").unwrap().1.split(',').next().unwrap().to_owned();
            let partition =
                line.split_once("\"partition\":").unwrap().1.split(',').next().unwrap().to_owned();
            let offset =
                if says == "doubled: " { String::new() } else { format!("/{partition} offset {offset}") };
            ran.says(&offset);
        }
        write(file, &text);
    }
    verify(daemon).expect(0);
}

/// The lines with others in their places.
fn with(lines: &[&[u8]], others: &[(usize, &[u8])]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    others.iter().for_each(|(at, line)| lines[*at] = line.to_vec());
    lines
}

fn read(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    if !is_compressed(file) {
        return bytes;
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    text
}

fn write(file: &Path, text: &[u8]) {
    if !is_compressed(file) {
        return std::fs::write(file, text).unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    std::fs::write(file, encoder.finish().unwrap()).unwrap();
}
