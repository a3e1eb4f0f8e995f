//! A name server that knows one name with an IPv4 address, 127.0.0.1, and fails in a chosen way at
//! questions for its IPv6 addresses. A real name server would have to be broken for that.

use super::directory;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, QTYPE, RCODE, ResourceRecord, TYPE};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The one name.
pub const NAME: &str = "server.pandad.test";

/// The answer to a question for IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// "There is no such name."
    NoSuchName,
    /// "I could not find out."
    ServerFailure,
    /// There is no answer.
    Silence,
}

/// A running name server; it ends when this is dropped.
pub struct NameServer {
    resolv_conf: PathBuf,
    ended: Arc<AtomicBool>,
}

impl NameServer {
    pub fn up(ipv6: Ipv6) -> NameServer {
        // Port 53 of an address that nobody else uses: 127.0.0.1 may have a server already.
        let socket = (1..255).find_map(|host| UdpSocket::bind((Ipv4Addr::new(127, 53, 7, host), 53)).ok());
        let socket = socket.expect("port 53 for a name server of the test: needs root");
        let resolv_conf = directory("name-server").join("resolv.conf");
        let address = socket.local_addr().unwrap().ip();
        std::fs::write(&resolv_conf, format!("nameserver {address}\n")).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mut room = [0; 512];
                let Ok((count, from)) = socket.recv_from(&mut room) else { continue };
                if let Some(answer) = answer(&room[..count], ipv6) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        NameServer { resolv_conf, ended }
    }

    /// The words before a command that must ask this server for names. The command keeps its process id.
    pub fn prefix(&self) -> Vec<String> {
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let script = format!("mount --bind '{}' /etc/resolv.conf && exec \"$@\"", self.resolv_conf.display());
        let words = ["unshare", if root { "-m" } else { "-rm" }, "sh", "-c", &script, "sh"];
        words.iter().map(ToString::to_string).collect()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        std::fs::remove_dir_all(self.resolv_conf.parent().unwrap()).unwrap();
    }
}

fn answer(question: &[u8], ipv6: Ipv6) -> Option<Vec<u8>> {
    let mut packet = Packet::parse(question).unwrap().into_reply();
    let asked = packet.questions[0].clone();
    let known = asked.qname.to_string() == NAME;
    if known && asked.qtype == QTYPE::TYPE(TYPE::A) {
        let address = RData::A(A { address: Ipv4Addr::LOCALHOST.into() });
        packet.answers.push(ResourceRecord::new(asked.qname, CLASS::IN, 1, address));
    } else if !known || ipv6 == Ipv6::NoSuchName {
        *packet.rcode_mut() = RCODE::NameError;
    } else if ipv6 == Ipv6::ServerFailure {
        *packet.rcode_mut() = RCODE::ServerFailure;
    } else {
        return None;
    }
    Some(packet.build_bytes_vec().unwrap())
}
