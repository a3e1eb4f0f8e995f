//! kafka_to_file with several members in one consumer group.

mod chaos;
mod clusters;
mod members;
mod restarts;
