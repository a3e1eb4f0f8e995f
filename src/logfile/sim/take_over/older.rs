//! Older pandads: those that wrote the old journals, and one that is started again later.

use std::path::Path;
use std::sync::Arc;

use super::{PARTITIONS, PATHS, RECORDS, World, crc_of, journal_of, options, write_of};
use crate::logfile::journal::as_version;
use crate::logfile::{Disk, LogWriter, Piece, RestartMemory, Settler, open_with};

const HALF_BYTES: u64 = 4096;

/// What an older pandad does in one run.
#[derive(Debug, Clone, Copy)]
struct OldRun {
    /// How many writes settle, and how many come after these.
    settled: i64,
    unsettled: i64,
    is_closed: bool,
}

impl World {
    /// The old journals come about.
    pub(super) fn begin_old(&mut self) {
        let mut dice = fastrand::Rng::with_seed(self.setup.variant);
        for (topic, path) in PATHS.iter().enumerate().take(self.setup.old) {
            let closed = dice.u64(0..4) == 0;
            let unsettled = if closed { 0 } else { dice.i64(0..3) };
            let settled = dice.i64(1..3);
            self.run_older(topic, OldRun { settled, unsettled, is_closed: closed }).unwrap();
            if self.setup.version < 3 {
                let version = self.setup.version;
                self.disk.damage(&journal_of(topic), |journal| *journal = as_version(version, journal));
            }
            if dice.u64(0..4) == 0 {
                self.disk.rename(Path::new(path), Path::new(&format!("{path}.1"))).unwrap();
            }
        }
        let way = dice.u64(0..4);
        self.end(way, &mut dice);
    }

    /// The old journals are removed after a clean stop, and an older pandad goes on with the files.
    pub(super) fn go_on_without(&mut self, dice: &mut fastrand::Rng) {
        for topic in 0..self.setup.old {
            self.disk.remove(Path::new(&journal_of(topic))).unwrap();
        }
        ["/log", "/log/sub"].iter().for_each(|directory| self.disk.sync_names(Path::new(directory)).unwrap());
        for _ in 0..dice.u64(1..3) {
            self.go_back(dice);
        }
    }

    /// An older pandad is started again. It goes on with the journals that it does not refuse.
    pub(super) fn go_back(&mut self, dice: &mut fastrand::Rng) {
        for topic in 0..self.setup.old {
            let (settled, unsettled) = (dice.i64(0..2), dice.i64(0..3));
            let is_closed = dice.bool() && unsettled == 0;
            self.run_older(topic, OldRun { settled, unsettled, is_closed });
        }
        let way = dice.u64(0..4);
        self.end(way, dice);
        self.keep_old_journals();
    }

    fn run_older(&mut self, topic: usize, run: OldRun) -> Option<()> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (path, boot) = (Path::new(PATHS[topic]), Some(self.boot));
        let mut memory = RestartMemory::default();
        let opened = open_with(&disk, path, &options(), HALF_BYTES, boot, &mut memory);
        let (mut writer, mut settler, ledger): (LogWriter, Settler, _) = opened.ok()?;
        self.older_runs += 1;
        let numbers: Vec<usize> = (0..PARTITIONS.len()).filter(|at| PARTITIONS[*at].2 == topic).collect();
        let mut next = self.resume_all(&ledger, numbers.iter().copied())?;
        for write in 0..run.settled + run.unsettled {
            for number in &numbers {
                if next[*number] == RECORDS {
                    continue;
                }
                let records = next[*number]..next[*number] + 1;
                next[*number] += 1;
                let (bytes, change) = write_of(&ledger, *number, records)?;
                let crc = crc_of(&bytes);
                writer.append(&[Piece { bytes: &bytes, crc: &crc }], &[change]).ok()?;
            }
            if write + 1 == run.settled {
                let checkpoint = writer.checkpoint();
                let settled = settler.settle(checkpoint).ok()?;
                self.commit(&ledger, settled.commits);
            }
        }
        if run.is_closed { ledger.close().ok() } else { Some(()) }
    }
}
