//! What a reader finds out before it reads a partition on: where it begins, whether it
//! is still the same log, what is there when the offset is not.

use super::{Reader, Stopped};
use crate::kafka::fetch::cursor::{Slot, Todo};
use crate::kafka::fetch::divergence::Check;
use crate::kafka::fetch::leader_queries::{Leader, Unknown};
use crate::kafka::protocol::messages::Isolation;
use crate::kafka::protocol::messages::list_offsets::End;
use crate::kafka::seam::{Event, Payload, StartOffset};
use crate::record::TopicPartition;

impl Reader {
    /// Does what is to be done before partitions can be read on.
    pub(super) fn find_out(&mut self) -> Result<(), Stopped> {
        self.connect()?;
        let curious = self.slots.values().filter(|slot| slot.is_curious());
        let curious: Vec<TopicPartition> = curious.map(|slot| slot.partition.clone()).collect();
        let mut told = Vec::new();
        for partition in curious {
            let Some(mut slot) = self.slots.remove(&partition) else { continue };
            let keep = match self.resolve(&mut slot, &mut told) {
                Ok(keep) => keep,
                Err(Unknown::Lost(fault)) => {
                    self.slots.insert(partition, slot);
                    self.tell(told)?;
                    return Err(fault.into());
                }
                Err(Unknown::Code(code)) if code.leader_moved() => {
                    told.push(slot.trouble(format!("Kafka answers {code}")));
                    self.let_go(&slot, &mut told);
                    false
                }
                Err(Unknown::Code(code)) => {
                    slot.pause();
                    told.push(slot.trouble(format!("Kafka answers {code}")));
                    true
                }
                Err(Unknown::Records(why)) => {
                    slot.pause();
                    told.push(slot.trouble(why));
                    true
                }
            };
            if keep {
                self.slots.insert(partition, slot);
            }
        }
        Ok(self.tell(told)?)
    }

    /// True: the partition stays with us.
    fn resolve(&mut self, slot: &mut Slot, told: &mut Vec<Event>) -> Result<bool, Unknown> {
        let isolation = self.isolation();
        let Self { connection, common, scratch, .. } = self;
        let pace = &common.pace;
        let Some(connection) = connection else { return Ok(true) };
        let mut leader = Leader { connection, partition: &slot.partition, epoch: slot.epoch, pace, scratch };
        match slot.todo.clone() {
            Todo::Read => {}
            Todo::StartOffset(StartOffset::At(at, landmarks)) => match leader.check(at, &landmarks)? {
                Check::Same => slot.todo = Todo::Read,
                Check::Different(next) => {
                    told.push(Event::Diverged(slot.partition.clone(), next));
                    return Ok(false);
                }
                Check::Behind(end) => return Ok(self.latch(slot, end, told)),
            },
            Todo::StartOffset(begin) => {
                let end = if begin == StartOffset::Latest { End::Next } else { End::First };
                slot.at = leader.end(end, isolation)?;
                slot.todo = Todo::Read;
                told.push(Event::Resolved(slot.partition.clone(), slot.at));
            }
            Todo::Bounds => {
                let first = leader.end(End::First, Isolation::ReadUncommitted)?;
                let end = leader.end(End::Next, Isolation::ReadUncommitted)?;
                if slot.at >= first {
                    return Ok(self.latch(slot, end, told));
                }
                slot.todo = Todo::Read;
                told.push(Event::Fetched(slot.hand_over(first, end, Payload::Gone)));
            }
            Todo::Inspect => {
                let why = leader.inspect(slot.at)?;
                slot.is_held_up(why);
            }
        }
        Ok(true)
    }

    /// An end below the position: nothing is read before the log has been compared
    /// again, since growth alone would also come from a topic that was made anew.
    fn latch(&self, slot: &Slot, end: i64, told: &mut Vec<Event>) -> bool {
        told.push(slot.trouble(format!("its end {end} is below the position {}", slot.at)));
        self.let_go(slot, told);
        false
    }
}
