//! Where the server listens.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::peer::is_trusted;
use super::stream::HttpStream;

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
    /// A name in Linux's abstract namespace of Unix sockets: no file, and gone with the process.
    Abstract(String),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "http://{address}/"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            ListenAddress::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

/// A socket that accepts connections.
#[derive(Debug)]
pub enum HttpListener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
    /// A Unix socket without permissions of its own. Only this user and root are served.
    Private(UnixListener),
}

impl HttpListener {
    /// Listens there.
    ///
    /// # Errors
    /// Those of the system. A socket file that nobody listens at any more is replaced.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).map(HttpListener::Tcp),
            ListenAddress::Unix(path) => bind_file(path).map(HttpListener::Unix),
            ListenAddress::Abstract(name) => {
                UnixListener::bind_addr(&UnixAddress::from_abstract_name(name)?).map(HttpListener::Private)
            }
        }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// Those of the system.
    pub fn accept(&self) -> io::Result<HttpStream> {
        match self {
            HttpListener::Tcp(listener) => listener.accept().map(|(stream, _)| HttpStream::Tcp(stream)),
            HttpListener::Unix(listener) => listener.accept().map(|(stream, _)| HttpStream::Unix(stream)),
            HttpListener::Private(listener) => loop {
                let (stream, _) = listener.accept()?;
                if is_trusted(&stream) {
                    return Ok(HttpStream::Unix(stream));
                }
            },
        }
    }
}

/// Only the owner and the group may connect.
fn bind_file(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o660))?;
    Ok(listener)
}

/// Whether this is a socket that nobody listens at: it was left by a process that is gone.
fn is_left(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    let refuses =
        || UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refuses()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_socket_is_replaced_and_anything_else_is_not() {
        let dir = std::env::temp_dir().join(format!("pandad-http-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let address = ListenAddress::Unix(dir.join("status"));
        let first = HttpListener::bind(&address).unwrap();
        assert!(HttpListener::bind(&address).is_err(), "somebody listens");
        drop(first);
        let again = HttpListener::bind(&address).unwrap();
        let mode = std::fs::metadata(dir.join("status")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        drop(again);
        std::fs::write(dir.join("file"), "kept").unwrap();
        assert!(HttpListener::bind(&ListenAddress::Unix(dir.join("file"))).is_err());
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"kept");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
