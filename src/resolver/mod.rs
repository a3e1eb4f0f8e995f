//! The addresses of a host name, within a time limit, even if nobody answers the question for IPv6
//! addresses.
//!
//! The system's resolver asks for both kinds of addresses. The static binary contains musl's resolver. If
//! the name server refuses the question for IPv6 addresses, denies that the name exists there, or leaves it
//! unanswered, musl's resolver gives up the IPv4 addresses, too. In that case the name servers are asked
//! again here, for IPv4 addresses only.

mod a_query;
mod shared_lookup;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use a_query::NameServers;
use shared_lookup::SharedLookups;

/// How long only the system's resolver is waited for. If a name server leaves one of the two questions
/// unanswered, that resolver takes ten seconds and more.
const SYSTEM_ALONE: Duration = Duration::from_secs(1);

static SYSTEM_LOOKUPS: SharedLookups = SharedLookups::new();

/// The addresses of `host`, which is a name or an address, in the order in which to try them. The result
/// has at least one address.
///
/// # Errors
/// `TimedOut`: nobody has answered within `limit`. Otherwise the refusal of the system's resolver, and the
/// reason why the name servers gave no IPv4 address either.
pub fn resolve(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let lookup = |name: &str| Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect());
    let servers = || NameServers::of_system();
    let addresses = resolve_with(&SYSTEM_LOOKUPS, lookup, servers, host, limit)?;
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Shares a time limit among several addresses: calls `attempt` with each in turn and its share, so
/// that an address that does not answer leaves time for the others.
///
/// # Errors
/// That of the last address.
pub fn try_each<T, E: From<io::Error>>(
    addresses: &[SocketAddr],
    until: Instant,
    mut attempt: impl FnMut(SocketAddr, Duration) -> Result<T, E>,
) -> Result<T, E> {
    let mut last = E::from(no_address());
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        // The standard library refuses a timeout of zero.
        match attempt(*address, share.max(Duration::from_millis(1))) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn resolve_with(
    lookups: &'static SharedLookups,
    lookup: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    servers: impl FnOnce() -> NameServers,
    host: &str,
    limit: Duration,
) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let until = Instant::now() + limit;
    let system = lookups.join(host, lookup)?;
    // Half of a short limit is left for asking the name servers.
    if let Some(Ok(addresses)) = system.wait(SYSTEM_ALONE.min(limit / 2)) {
        return Ok(addresses);
    }
    let denial = match servers().ask(host, until) {
        Ok(addresses) => return Ok(addresses.into_iter().map(IpAddr::V4).collect()),
        Err(denial) => denial,
    };
    // The system may have refused long ago. Otherwise it is waited for up to the limit.
    let refusal = match system.wait(until.saturating_duration_since(Instant::now())) {
        Some(Ok(addresses)) => return Ok(addresses),
        Some(Err(refusal)) => refusal,
        None => io::Error::new(ErrorKind::TimedOut, format!("the name is not resolved after {limit:?}")),
    };
    Err(io::Error::new(refusal.kind(), format!("{refusal}; asked for IPv4 addresses only: {denial}")))
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "the name has no address")
}
