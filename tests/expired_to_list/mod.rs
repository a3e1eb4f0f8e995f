//! expired_to_list: keys that expire in Redis are pushed to the work list.

mod canary;
mod deleted;
mod delivery;
mod evicted;
mod lease;
mod notify_setting;
mod on_time;
mod paused;
mod reconcile;
