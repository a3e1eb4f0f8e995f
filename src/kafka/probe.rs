//! A first look at the brokers on a connection of our own: which of them answer, and
//! which version of Fetch they speak (ApiVersions v0, KIP-35).
//!
//! The `kafka` crate connects without a time limit and trusts what comes back, so it
//! is only ever handed brokers that have just answered here.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);
/// Kafka 0.9 neither answers ApiVersions nor closes: this long is waited for it.
const ANSWER: Duration = Duration::from_secs(3);
/// The largest answer to ApiVersions that is read, in bytes.
const LARGEST: u32 = 64 * 1024;

const API_VERSIONS: i16 = 18;
const FETCH: i16 = 1;
const CORRELATION: i32 = 0x7061_6e64;

/// What a broker said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// It does not know ApiVersions: Kafka 0.9.
    Silent,
    /// The lowest and highest version of Fetch that it speaks.
    Fetch(i16, i16),
}

/// Connects to one broker and asks, unless it is `known` what it would say.
pub(super) fn ask(broker: &str, client_id: &str, known: Option<Era>) -> io::Result<Era> {
    let mut stream = connect(broker)?;
    if let Some(era) = known {
        return Ok(era);
    }
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(&request(client_id))?;
    match read_answer(&mut stream) {
        Ok(body) => parse(&body).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "its answer to ApiVersions is not Kafka's")
        }),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Ok(Era::Silent)
        }
        Err(error) => Err(error),
    }
}

/// Tries every address of a name.
fn connect(broker: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in broker.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request(client_id: &str) -> Vec<u8> {
    let id = client_id.as_bytes();
    let id_length = i16::try_from(id.len()).unwrap_or(0);
    let id = id.get(..usize::try_from(id_length).unwrap_or(0)).unwrap_or_default();
    let mut body = Vec::new();
    body.extend_from_slice(&API_VERSIONS.to_be_bytes());
    body.extend_from_slice(&0i16.to_be_bytes());
    body.extend_from_slice(&CORRELATION.to_be_bytes());
    body.extend_from_slice(&id_length.to_be_bytes());
    body.extend_from_slice(id);
    let mut frame = u32::try_from(body.len()).unwrap_or(0).to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

fn read_answer(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is not Kafka's"));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Correlation id, error code, then (key, lowest, highest) for each request it knows.
fn parse(body: &[u8]) -> Option<Era> {
    let (correlation, rest) = body.split_first_chunk::<4>()?;
    let (_error, rest) = rest.split_first_chunk::<2>()?;
    let (_count, rest) = rest.split_first_chunk::<4>()?;
    if i32::from_be_bytes(*correlation) != CORRELATION {
        return None;
    }
    rest.chunks_exact(6).find_map(|api| match api {
        [k0, k1, l0, l1, h0, h1] if i16::from_be_bytes([*k0, *k1]) == FETCH => {
            Some(Era::Fetch(i16::from_be_bytes([*l0, *l1]), i16::from_be_bytes([*h0, *h1])))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(apis: &[[i16; 3]]) -> Vec<u8> {
        let mut body = CORRELATION.to_be_bytes().to_vec();
        body.extend_from_slice(&0i16.to_be_bytes());
        body.extend_from_slice(&(apis.len() as i32).to_be_bytes());
        body.extend(apis.iter().flatten().flat_map(|number| number.to_be_bytes()));
        body
    }

    #[test]
    fn finds_fetch_among_the_others() {
        assert_eq!(parse(&answer(&[[0, 3, 12], [1, 4, 17]])), Some(Era::Fetch(4, 17)));
        assert_eq!(parse(&answer(&[[0, 3, 12]])), None);
        assert_eq!(parse(b"HTTP/1.1 400"), None);
        assert_eq!(parse(&[]), None);
    }
}
