//! Who is at the other end of a Unix socket.

use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, geteuid};

/// Whether the process at the other end belongs to this user or to root, or this user is root. A name of
/// the abstract namespace has no owner and no permissions, so both ends look.
pub(super) fn is_trusted(socket: &UnixStream) -> bool {
    let me = geteuid();
    let is_known = |peer: Uid| peer == me || peer.is_root() || me.is_root();
    socket_peercred(socket).is_ok_and(|peer| is_known(peer.uid))
}
