//! The watch of one server for keys that expire: starts the threads of this module, and ends
//! them.

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

/// How long the end waits for the last commands of the threads.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// The running threads. They end, some seconds later, when this is dropped.
pub struct ExpiryWatch {
    owner: Option<Sender<()>>,
    /// The threads that send a last command to a server when they end.
    threads: Vec<Thread<()>>,
}

impl ExpiryWatch {
    /// Begins to watch. Keys that expire come to `inbox`, and the [`ListPush`] pushes them to
    /// the work list.
    ///
    /// # Errors
    /// `Retry`: the system refuses a thread or random bytes.
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
        // The thread's handle is dropped: nobody waits for the thread's end, because nothing can interrupt
        // its read.
        start("expired-listen", || listener.run())?;
        Ok((Self { owner: Some(owner), threads }, ListPush::new(&context)))
    }

    /// Ends the threads, and waits a little for their last commands. Call this after every received key has
    /// been pushed, because another pandad gets the lease then.
    pub fn end(&mut self) {
        self.owner = None;
        let until = Instant::now() + END_WAIT_MAX;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread<()>, Fault> {
    Ok(threads::spawn(name, body)?)
}
