//! The output of `-T` is read again to the same configuration, and no text makes the reader panic.

use std::collections::HashSet;
use std::path::Path;

use proptest::prelude::*;

use super::{ORIGINAL, SHIPPED, load};
use crate::config::{Config, RedisConfig, convert, kind, settings, value};
use crate::error::Error;

/// Prints a configuration and reads it again: only warnings and passwords may differ.
fn reread(config: &Config) {
    let text = config.to_inv();
    let again = match Config::parse_allowing_mask(&text, &config.path) {
        Ok(again) => again,
        Err(error) => panic!("{error}\n---\n{text}"),
    };
    assert_eq!(
        Config { warnings: Vec::new(), ..again },
        Config { warnings: Vec::new(), ..masked(config.clone()) }
    );
}

fn masked(mut config: Config) -> Config {
    let mask = |redis: &mut RedisConfig| {
        if !redis.password.is_empty() {
            redis.password = kind::MASK.into();
        }
    };
    if let Some(job) = &mut config.expired_to_list {
        mask(&mut job.expire);
        mask(&mut job.list);
    }
    if let Some(job) = &mut config.list_to_hash {
        mask(&mut job.list);
        mask(&mut job.ar);
        job.markers.iter_mut().for_each(|markers| mask(&mut markers.expire));
    }
    config
}

#[test]
fn printed_and_read_again() {
    reread(&load(ORIGINAL));
    reread(&load(SHIPPED));
    reread(&load(
        "[log_section]\nbroker_list=a\nlog_file[path]='x{{/{topic}/{key}-{%F}.log'\nlog_file[time]=append\n\
         log_file[zone]='-03:30'\nlog_file[open]=8\nlog_file[future]='90m'\nlog_file[grace]=0s\n\
         log_file[new_files]=1\n",
    ));
    let secret = load(&SHIPPED.replace("redis_ar['password']=''", "redis_ar['password']='geheim'"));
    reread(&secret);
    assert!(!secret.to_inv().contains("geheim"));
    let printed = Config::parse(&secret.to_inv(), Path::new("t"));
    assert!(printed.unwrap_err().to_string().contains("the mask that -T prints"));
    // Every key is printed except the socket: a server has either a socket, or host and port.
    for key in settings::KEYS.iter().filter(|key| !key.name.ends_with("['socket']")) {
        assert!(secret.to_inv().contains(&format!("\n{} = ", key.name)), "{} is not printed", key.name);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\r\n\0]{0,12}", "['\"\\\\$ {};#=&a]{0,8}"]
}

/// A template with text and one placeholder.
fn template_text() -> impl Strategy<Value = String> {
    let placeholder =
        prop_oneof![Just("{value:json}"), Just("{headers[a 'b']}"), Just("{timestamp[+08:00]:%F \"%T\"}"),];
    (text(), placeholder)
        .prop_map(|(text, placeholder)| text.replace('{', "{{").replace('}', "}}") + placeholder)
}

fn name_text() -> impl Strategy<Value = String> {
    text().prop_filter("a name", |text| convert::name(text).is_ok())
}

prop_compose! {
    fn redis_text(block: &'static str)(
        unix in proptest::bool::ANY, host in "[a-z][a-z0-9.-]{0,8}", port in 1u16.., user in text(),
        password in text(), database in 0u32..1000, ms in 0u64..300_000,
    ) -> String {
        let put = |key: &str, value: &str| format!("{block}['{key}']={}\n", value::quote(value));
        let password = if password == kind::MASK { String::new() } else { password };
        let kind = if unix { put("socket_type", "unix") + &put("socket", &host) } else { put("host", &host) };
        kind + &put("port", &port.to_string()) + &put("user", &user) + &put("password", &password)
            + &put("database", &database.to_string())
            + &put("timeout", &format!("{}.{:03}", ms / 1000, ms % 1000))
    }
}

/// Each kind of `kafka['start']`, some of them unquoted.
const STARTS: [&str; 6] = ["earliest", "'2026-11-27T06:00:00.5Z'", "latest", "'-36h'", "'2026-11-27'", "-2m"];

prop_compose! {
    fn whole_text()(
        redis in (redis_text("redis_kv_expire"), redis_text("redis_list"), redis_text("redis_ar")),
        names in (text(), text(), text(), name_text(), name_text()),
        brokers in proptest::collection::hash_set("[a-z]{1,8}(:[1-9][0-9]{0,3})?", 1..4),
        topics in proptest::collection::hash_set("[a-z0-9_-]{1,9}", 1..4),
        choices in (0usize..2, 0usize..2, 0usize..2, 0usize..4, 0usize..3, 0usize..6),
        line in (template_text(), proptest::bool::ANY, text()),
        numbers in (1u64..=256, 50u64..=60_000, 1_000u64..=3_600_000, 1u64 << 20..=4 << 30),
        jobs in (proptest::bool::ANY, proptest::bool::ANY),
    ) -> String {
        let q = |text: &str| value::quote(text);
        let join = |set: &HashSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        let pick = |words: &[&str], at: usize| words[at].to_owned();
        let mut out = format!(
            "[log_section]\npanda_process={}\nmaster['log_master_name']={}\nkafka['group']={}\n\
             broker_list={}\n\
             kafka['topics']={}\nkafka['start']={}\nkafka['offsets']={}\nkafka['membership']={}\n\
             kafka['full_disk_s']=2.5\n\
             log_file['format']={}\nlog_handler['worker_num']={}\nlog_file['settle_ms']={}\n",
            q(&names.0), q(&names.1), q(&names.3.replace('/', "-")), q(&join(&brokers)), q(&join(&topics)),
            STARTS[choices.5], pick(&["kafka", "zookeeper"], choices.1),
            pick(&["coordinated", "alone"], choices.2),
            pick(&["original", "raw", "json", "template"], choices.3),
            numbers.0, numbers.1,
        );
        if choices.3 == 3 {
            out += &format!("log_file['template']={}\n", q(&line.0));
        }
        if line.1 {
            let value = line.2.replace(|char: char| !char.is_alphanumeric() && char != '\'', ".");
            out += &format!(
                "log_file['newline']='escape'\nlog_file['tombstones']='drop'\n\
                 log_file['include_key']='/a.*/'\nlog_file['exclude_header']={}\n",
                q(&format!("a b=/{value}x/")),
            );
        }
        if jobs.0 {
            out += &format!("[clearCache_section]\nexpired['prefix']={}\nexpired['reconcile']={}\n",
                q(&names.2), ["'no'", "no", "\"dry-run\""][choices.4]);
        }
        if jobs.1 {
            out += &format!(
                "[panda_server_section]\nmax_process_num=3\nqueue['life']=2.5\nqueue['came_back']={}\n",
                ["'auto'", "yes", "'no'"][choices.4]);
        }
        out += &format!("[redis_env_section]\n{}{}{}", redis.0, redis.1, redis.2);
        out += &format!("redis_list['key']={}\n", q(&names.4));
        out += &format!("[daemon_section]\nstop_timeout={}.{:03}\nmemory={}\nlog_level='{}'\n",
            numbers.2 / 1000, numbers.2 % 1000, numbers.3,
            pick(&["off", "error", "warn", "info", "debug", "trace"], choices.5));
        out
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(text in whole_text()) {
        reread(&load(&text));
    }

    #[test]
    fn any_text_gives_values_or_faults(text in "(?s).{0,200}") {
        let _ = Config::parse(&text, Path::new("t"));
    }

    #[test]
    fn any_mix_of_tokens_gives_values_or_faults(
        parts in proptest::collection::vec(prop_oneof![
            Just("[log_section]"), Just("broker_list"), Just("kafka['topics']"), Just("="), Just("'"),
            Just("\""), Just("\n"), Just("\r\n"), Just(" "), Just(";"), Just("["), Just("]"), Just("\\"),
            Just("${"), Just("a"),
            Just("\u{3000}"), Just("#"), Just("中"), Just("1"), Just("[redis_env_section]"), Just("\0"),
        ], 0..40)
    ) {
        let text = parts.concat();
        match Config::parse(&text, Path::new("t")) {
            Ok(_) => {}
            Err(Error::Config(faults)) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.is_sorted_by_key(|fault| fault.line.unwrap_or(usize::MAX)));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
