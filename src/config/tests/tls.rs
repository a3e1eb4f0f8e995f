//! The keys of TLS: what they give, and which do not go together.

use super::*;
use crate::error::Error;

const KAFKA: &str = "[log_section]\nbroker_list=a\n";
const SERVERS: &str =
    "[panda_server_section]\n[redis_env_section]\nredis_list['host']=a\nredis_ar['host']=b\n";
const PIN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The sentences about a text that is refused, one a line, with the numbers of their lines.
fn faults(text: &str) -> String {
    match Config::parse(text, Path::new("t.inv")) {
        Err(Error::Config(faults)) => {
            let line = |fault: &crate::error::ConfigFault| format!("{:?} {}\n", fault.line, fault);
            faults.iter().map(line).collect()
        }
        other => panic!("{other:?}\n---\n{text}"),
    }
}

#[test]
fn paths_begin_at_the_inv_and_pins_may_have_colons() {
    let colons: Vec<&str> = (0..32).map(|at| &PIN[2 * at..2 * at + 2]).collect();
    let colons = colons.join(":").to_uppercase();
    let all = |block: &str| {
        format!(
            "{block}['tls_ca']='ca.pem'\n{block}['tls_cert']='/x/c.pem'\n{block}['tls_key']='k.pem'\n\
             {block}['tls_name']='n'\n{block}['tls_verify']='ca'\n"
        )
    };
    let config = load(&format!(
        "{KAFKA}kafka['security']='ssl'\n{}{SERVERS}redis_ar['tls']='yes'\nredis_ar['tls_pin']='{colons}'\n",
        all("kafka"),
    ));
    assert_eq!(config.warnings, Vec::<String>::new());
    let kafka = config.kafka_to_file.unwrap().kafka;
    let expected = TlsConfig {
        ca: "/etc/pandad/ca.pem".into(),
        certificate: "/x/c.pem".into(),
        key: "/etc/pandad/k.pem".into(),
        name: "n".to_owned(),
        verify: TlsVerify::Ca,
        pin: None,
    };
    assert_eq!((kafka.security, kafka.tls), (KafkaSecurity::Ssl, expected));
    let job = config.list_to_hash.unwrap();
    assert!(job.ar.encrypted && !job.list.encrypted);
    let pin: String = job.ar.tls.pin.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((pin.as_str(), job.ar.tls.verify), (PIN, TlsVerify::Full));
}

#[test]
fn what_the_legacy_client_cannot_do_is_refused() {
    let secure = format!("{KAFKA}kafka['security']='ssl'\n");
    let client = faults(&format!("{secure}kafka['client']='crate'\n"));
    assert!(client.contains("Some(4)") && client.contains("this client has no TLS"), "{client}");
    let offsets = faults(&format!("{secure}kafka['offsets']='zookeeper'\n"));
    assert!(offsets.contains("Some(4)") && offsets.contains("a client that has no TLS"), "{offsets}");
    load(&format!("{KAFKA}kafka['client']='crate'\n"));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sasl = faults(&format!("{KAFKA}kafka['security']='sasl_ssl'\n"));
    assert!(sasl.contains("plaintext, ssl"), "{sasl}");
    for (given, missing) in [("tls_cert", "['tls_key']"), ("tls_key", "['tls_cert']")] {
        let kafka = faults(&format!("{KAFKA}kafka['security']='ssl'\nkafka['{given}']='f'\n"));
        let redis = faults(&format!("{SERVERS}redis_ar['tls']='yes'\nredis_ar['{given}']='f'\n"));
        assert!(kafka.contains(missing) && redis.contains(missing), "{kafka}{redis}");
    }
    let unix = "redis_ar['socket_type']='unix'\nredis_ar['socket']='/s'\nredis_ar['tls']='yes'\n";
    let unix = faults(&format!("{SERVERS}{unix}"));
    assert!(unix.contains("no TLS on its socket"), "{unix}");
    for pin in [&PIN[1..], &PIN.replace('0', "g"), &PIN.replace("01", "+1"), "ä"] {
        let faults = faults(&format!("{KAFKA}kafka['security']='ssl'\nkafka['tls_pin']='{pin}'\n"));
        assert!(faults.contains("64 hexadecimal digits"), "{faults}");
    }
}

/// A key that does nothing may be thought to protect.
#[test]
fn keys_without_effect_are_warned_of() {
    let some = |block: &str| format!("{block}['tls_ca']='f'\n{block}['tls_verify']='ca'\n");
    let off = load(&format!("{KAFKA}{}{SERVERS}{}", some("kafka"), some("redis_ar")));
    assert_eq!(off.warnings.len(), 4, "{:?}", off.warnings);
    assert!(off.warnings.iter().all(|text| text.contains("this has no effect")), "{:?}", off.warnings);
    let pinned =
        load(&format!("{KAFKA}kafka['security']='ssl'\nkafka['tls_pin']='{PIN}'\n{}", some("kafka")));
    assert_eq!(pinned.warnings.len(), 2, "{:?}", pinned.warnings);
}
