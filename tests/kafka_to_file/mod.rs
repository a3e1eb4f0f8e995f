//! kafka_to_file with one pandad: records, files, disks, brokers and offsets.

mod bad_network;
mod blocked_partitions;
mod broker_outages;
mod client_switch;
mod commits;
mod content;
mod coordinator;
mod damaged_files;
mod delivery;
mod disk_faults;
mod failing_disk;
mod full_disk;
mod full_stderr;
mod journal_damage;
mod kill9;
mod leaders;
mod live_copy;
mod memory;
mod offset_resets;
mod one_topic;
mod original_format;
mod other_numbers;
mod recreated_topic;
mod restart;
mod rotation;
mod signals;
