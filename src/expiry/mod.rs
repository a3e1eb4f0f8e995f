//! Keys that expire: watches a Redis server and pushes the name of each expired key to the work
//! list.
//!
//! Redis announces that a key has expired (an *event*) when it deletes the key, which may be
//! long after the key's *deadline*. It announces each event once, to whoever listens then. So
//! four threads work here, which share one `context`:
//!
//! - `listener` receives events. Expired keys go to the `inbox`, from which the job's workers
//!   push them (`list_push`). Keys whose deadlines may have changed go to the expire probe.
//! - `expire_probe` learns deadlines and asks for each key when it is due, at which Redis
//!   deletes and announces the key.
//! - `reconciler` remembers deadlines beside the work list, and pushes keys whose events nobody
//!   received. It runs only with `expired['reconcile']`.
//! - `lease_keeper` keeps the lease: of several pandads with one work list, one listens.
//!
//! ```text
//! redis_kv_expire                                                       redis_list
//!
//!  events    PTTL, SCAN
//!    │           ▲
//!    ▼           │
//! listener    expire_probe ──deadline_handoff──▶ reconciler ──────────▶ remembered_deadlines
//!   │ │          ▲                                   └────────────────▶ work list
//!   │ └──────────┘
//!   │ changed_keys
//!   └──inbox──▶ source ──▶ workers ──list_push────────────────────────▶ work list
//! ```

mod awaited_events;
mod canary;
mod changed_keys;
mod command_reply;
mod context;
mod deadline_handoff;
mod expire_probe;
mod inbox;
mod key_events;
mod key_filter;
mod lease_fence;
mod lease_keeper;
mod list_push;
mod listen_state;
mod listener;
mod notify_flags;
mod own_keys;
mod packed_keys;
mod rate_limiter;
mod reconciler;
mod remembered_deadlines;
mod server_clock;
mod suspects;
mod watch;

pub use context::{Reconciliation, WatchConfig, WatchedServer};
pub use inbox::{Inbox, KeyBatch};
pub use key_filter::KeyFilter;
pub use list_push::ListPush;
pub use packed_keys::ReceivedKey;
pub use watch::ExpiryWatch;
