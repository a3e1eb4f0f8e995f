//! list_to_hash: items of the work list become deleted hash fields.

mod came_back;
mod delivery;
mod evicted;
mod failover;
mod kill9;
mod late;
mod refusals;
mod register;
mod stalled;
mod wrong_address;
