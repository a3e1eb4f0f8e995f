//! Goal: what `pandad journal LOGFILE --copy DIR` copies from a running pandad is a whole backup: put
//! in place of the original, it goes on with nothing missing and nothing doubled.
//! Method: a stream, rotation all the time, kills, and copies in between, while pandad runs and while it
//! does not. In the end each copy, with the rotated files that belong to it, is finished by a pandad of
//! the same group in another directory.

use crate::support::daemon::Daemon;
use crate::support::disk::Disk;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::run::run;
use crate::support::servers::kafka;
use crate::support::wait::{millis, seconds};
use crate::support::{all, directory, seed, unique, wait};
use std::path::{Path, PathBuf};

const PARTITIONS: usize = 2;

/// A copy, and the rotated files that belong to it.
struct Backup {
    directory: PathBuf,
    rotated: Vec<PathBuf>,
}

impl Backup {
    #[track_caller]
    fn of(daemon: &Daemon) -> Backup {
        let directory = directory("copy");
        let (file, to) = (daemon.file.to_str().unwrap(), directory.to_str().unwrap());
        let said = run(&["journal", file, "--copy", to]).expect(0).out;
        let last = said
            .lines()
            .find_map(|line| line.strip_suffix(": is the last rotated file that belongs to the copy"));
        let mut rotated = daemon.files();
        rotated.pop();
        rotated.retain(|file| last.is_some_and(|last| file <= Path::new(last)));
        Backup { directory, rotated }
    }

    /// Puts it where a daemon expects its files.
    fn put_into(&self, place: &Path) {
        let copied = std::fs::read_dir(&self.directory).unwrap().map(|file| file.unwrap().path());
        for file in copied.chain(self.rotated.clone()) {
            std::fs::copy(&file, place.join(file.file_name().unwrap())).unwrap();
        }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn live_copies_are_whole_backups() {
    for (membership, copies) in [("alone", 4), ("coordinated", 2)] {
        let copies = if all() { copies * 5 } else { copies };
        whole_backups(membership, copies);
    }
}

fn whole_backups(membership: &str, copies: u32) {
    let kafka = kafka("3.9.1");
    let tested = kafka.tested(&format!("copies of a running pandad are put back, {membership}"));
    let (topic, seed) = (unique("copy"), seed());
    println!("PANDAD_TEST_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    kafka.create(&topic, PARTITIONS);
    let produce = Produce::seq(&kafka, &topic, u64::from(copies) * 20_000).with("--partitions", PARTITIONS);
    let producing = produce.with("--rate", 4000).stream(2000);
    let inv = Inv::log(&kafka, &topic, &unique("copy")).job("kafka['membership']", membership);
    let inv = inv.job("log_file['rotate_size']", "64K").job("log_file['rotate_keep']", "100000");
    let mut daemon = Daemon::new(&inv);
    let mut backups = Vec::new();
    for number in 0..copies {
        if !daemon.is_started() {
            daemon.start();
        }
        let before = length(&daemon);
        wait::until("the files grow", seconds(60), || length(&daemon) > before);
        std::thread::sleep(millis(dice.u64(200..900)));
        // Some are copied while pandad runs, others after a kill.
        if number % 2 == 1 {
            daemon.kill9();
        }
        backups.push(Backup::of(&daemon));
    }
    if !daemon.is_started() {
        daemon.start();
    }
    let each = [producing.end(); PARTITIONS];
    daemon.finish(&each, seconds(120));
    let total: u64 = length(&daemon);
    let mut lacked = 0;
    for backup in &backups {
        let mut again = Daemon::new(&inv);
        backup.put_into(&again.dir);
        let lacks = total - length(&again);
        println!("{} rotated files, {lacks} of {total} bytes are fetched again", backup.rotated.len());
        lacked += u32::from(lacks > 0);
        again.start();
        again.finish(&each, seconds(120));
    }
    assert_eq!(lacked, copies, "a copy of everything shows nothing");
    assert!(backups.last().unwrap().rotated.len() > 2, "rotated too seldom to show anything");
    full_disk_leaves_nothing(&daemon);
    tested.passed(format_args!("{copies} copies"));
}

/// A disk without room for the copy is named, and nothing is left on it.
fn full_disk_leaves_nothing(daemon: &Daemon) {
    let disk = Disk::mount(&directory("copy"), 1);
    disk.fill();
    let names = || {
        let names = std::fs::read_dir(&disk.outside).unwrap().map(|file| file.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    let before = names();
    let (file, to) = (daemon.file.to_str().unwrap(), disk.outside.to_str().unwrap());
    run(&["journal", file, "--copy", to]).expect(1).says("No space left on device").says("make room there");
    assert_eq!(names(), before);
}

fn length(daemon: &Daemon) -> u64 {
    let length = |file: &PathBuf| std::fs::metadata(file).map_or(0, |data| data.len());
    daemon.files().iter().map(length).sum()
}
