//! The ledgers of the job's log files, and the commits under way for these files. Each file has a journal
//! and a ledger of its own.

use std::collections::{BTreeSet, VecDeque};

use super::file_router::FileRouter;
use crate::kafka::GroupClient;
use crate::logfile::{Ledger, MemberIdentity};
use crate::record::{Commit, TopicPartition};

/// See the module.
pub(super) struct Ledgers {
    router: FileRouter,
    all: Vec<Ledger>,
    /// The files whose commits are unanswered. Only one order to commit is under way at a time.
    ordered: Vec<usize>,
    waiting: VecDeque<Vec<Commit>>,
}

impl Ledgers {
    pub(super) fn new(router: FileRouter, all: Vec<Ledger>) -> Self {
        Self { router, all, ordered: Vec::new(), waiting: VecDeque::new() }
    }

    /// The ledger that knows this partition.
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<&Ledger> {
        self.all.get(self.file_of(partition)?)
    }

    /// The file that this partition's lines go to.
    pub(super) fn file_of(&self, partition: &TopicPartition) -> Option<usize> {
        self.router.of(&partition.topic)
    }

    /// Whether this partition's lines go to one of these files.
    pub(super) fn is_any_of(&self, partition: &TopicPartition, files: &BTreeSet<usize>) -> bool {
        !files.is_empty() && self.file_of(partition).is_some_and(|file| files.contains(&file))
    }

    /// Orders these commits: now, or when the previous order has been answered.
    pub(super) fn commit(&mut self, commits: Vec<Commit>, group_client: &mut dyn GroupClient) {
        if commits.is_empty() {
            return;
        }
        if !self.ordered.is_empty() {
            self.waiting.push_back(commits);
            return;
        }
        self.ordered = commits.iter().filter_map(|one| self.file_of(&one.partition)).collect();
        self.ordered.sort_unstable();
        self.ordered.dedup();
        group_client.commit(commits);
    }

    /// Records that the group holds these offsets.
    pub(super) fn record_committed(
        &mut self,
        offsets: &[(TopicPartition, i64)],
        group_client: &mut dyn GroupClient,
    ) {
        for number in std::mem::take(&mut self.ordered) {
            let of_this =
                |(partition, _): &&(TopicPartition, i64)| self.router.of(&partition.topic) == Some(number);
            let values: Vec<_> = offsets.iter().filter(of_this).cloned().collect();
            if let Some(ledger) = self.all.get(number) {
                ledger.record_committed(&values);
            }
        }
        if let Some(next) = self.waiting.pop_front() {
            self.commit(next, group_client);
        }
    }

    /// Releases every partition.
    pub(super) fn release_all(&mut self) {
        // These commits are never ordered, so nobody would answer them. A ledger commits nothing more until
        // its last commit is answered.
        for commit in std::mem::take(&mut self.waiting).iter().flatten() {
            if let Some(ledger) = self.of(&commit.partition) {
                ledger.record_committed(&[]);
            }
        }
        self.all.iter().for_each(Ledger::release_all);
    }

    /// Whether everything written has settled.
    pub(super) fn have_settled(&self) -> bool {
        self.all.iter().all(Ledger::has_settled)
    }

    /// Whether everything written to other files than these has settled.
    pub(super) fn have_settled_but(&self, files: &BTreeSet<usize>) -> bool {
        let others = self.all.iter().enumerate().filter(|(number, _)| !files.contains(number));
        others.map(|(_, ledger)| ledger).all(Ledger::has_settled)
    }

    /// Whether something was written whose position the group does not hold.
    pub(super) fn is_behind(&self) -> bool {
        !self.all.iter().all(Ledger::group_holds_all)
    }

    /// Records this pandad's identity in its group, in every journal that takes it.
    ///
    /// # Errors
    /// A journal's disk refuses.
    pub(super) fn record_member(&self, member: &MemberIdentity) -> std::io::Result<()> {
        let recorded = self.all.iter().map(|ledger| ledger.record_member(member.clone()));
        recorded.fold(Ok(()), std::io::Result::and)
    }

    /// Whether an order is unanswered.
    pub(super) fn is_committing(&self) -> bool {
        !self.ordered.is_empty()
    }

    /// The offsets that are to be committed without a settling, of all ledgers. One whose disk refuses
    /// does not hold up the others.
    ///
    /// # Errors
    /// A journal's disk refuses, and the others have nothing to commit.
    pub(super) fn take_commits(&self) -> std::io::Result<Vec<Commit>> {
        let (mut commits, mut refused) = (Vec::new(), Ok(()));
        for ledger in &self.all {
            match ledger.take_commits() {
                Ok(more) => commits.extend(more),
                Err(error) => refused = Err(error),
            }
        }
        if commits.is_empty() { refused.map(|()| commits) } else { Ok(commits) }
    }
}
