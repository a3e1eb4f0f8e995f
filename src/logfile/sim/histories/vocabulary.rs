//! What the files of this simulator have in common: the setting of a history, what a program
//! writes and commits, and what the group holds.

use crate::logfile::resume::{KnownPosition, ResumeDecision, claim_name};
use crate::record::Token;

pub(super) const PARTITIONS: usize = 3;
/// How many committed values the journal keeps of a partition.
pub(super) const KEPT_MAX: usize = 8;
/// How many older copies of a host's journal and file there are at most.
pub(super) const COPIES_MAX: usize = 2;

/// What a commit says beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitStyle {
    /// Nothing, as in ZooKeeper: values are known again because the journal keeps them.
    Values,
    /// A token.
    Tokens,
    /// A token, and nothing is appended before the group holds one of the present history:
    /// so it must be where several hosts share the group.
    TokensFirst,
}

/// Records of one partition that landed together: [from, next).
#[derive(Debug, Clone)]
pub(super) struct WrittenRange {
    pub(super) id: u32,
    pub(super) partition: usize,
    pub(super) from: i64,
    pub(super) next: i64,
    /// Which reading of the log it belongs to; for the oracle.
    pub(super) pass: usize,
    /// Its partition was placed elsewhere before it settled.
    pub(super) void: bool,
}

/// The rule that is simulated: [`crate::logfile::resume::decide`], or one that is meant to fail.
pub(super) type Rule = fn(u128, Option<KnownPosition<'_>>, Option<i64>, &str) -> ResumeDecision;

/// [`Token::naming`], or what is meant to fail.
pub(super) type Naming = fn(i64, &str) -> Option<Token>;

/// The claim that a journal of this identity makes: by its history, the offset and the group's
/// generation, or, where it is meant to fail, without that or by a number that nobody else has.
pub(super) type Claiming = fn(u128, Option<u64>, i64, i32, u32) -> Token;

pub(super) fn claiming(identity: u128, epoch: Option<u64>, offset: i64, generation: i32, _: u32) -> Token {
    Token::claim(claim_name(identity, epoch, offset, generation), offset)
}

/// What a history takes place in.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistorySetting {
    pub(super) hosts: usize,
    pub(super) partitions: usize,
    pub(super) commits: CommitStyle,
    /// Commits without a token may become such with one.
    pub(super) upgrades: bool,
    pub(super) rule: Rule,
    /// What of the group's is taken for a token.
    pub(super) naming: Naming,
    pub(super) claiming: Claiming,
    /// The log file itself is there as well.
    pub(super) mirrored: bool,
}

impl HistorySetting {
    /// Members of a coordinated group: Kafka refuses commits of an earlier generation,
    /// and resets while anybody is in the group.
    pub(super) fn coordinated(&self) -> bool {
        self.hosts > 1 && self.commits != CommitStyle::Values
    }
}

/// Who set the group's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetBy {
    /// A host's commit.
    Host { host: usize, number: u32 },
    /// An operator, be it claimed; `honoured`: a start has gone by it.
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
    /// Whether it does not say whose it is.
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
