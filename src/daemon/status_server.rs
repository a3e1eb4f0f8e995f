//! The threads that answer whoever asks for the status: on the status page, and at the socket that
//! `pandad status` asks.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{DaemonConfig, HttpAddress};
use crate::error::Error;
use crate::http::{self, AllowedHosts, Handler, HttpListener, ListenAddress};
use crate::report::Outage;
use crate::status::{self, History, Pulse, SAMPLE_INTERVAL, StatusSource};
use crate::threads;

/// The first and the longest pause before an address that is taken is tried again.
const BIND_PAUSE_FIRST: Duration = Duration::from_secs(1);
const BIND_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Starts them. They end with the process. `names`: see [`status::socket_names`].
///
/// # Errors
/// `Failed`: a thread cannot be started.
pub(super) fn start(
    config: &DaemonConfig,
    names: Vec<String>,
    source: &StatusSource,
    pulse: &Pulse,
) -> Result<(), Error> {
    let history = History::default();
    let handler = status::handler(source.clone(), history.clone(), pulse.clone());
    let for_commands = Arc::clone(&handler);
    spawn("status", move || serve_commands(&names, &for_commands))?;
    let address = match &config.http {
        HttpAddress::Off => return Ok(()),
        HttpAddress::Tcp(address) => ListenAddress::Tcp(*address),
        HttpAddress::Unix(path) => ListenAddress::Unix(path.clone()),
    };
    let sampled = source.clone();
    spawn("status-samples", move || {
        loop {
            history.record(&sampled.look());
            std::thread::sleep(SAMPLE_INTERVAL);
        }
    })?;
    let hosts = AllowedHosts::new(&config.http_hosts);
    spawn("http", move || serve_page(&address, &hosts, &handler))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    threads::spawn(name, run).map(drop).map_err(|error| Error::Failed(error.to_string()))
}

/// Serves the page for ever. While the address is taken, pandad runs without it.
fn serve_page(address: &ListenAddress, hosts: &AllowedHosts, handler: &Handler) {
    let mut outage = Outage::new(format!("the status page {address}"));
    let mut pause = BIND_PAUSE_FIRST;
    loop {
        match HttpListener::bind(address) {
            Ok(listener) => {
                match outage.is_down() {
                    true => outage.up(Instant::now(), "is served"),
                    false => log::info!("the status page is served at {address}"),
                }
                http::serve(&listener, hosts, handler);
            }
            Err(error) => outage.down(Instant::now(), &bind_error(&error)),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(BIND_PAUSE_MAX);
    }
}

fn bind_error(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has it: give each pandad a [daemon_section] http of its own"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: look at [daemon_section] http",
        io::ErrorKind::PermissionDenied => "pandad may not have it: look at [daemon_section] http",
        _ => "look at [daemon_section] http",
    };
    format!("cannot listen: {error}; {remedy}; pandad runs without it")
}

/// Answers `pandad status` for ever, at the first of the names that no other process has.
fn serve_commands(names: &[String], handler: &Handler) {
    for name in names {
        match HttpListener::bind(&ListenAddress::Abstract(name.clone())) {
            Ok(listener) => return http::serve(&listener, &AllowedHosts::default(), handler),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                let why = error.to_string();
                return log::warn!("'pandad status' cannot ask this process: {why}");
            }
        }
    }
    // Without names, the start has said why.
    if !names.is_empty() {
        let why = format!("{} others of this .inv run", names.len());
        log::warn!("'pandad status' cannot ask this process: {why}");
    }
}
