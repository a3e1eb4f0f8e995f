//! Servers that several jobs share: how Redis is reached, what an outage does to each job.

mod core2;
mod failed_job;
mod names;
mod old_kernel;
mod one_server_down;
mod outage;
mod redis_connections;
mod redis_outages;
mod rights;
mod status;
mod tls;
