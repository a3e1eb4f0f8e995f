//! What people do to the group, to a host's files and to a topic.

use super::super::event::{CommitFate, ResetMetadata, ResetTarget};
use super::super::mirror::LedgerMirror;
use super::super::vocabulary::{GroupEntry, SetBy};
use super::HistoryWorld;
use crate::record::Token;

impl HistoryWorld {
    /// Stops every host, as the coordinator demands before a reset.
    pub(super) fn stop_all(&mut self) {
        (0..self.hosts.len()).for_each(|host| self.crash(host, u8::MAX, CommitFate::Lost));
    }

    pub(super) fn reset(&mut self, partition: usize, target: ResetTarget, metadata: ResetMetadata) {
        let host = |number: usize| &self.hosts[number % self.hosts.len()];
        let offset = match target {
            ResetTarget::At(offset) => offset,
            ResetTarget::Position(number) => {
                host(number).disk.parts[partition].as_ref().map_or(0, |part| part.position)
            }
            ResetTarget::Held(by) => self.group[partition].as_ref().map_or(0, |old| (old.offset + by).max(0)),
            ResetTarget::Seen(number, which) => {
                let values = &host(number).values[partition];
                values.get(which % values.len().max(1)).copied().unwrap_or(0)
            }
        };
        let copied = match metadata {
            ResetMetadata::None => String::new(),
            ResetMetadata::Text => "set by hand".to_owned(),
            ResetMetadata::Copied(from) => {
                let from = &self.group[from % self.setting.partitions];
                from.as_ref().map_or(String::new(), |from| from.metadata.clone())
            }
        };
        // If a copied token happens to name this offset, it is a commit like any other.
        let names = Token::parse(&copied).is_some_and(|token| token.offset == offset);
        let metadata = if names { String::new() } else { copied };
        if self.setting.coordinated() {
            self.stop_all();
        }
        self.oracle.tally.resets += 1;
        let by = SetBy::Operator { number: self.number(), honoured: false };
        self.set(partition, Some(GroupEntry { offset, metadata, by }));
    }

    pub(super) fn copy(&mut self, host: usize) {
        if self.hosts[host].run.is_none() && self.hosts[host].begun {
            let snapshot = self.oracle.snapshot();
            self.hosts[host].copy(snapshot);
            self.mirror.iter_mut().for_each(LedgerMirror::copy);
        }
    }

    pub(super) fn restore(&mut self, host: usize, which: u8) {
        self.crash(host, u8::MAX, CommitFate::Lost);
        let number = self.number();
        let at = &mut self.hosts[host];
        let which = usize::from(which) % at.copies.len().max(1);
        let Some((copy, snapshot)) = at.copies.get(which).cloned() else { return };
        at.restored = number;
        self.mirror.iter_mut().for_each(|mirror| mirror.restore(which));
        let was = std::mem::replace(&mut at.disk, copy);
        let back: Vec<u32> = at.disk.file.iter().map(|range| range.id).collect();
        let gone = was.file.into_iter().filter(|range| !back.contains(&range.id)).collect();
        let epochs = at.disk.parts.each_ref().map(|part| part.as_ref().map(|part| part.epoch));
        self.oracle.restored(host, gone, &snapshot, epochs);
        // The copy of a single host was made before the host followed later resets, so these count as not
        // followed.
        for entry in self.group.iter_mut().flatten().filter(|_| self.hosts.len() == 1) {
            if let SetBy::Operator { number, honoured } = &mut entry.by {
                *honoured = snapshot.followed(*number);
            }
        }
    }

    /// A topic is deleted and created again, and the running program notices that and sets the partition's
    /// position. With one host only: other hosts would notice it by the records' fingerprints, which are
    /// not simulated.
    pub(super) fn recreated(&mut self, partition: usize) {
        if self.hosts.len() > 1 || !self.hosts[0].may_write(partition) {
            return;
        }
        let faults = self.faults();
        self.oracle.violations.extend(faults);
        let epoch = u64::from(self.number());
        let host = &mut self.hosts[0];
        host.set_position(partition, 0, epoch);
        host.run.as_mut().unwrap().written[partition] = Some(0);
        // The records of the old topic, and older copies, do not matter any more.
        host.disk.file.retain(|range| range.partition != partition);
        host.recent.iter_mut().for_each(|range| range.retain(|range| range.partition != partition));
        host.copies.clear();
        self.mirror.iter_mut().for_each(|mirror| {
            mirror.set_position(partition);
            mirror.forget_copies();
        });
        self.oracle.recreated(partition, epoch);
    }
}
