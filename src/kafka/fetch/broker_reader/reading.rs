//! How a reader makes its Fetch requests, and what their answers mean for its partitions.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::{Awaited, BrokerReader, PendingFetch, ReaderStopped};
use crate::error::Fault;
use crate::kafka::client::connection::Sent;
use crate::kafka::fetch::cursor::{Cursor, Meaning};
use crate::kafka::fetch::session::{FetchPlace, SessionAnswer, SessionRequest};
use crate::kafka::fetch::turns::{Served, next_in_turn};
use crate::kafka::protocol::frame::Frame;
use crate::kafka::protocol::messages::fetch::{FetchAnswer, FetchedPartition};
use crate::kafka::protocol::messages::{Fetch, Isolation, Request};
use crate::kafka::seam::Event;
use crate::record::TopicPartition;

/// A reply may have at least this many bytes, however many brokers are read.
const REPLY_BYTES_MIN: usize = 256 * 1024;
/// The least number of bytes that is requested of one partition.
const PARTITION_BYTES_MIN: usize = 64 * 1024;
/// How many partitions a request names to a broker that keeps no session; the others follow in the next ones.
const FETCH_PARTITIONS_MAX: usize = 1000;
/// How often the time limit of a delayed answer is doubled before the request is sent again.
const DELAYS_AWAITED: u32 = 2;
/// How long the answer of a broker that throttles is waited for.
const DELAYED_ANSWER_MAX: Duration = Duration::from_secs(300);
/// How often orders are taken while an answer is waited for.
const ORDERS_INTERVAL: Duration = Duration::from_secs(1);
/// From this version of Fetch on, the broker may keep a session (KIP-227).
const SESSIONS_SINCE: i16 = 7;
/// Brokers with this highest version of Fetch, or a higher one, put only those partitions to the end of a
/// session's line that were served. Older ones also put those there of which only the end has moved, so that
/// others could fill each answer for good.
const FAIR_SESSIONS_SINCE: i16 = 13;

impl BrokerReader {
    pub(super) fn isolation(&self) -> Isolation {
        if self.context.cluster.read_committed {
            Isolation::ReadCommitted
        } else {
            Isolation::ReadUncommitted
        }
    }

    /// The version of Fetch that is spoken with the broker.
    fn fetch_version(&mut self) -> Result<i16, Fault> {
        Ok(self.connection()?.versions().choose::<Fetch<'_>>().unwrap_or(0))
    }

    /// How many bytes to request of one partition. Brokers before 0.10.1 (Fetch below version 3)
    /// have no limit for the whole answer.
    fn partition_bytes(&self, version: i16) -> usize {
        let (partitions, most) = (self.cursors.len().clamp(1, FETCH_PARTITIONS_MAX), self.pace.bytes());
        match version {
            3.. => self.context.config.partition_bytes,
            _ if self.pace.is_slow() => (most / partitions).max(1),
            _ => (most / partitions).max(PARTITION_BYTES_MIN).min(self.context.config.partition_bytes),
        }
    }

    /// Sends a Fetch for the partitions that are due; `None` if there are none.
    pub(super) fn send_fetch(&mut self) -> Result<Option<PendingFetch>, Fault> {
        let version = self.fetch_version()?;
        let usual = self.partition_bytes(version);
        let due = self.cursors.values().filter(|cursor| cursor.next_fetch(usual).is_some()).count();
        if due == 0 {
            return Ok(None);
        }
        let is_settled =
            self.cursors.values().all(|one| one.is_answered() || one.next_fetch(usual).is_none());
        let most = match version {
            SESSIONS_SINCE.. if !self.session.is_denied() => usize::MAX,
            _ => FETCH_PARTITIONS_MAX,
        };
        let request = self.next_request(usual, most);
        let wait = match request.named.len() {
            // The first answer says where the logs end, and others may have records already.
            _ if !is_settled => Duration::ZERO,
            named if named >= most => self.context.config.max_wait / turns(due, most),
            _ => self.context.config.max_wait,
        };
        let share = self.context.config.reply_bytes / self.context.reading.load(SeqCst).max(1);
        let fetch = Fetch {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: i32::try_from(share.max(REPLY_BYTES_MIN).min(self.pace.bytes())).unwrap_or(i32::MAX),
            isolation: self.isolation(),
            session: request.place,
            partitions: &request.named,
            forgotten: &request.forgotten,
        };
        let answer_timeout = self.context.config.limits.answer_timeout;
        let patience = self.pace.limit(answer_timeout).min(DELAYED_ANSWER_MAX).saturating_sub(answer_timeout);
        let sent = self.connection()?.send(&fetch, wait + patience)?;
        Ok(Some(PendingFetch { sent, at: Instant::now(), wait }))
    }

    /// Waits for the answer. A broker before Kafka 2.0 that throttles this client for its quota delays its
    /// answer by minutes, by longer the more is asked for. So as long as such a broker answers on another
    /// connection, the answer is waited for, and then less is asked for; in the end on the other connection,
    /// because the first one may not work.
    pub(super) fn await_answer(&mut self, sent: &mut Sent) -> Result<Awaited, ReaderStopped> {
        if sent.version() >= <Fetch<'_> as Request>::THROTTLES_SINCE {
            return Ok(Awaited::Answer);
        }
        let mut limit = self.pace.limit(self.context.config.limits.answer_timeout);
        for step in 0..=DELAYS_AWAITED {
            while !sent.is_overdue() {
                if self.connection()?.answer_begins(sent, ORDERS_INTERVAL)? {
                    return Ok(Awaited::Answer);
                }
                // A leader that has moved is followed at once.
                self.take_orders(Duration::ZERO)?;
                if !self.cursors.keys().any(|partition| self.session.holds(partition)) {
                    return Ok(Awaited::NothingWanted);
                }
            }
            if limit >= DELAYED_ANSWER_MAX {
                return Ok(Awaited::Answer);
            }
            let other = self.open()?;
            log::debug!("{}: no answer within {limit:.0?}, and one to another: a quota?", self.address);
            if step == 0 || step == DELAYS_AWAITED {
                self.pace.record_delayed(Instant::now());
            }
            if step == DELAYS_AWAITED {
                self.connection = Some(other);
                // The broker may have carried out the request.
                self.session.begin_anew();
            }
            limit = (limit * 2).min(DELAYED_ANSWER_MAX);
            sent.extend(limit);
        }
        Ok(Awaited::Delayed)
    }

    /// What the next request names: within a session what has changed, otherwise at most `most` partitions,
    /// those whose turn it is.
    fn next_request(&mut self, usual: usize, most: usize) -> SessionRequest {
        let wanted = self.cursors.iter();
        let wanted = wanted.filter_map(|(one, cursor)| Some((cursor, (one, cursor.next_fetch(usual)?))));
        if self.session.is_open() {
            return self.session.incremental_request(wanted.map(|(_, one)| one));
        }
        let waiting: Vec<(_, (&TopicPartition, FetchPlace))> =
            wanted.map(|(cursor, one)| (cursor.turn, one)).collect();
        self.session.full_request(next_in_turn(waiting, most).into_iter())
    }

    /// The events of an answer. It also moves the positions.
    pub(super) fn take_answer(&mut self, answer: FetchAnswer, frame: Frame) -> Result<Vec<Event>, Fault> {
        let mut events = Vec::new();
        let withheld_for = answer.withheld_for();
        if withheld_for.is_none() {
            self.pace.record_answer(Instant::now());
        }
        match self.session.take_answer(&answer) {
            SessionAnswer::Whole => {}
            SessionAnswer::LeftOutCommands(partitions) => {
                let why = "the broker's answer does not name this partition";
                for partition in partitions {
                    self.carry_out_meaning(&partition, Meaning::Failed(why.to_owned()), &mut events);
                }
            }
            SessionAnswer::SessionLost => {
                log::debug!("{}: the fetch session is lost ({}), and begins anew", self.address, answer.code);
                return Ok(events);
            }
            SessionAnswer::Refused => {
                return Err(Fault::Retry(format!("{} answers {}", self.address, answer.code)));
            }
        }
        if let Some(pause) = withheld_for {
            events.extend(self.let_others_first(pause));
        }
        let (frame, committed) = (Arc::new(frame), self.context.cluster.read_committed);
        let (mut passed_over, full) =
            (false, answer.partitions.iter().any(|(_, one)| !one.records.is_empty()));
        for (partition, answer) in answer.partitions {
            // What was not asked for may have been given up or may have a question.
            if !self.session.holds(&partition) {
                continue;
            }
            let Some(cursor) = self.cursors.get_mut(&partition) else { continue };
            let served = served(cursor, &answer, committed, full);
            passed_over |= served == Served::PassedOver;
            self.turns.take(&mut cursor.turn, served);
            let meaning = cursor.take_answer(&answer, &frame, committed, &self.context.config);
            if answer.code.is_none()
                && let Some(lag) = cursor.news_of_lag(answer.high_watermark)
            {
                let assignment = cursor.assignment;
                events.push(Event::Lag { partition: partition.clone(), assignment, lag });
            }
            self.carry_out_meaning(&partition, meaning, &mut events);
        }
        self.take_no_changes(&mut events);
        if passed_over && !self.has_fair_sessions()? {
            self.session.begin_anew();
        }
        if events.is_empty() {
            events.push(Event::Idle);
        }
        Ok(events)
    }

    /// The broker has withheld an answer because of the quota. A batch that is larger than the quota of some
    /// seconds is withheld for ever; it must not stand before the batches of other partitions for ever.
    fn let_others_first(&mut self, pause: Duration) -> Option<Event> {
        let asked = self.cursors.values_mut().filter(|cursor| self.session.holds(&cursor.partition));
        let mut told = None;
        if let Some(first) = asked.min_by_key(|cursor| cursor.turn) {
            self.turns.take(&mut first.turn, Served::Answered);
            // As long as more is asked for than one batch, less may come.
            if self.pace.is_least() {
                told = first.withheld(self.context.config.blocked_log_after);
            }
        }
        if self.pace.record_withheld(pause, Instant::now()) {
            // A session would keep the broker's order.
            self.session.begin_anew();
        }
        told
    }

    /// Whether the broker's sessions serve all partitions in turn, also if its answers are full.
    fn has_fair_sessions(&mut self) -> Result<bool, Fault> {
        let highest = self.connection()?.versions().range(<Fetch<'_> as Request>::KEY);
        Ok(highest.is_some_and(|(_, highest)| highest >= FAIR_SESSIONS_SINCE))
    }

    /// A session's answer leaves out the partitions of which nothing has changed. For those that were not
    /// heard of before, that is news.
    fn take_no_changes(&mut self, events: &mut Vec<Event>) {
        let minds = |(partition, cursor): (&TopicPartition, &Cursor)| {
            let ends = cursor.minds_no_change().then(|| self.session.unchanged(partition))??;
            Some((partition.clone(), ends))
        };
        let unchanged: Vec<_> = self.cursors.iter().filter_map(minds).collect();
        let committed = self.context.cluster.read_committed;
        for (partition, ends) in unchanged {
            let Some(cursor) = self.cursors.get_mut(&partition) else { continue };
            let meaning = cursor.take_no_change(ends, committed, &self.context.config);
            self.carry_out_meaning(&partition, meaning, events);
        }
    }

    fn carry_out_meaning(&mut self, partition: &TopicPartition, meaning: Meaning, events: &mut Vec<Event>) {
        let Some(cursor) = self.cursors.get_mut(partition) else { return };
        match meaning {
            Meaning::Nothing => {}
            Meaning::Records(fetched) => events.push(Event::Fetched(fetched)),
            Meaning::Recovered(lag) => {
                let (partition, assignment) = (partition.clone(), cursor.assignment);
                events.push(Event::Recovered { partition, assignment, lag });
            }
            Meaning::Blocked(why) => events.push(cursor.held_up(why)),
            Meaning::Failed(why) => {
                cursor.pause();
                events.push(cursor.failed(why));
            }
            Meaning::Relinquish(why) => {
                events.push(cursor.failed(why));
                if let Some(cursor) = self.cursors.remove(partition) {
                    self.relinquish(&cursor, events);
                }
            }
        }
    }
}

/// How many requests it takes until each partition that is due was named.
fn turns(due: usize, most: usize) -> u32 {
    u32::try_from(due.div_ceil(most.max(1)).max(1)).unwrap_or(u32::MAX)
}

/// What an answer has for a partition. `others`: it has records of some partition.
fn served(cursor: &Cursor, answer: &FetchedPartition, committed: bool, others: bool) -> Served {
    let is_blocked = committed && (0..=cursor.at).contains(&answer.last_stable);
    let is_waiting = answer.high_watermark > cursor.at && !is_blocked;
    match others && answer.code.is_none() && answer.records.is_empty() && is_waiting {
        true => Served::PassedOver,
        false => Served::Answered,
    }
}
