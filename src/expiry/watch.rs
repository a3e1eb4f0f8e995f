//! Watching one server for keys that expire: puts the threads of this room together and
//! ends them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::context::{ExpiryContext, WatchConfig};
use super::expire_probe::ExpireProbe;
use super::inbox::Inbox;
use super::lease_keeper::LeaseKeeper;
use super::list_push::ListPush;
use super::listener::Listener;
use super::reconciler::Reconciler;
use crate::error::Fault;
use crate::host;
use crate::report::Counters;
use crate::threads::{self, Thread};

/// How long the end waits for what the threads have to say to the servers.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// The threads end, some seconds later, when this is dropped.
pub struct ExpiryWatch {
    owner: Option<Sender<()>>,
    /// Those that have something to say to a server at their end.
    threads: Vec<Thread<()>>,
}

impl ExpiryWatch {
    /// Begins to watch: keys that expire come to `inbox`, and `ListPush` is how they go to the list.
    ///
    /// # Errors
    /// `Retry`: no thread, or no random name, can be had.
    pub fn start(
        config: WatchConfig,
        inbox: Inbox,
        counters: &Arc<Counters>,
    ) -> Result<(Self, ListPush), Fault> {
        let random = host::random::<8>().map_err(|error| Fault::Retry(format!("no random name: {error}")))?;
        let instance = format!("{:016x}", u64::from_le_bytes(random));
        let (owner, end) = bounded(0);
        let now = Instant::now();
        let context = ExpiryContext::new(config, inbox, Arc::clone(counters), &instance, end, now);
        let context = Arc::new(context);
        let keeper = LeaseKeeper::new(&context);
        let probe = ExpireProbe::new(&context, now);
        let listener = Listener::new(&context);
        let mut threads =
            vec![start("expired-lease", || keeper.run())?, start("expired-touch", || probe.run())?];
        if context.remembers() {
            let reconciler = Reconciler::new(&context);
            threads.push(start("expired-recon", || reconciler.run())?);
        }
        // Blocked in a read that nobody can end: it is not waited for.
        start("expired-listen", || listener.run())?;
        Ok((Self { owner: Some(owner), threads }, ListPush::new(&context)))
    }

    /// Ends the threads, and waits a little for what they say to the servers. What was
    /// heard has been pushed by now: the lease may go to others.
    pub fn end(&mut self) {
        self.owner = None;
        let until = Instant::now() + END_WAIT_MAX;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread<()>, Fault> {
    threads::spawn(name, body).map_err(|error| Fault::Retry(format!("cannot start a thread: {error}")))
}
