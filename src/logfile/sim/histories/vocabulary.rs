//! Types that the files of this simulator share: the setting of a history, what a program writes and
//! commits, and what the group holds.

use crate::logfile::resume::{KnownPosition, ResumeDecision, claim_name};
use crate::record::Token;

pub(super) const PARTITIONS: usize = 3;
/// How many committed offsets the journal keeps of a partition.
pub(super) const KEPT_MAX: usize = 8;
/// How many older copies of a host's journal and file are kept.
pub(super) const COPIES_MAX: usize = 2;

/// What a commit carries beside its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitStyle {
    /// Nothing, as in ZooKeeper. Offsets are recognized because the journal keeps them.
    Values,
    /// A token.
    Tokens,
    /// A token, and nothing is written before the group holds a token of the present history. Several hosts
    /// that share a group need this.
    TokensFirst,
}

/// Records of one partition that were written together: [from, next).
#[derive(Debug, Clone)]
pub(super) struct WrittenRange {
    pub(super) id: u32,
    pub(super) partition: usize,
    pub(super) from: i64,
    pub(super) next: i64,
    /// The pass that the range belongs to, for the oracle.
    pub(super) pass: usize,
    /// Whether the partition was set to another position before the range settled.
    pub(super) void: bool,
}

/// The rule that is simulated: [`crate::logfile::resume::decide`], or one that is meant to fail.
pub(super) type Rule = fn(u128, Option<KnownPosition<'_>>, Option<i64>, &str) -> ResumeDecision;

/// [`Token::naming`], or a function that is meant to fail.
pub(super) type Naming = fn(i64, &str) -> Option<Token>;

/// The claim that a journal of this identity makes for an offset, from its history and the group's
/// generation. One that is meant to fail may use a number that nobody else has.
pub(super) type Claiming = fn(u128, Option<u64>, i64, i32, u32) -> Token;

pub(super) fn claiming(identity: u128, epoch: Option<u64>, offset: i64, generation: i32, _: u32) -> Token {
    Token::claim(claim_name(identity, epoch, offset, generation), offset)
}

/// The setting in which a history takes place.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistorySetting {
    pub(super) hosts: usize,
    pub(super) partitions: usize,
    pub(super) commits: CommitStyle,
    /// Whether commits without a token may be followed by commits with one.
    pub(super) upgrades: bool,
    pub(super) rule: Rule,
    /// Which metadata of the group is taken for a token.
    pub(super) naming: Naming,
    pub(super) claiming: Claiming,
    /// Whether the real log file is run beside the simulated host.
    pub(super) mirrored: bool,
}

impl HistorySetting {
    /// Members of a coordinated group: Kafka refuses commits of an earlier generation, and resets
    /// while the group has members.
    pub(super) fn coordinated(&self) -> bool {
        self.hosts > 1 && self.commits != CommitStyle::Values
    }
}

/// Who set the group's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetBy {
    /// A host's commit.
    Host { host: usize, number: u32 },
    /// An operator, or a claim of what the operator set. `honoured`: a start has followed the reset.
    Operator { number: u32, honoured: bool },
}

/// What the group holds of a partition.
#[derive(Debug, Clone)]
pub(super) struct GroupEntry {
    pub(super) offset: i64,
    pub(super) metadata: String,
    pub(super) by: SetBy,
}

impl GroupEntry {
    /// Whether the entry has no token that says who committed it.
    pub(super) fn is_bare(&self) -> bool {
        Token::naming(self.offset, &self.metadata).is_none_or(|token| token.is_claim())
    }

    pub(super) fn is_unfollowed(&self) -> bool {
        matches!(self.by, SetBy::Operator { honoured: false, .. })
    }
}

pub(super) fn name(host: usize) -> char {
    ['A', 'B', 'C'][host]
}
