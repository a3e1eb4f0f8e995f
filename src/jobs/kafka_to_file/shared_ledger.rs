//! The ledger of the job's log files, and the commits under way.

use std::collections::BTreeSet;

use super::file_router::FileRouter;
use crate::kafka::GroupClient;
use crate::logfile::{FileNumber, Ledger, MemberIdentity};
use crate::record::{Commit, TopicPartition};

/// See the module.
pub(super) struct SharedLedger {
    router: FileRouter,
    ledger: Ledger,
    /// The numbers of the files in the journal, in their order.
    numbers: Vec<Option<FileNumber>>,
    /// The partitions of an order to commit that is unanswered. The ledger gives nothing to commit until it
    /// is answered.
    ordered: Option<Vec<TopicPartition>>,
}

impl SharedLedger {
    pub(super) fn new(router: FileRouter, ledger: Ledger, numbers: Vec<Option<FileNumber>>) -> Self {
        Self { router, ledger, numbers, ordered: None }
    }

    /// The ledger, if it is that of this partition: its file is open.
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<&Ledger> {
        self.file_of(partition).map(|_| &self.ledger)
    }

    /// The ledger of all files.
    pub(super) fn whole(&self) -> &Ledger {
        &self.ledger
    }

    /// The file that this partition's lines go to.
    pub(super) fn file_of(&self, partition: &TopicPartition) -> Option<usize> {
        self.router.of(&partition.topic)
    }

    /// Whether this partition's lines go to one of these files.
    pub(super) fn is_any_of(&self, partition: &TopicPartition, files: &BTreeSet<usize>) -> bool {
        !files.is_empty() && self.file_of(partition).is_some_and(|file| files.contains(&file))
    }

    /// Orders these commits.
    pub(super) fn commit(&mut self, commits: Vec<Commit>, group_client: &mut dyn GroupClient) {
        if !commits.is_empty() {
            self.ordered = Some(commits.iter().map(|one| one.partition.clone()).collect());
            group_client.commit(commits);
        }
    }

    /// The order is answered: the group holds these offsets. Returns the other partitions of the order.
    pub(super) fn record_committed(&mut self, offsets: &[(TopicPartition, i64)]) -> Vec<TopicPartition> {
        let Some(mut ordered) = self.ordered.take() else { return Vec::new() };
        self.ledger.record_committed(offsets);
        let held: BTreeSet<&TopicPartition> = offsets.iter().map(|(partition, _)| partition).collect();
        ordered.retain(|partition| !held.contains(partition));
        ordered
    }

    /// Releases every partition.
    pub(super) fn release_all(&self) {
        self.ledger.release_all();
    }

    /// Whether everything written has settled.
    pub(super) fn has_settled(&self) -> bool {
        self.ledger.has_settled()
    }

    /// Whether everything written to other files than these has settled.
    pub(super) fn has_settled_but(&self, files: &BTreeSet<usize>) -> bool {
        let numbers = files.iter().filter_map(|file| *self.numbers.get(*file)?);
        self.ledger.has_settled_but(&numbers.collect())
    }

    /// Whether something was written whose position the group does not hold.
    pub(super) fn is_behind(&self) -> bool {
        self.ledger.group_lacks_any()
    }

    /// Records this pandad's identity in its group.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(super) fn record_member(&self, member: MemberIdentity) -> std::io::Result<()> {
        self.ledger.record_member(member)
    }

    /// Whether an order is unanswered.
    pub(super) fn is_committing(&self) -> bool {
        self.ordered.is_some()
    }

    /// The offsets that are to be committed without a settling.
    ///
    /// # Errors
    /// The journal's disk refuses.
    pub(super) fn take_commits(&self) -> std::io::Result<Vec<Commit>> {
        self.ledger.take_commits()
    }
}
