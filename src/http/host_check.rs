//! Whether a request is meant for this server. A page of somebody else may have a name that is made to
//! resolve to this machine, so that a browser behind the firewall reads the answers for it (DNS
//! rebinding). Such a request has that name in its header `Host`.

use std::net::IpAddr;

/// The names by which the server may be asked, beside those of the loopback and its own address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// These names, in any case of letters.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a request with this header `Host` is meant for this server. `local` is the address at
    /// which the request came in; `None` for a Unix socket, which no page can reach.
    pub(super) fn allows(&self, host: Option<&str>, local: Option<IpAddr>) -> bool {
        let (Some(host), Some(local)) = (host, local) else { return true };
        let name = without_port(host).to_ascii_lowercase();
        if name == "localhost" || self.0.contains(&name) {
            return true;
        }
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| {
            address.to_canonical().is_loopback() || address.to_canonical() == local.to_canonical()
        })
    }
}

/// The host of `host:port`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => {
            // The last group of an address without a port, as in [::1].
            if name.starts_with('[') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_names_are_allowed() {
        let allowed = AllowedHosts::new(&["Watch.example.com".to_owned()]);
        let local = Some("10.0.0.7".parse().unwrap());
        for host in [
            "localhost",
            "LOCALHOST:9750",
            "127.0.0.1:9750",
            "127.9.9.9",
            "[::1]:9750",
            "[::1]",
            "10.0.0.7:9750",
            "10.0.0.7",
            "watch.example.com",
            "WATCH.example.com:80",
            "[::ffff:10.0.0.7]:1",
        ] {
            assert!(allowed.allows(Some(host), local), "{host}");
        }
        for host in [
            "",
            "evil.example.com",
            "evil.example.com:9750",
            "10.0.0.8",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "watch.example.com.evil.com",
            "[::2]:9750",
            "a:b:c",
        ] {
            assert!(!allowed.allows(Some(host), local), "{host}");
        }
        assert!(allowed.allows(Some("evil.example.com"), None), "a Unix socket");
        assert!(allowed.allows(None, local), "HTTP/1.0 has no Host, and no browser speaks it");
    }
}
