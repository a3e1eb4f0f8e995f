//! The reading as a whole: texts and what comes of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::error::ConfigFault;

const ORIGINAL: &str = include_str!("../../tests/inv/original.inv");
const SHIPPED: &str = include_str!("../../.inv");

fn load(text: &str) -> Config {
    match Config::parse(text, Path::new("/etc/pandad/.inv")) {
        Ok(config) => config,
        Err(error) => panic!("{error}\n---\n{text}"),
    }
}

fn faults(text: &str) -> Vec<ConfigFault> {
    match Config::parse(text, Path::new("t.inv")) {
        Err(Error::Config(faults)) => faults,
        Err(other) => panic!("{other}\n---\n{text}"),
        Ok(_) => panic!("no fault found in\n{text}"),
    }
}

#[test]
fn the_original_as_printed() {
    let config = load(ORIGINAL);
    let job = config.kafka_to_file.unwrap();
    assert_eq!(job.brokers, ["172.16.61.176:9092"]);
    assert_eq!(
        (job.name.as_str(), job.worker_name.as_str(), job.workers),
        ("log_kafka_master", "log_kafka_worker", 5)
    );
    assert_eq!((job.kafka.topics.as_slice(), job.kafka.group.as_str()), (&["test".to_owned()][..], "test"));
    assert_eq!(job.log_file.path, PathBuf::from("/etc/pandad/consumer.log"));
    assert_eq!(job.log_file.settle, Duration::from_secs(1));
    let job = config.expired_to_list.unwrap();
    assert_eq!((job.name.as_str(), job.workers), ("subscrible_clear_master", 1));
    assert_eq!(job.expire.address, RedisAddress::Tcp { host: "172.16.61.100".into(), port: 6379 });
    assert_eq!(job.expire.connect_timeout, Duration::from_secs(5));
    let job = config.list_to_hash.unwrap();
    assert_eq!((job.name.as_str(), job.workers), ("clear_redis_list_master", 2));
    assert_eq!((job.list_key.as_str(), job.hashes.len()), ("panda_user_expire", 17));
    assert_eq!(config.daemon.stop_timeout, Duration::from_secs(25));
    assert_eq!(config.daemon.memory, 16 << 20);
    assert_eq!(config.daemon.log_level, log::LevelFilter::Info);
}

#[test]
fn the_shipped_file_says_every_default_and_nothing_else() {
    let shipped = load(SHIPPED);
    let mut local = String::new();
    for line in ORIGINAL.lines() {
        local.push_str(&line.replace("172.16.61.176", "127.0.0.1").replace("172.16.61.100", "127.0.0.1"));
        local.push('\n');
    }
    let defaults = load(&local);
    assert_eq!(Config { warnings: Vec::new(), ..shipped }, Config { warnings: Vec::new(), ..defaults });
    for key in keys::ALL {
        let line = SHIPPED.lines().find(|line| line.trim_start().starts_with(key.name));
        assert!(line.is_some(), "{} is not in the shipped file", key.name);
    }
    for line in local.lines() {
        assert!(SHIPPED.lines().any(|shipped| shipped == line), "the original's line is gone: {line}");
    }
}

#[test]
fn defaults_pass_their_own_checks() {
    // Only sections and what has no default: everything else must come out of its default.
    let text = "[log_section]\nbroker_list=a\n[clearCache_section]\n[panda_server_section]\n[redis_env_section]\n\
                redis_kv_expire[host]=a\nredis_list[host]=b\nredis_ar[host]=c\n[daemon_section]\n";
    let config = load(text);
    assert!(
        config.kafka_to_file.is_some() && config.expired_to_list.is_some() && config.list_to_hash.is_some()
    );
}

#[test]
fn the_forms_a_key_may_have() {
    for form in
        ["kafka['group']", "kafka[\"group\"]", "kafka[group]", " kafka [ 'group' ] ", "\tkafka[ group ]"]
    {
        let config = load(&format!("[log_section]\nbroker_list=a\n{form} = \"g\" ; comment"));
        assert_eq!(config.kafka_to_file.unwrap().kafka.group, "g", "{form}");
    }
}

#[test]
fn line_ends_bom_and_indent() {
    let text = "\u{feff}    [log_section]\r\n\t broker_list = a:1 , [::1]:2,b  \r\r\n ; c\rlog_handler[worker_num]=007";
    let job = load(text).kafka_to_file.unwrap();
    assert_eq!(job.brokers, ["a:1", "[::1]:2", "b:9092"]);
    assert_eq!(job.workers, 7);
}

#[test]
fn unquoted_words_that_php_replaces() {
    let text = "[log_section]\nbroker_list=a\nlog_file[rotate_gzip]=yes\nlog_file[rotate_every]=off\n\
                [clearCache_section]\nexpired[reconcile]=Yes\n[redis_env_section]\nredis_kv_expire[host]=a\n\
                redis_list[host]=a\nredis_list[password]=null\n[daemon_section]\nlog_level=off\n";
    let config = load(text);
    assert!(config.kafka_to_file.unwrap().log_file.rotate_gzip);
    let job = config.expired_to_list.unwrap();
    assert_eq!((job.reconcile, job.list.password.as_str()), (Reconcile::Yes, ""));
    assert_eq!(config.daemon.log_level, log::LevelFilter::Off);
}

#[test]
fn sockets_users_and_databases() {
    let text = "[panda_server_section]\n[log_section]\nbroker_list=a\n[redis_env_section]\n\
                redis_list[socket_type]=unix\nredis_list[socket]='run/r.sock'\nredis_list[timeout]=2.5\n\
                redis_ar[host]='[::1]'\nredis_ar[user]=u\nredis_ar[password]='p;\"w'\nredis_ar[database]=3\n\
                redis_ar[hashes]='a, b\tc'\n";
    let job = load(text).list_to_hash.unwrap();
    assert_eq!(job.list.address, RedisAddress::Unix("/etc/pandad/run/r.sock".into()));
    assert_eq!(job.list.connect_timeout, Duration::from_millis(2_500));
    assert_eq!(job.ar.address, RedisAddress::Tcp { host: "::1".into(), port: 6379 });
    assert_eq!((job.ar.user.as_str(), job.ar.password.as_str(), job.ar.database), ("u", "p;\"w", 3));
    assert_eq!(job.hashes, ["a", "b", "c"]);
    assert!(!format!("{job:?}").contains("p;"), "a password is never printed");
}

#[test]
fn warnings_name_their_line() {
    let config = load("[mysql]\nx=1\n[log_section]\nbroker_list=a\n[demon_section]\nhttp=x\n");
    let all = config.warnings.join("\n");
    assert!(all.contains(":1: [mysql]: pandad has no such section"), "{all}");
    assert!(all.contains(":5: [demon_section]") && all.contains("did you mean [daemon_section]?"), "{all}");
    assert!(
        all.contains(":3: [log_section] kafka['membership']: 'coordinated' is not in this version"),
        "{all}"
    );
    let alone = load("[log_section]\nbroker_list=a\nkafka[membership]=alone\n");
    assert_eq!(alone.warnings, Vec::<String>::new());
}

/// Text of an .inv, then each fault's line (0 is none) and a phrase of what it says.
type Faulty = (&'static str, &'static [(usize, &'static str)]);

/// What [log_section] needs, in front of most cases; their own lines begin with line 3.
const HEAD: &str = "[log_section]\nbroker_list='127.0.0.1:9092'\n";

const FORM: &[Faulty] = &[
    ("kafka['group']=a|b", &[(3, "PHP calculates with an unquoted |")]),
    ("kafka['group']=a&b", &[(3, "unquoted &")]),
    ("kafka['group']=a^b", &[(3, "unquoted ^")]),
    ("kafka['group']=a~b", &[(3, "unquoted ~")]),
    ("kafka['group']=p@ss!word", &[(3, "unquoted !")]),
    ("kafka['group']=pass(w)", &[(3, "unquoted (")]),
    ("kafka['group']={x}", &[(3, "unquoted { is reserved")]),
    ("kafka['group']=a\"b\"", &[(3, "a double quote in the middle")]),
    ("kafka['group']=a=b", &[(3, "an unquoted = in a value")]),
    (
        "kafka['group']=it's\nkafka['topics']='x y'",
        &[(3, "an apostrophe opens a quote"), (4, "cannot be a topic")],
    ),
    ("kafka['group']='abc\nkafka['topics']=a", &[(3, "no closing ' on this line")]),
    ("kafka['group']='abc\ndef'\nkafka['start']=x", &[(3, "cannot span lines"), (5, "earliest, latest")]),
    ("kafka['group']=\"abc", &[(3, "no closing \" on this line")]),
    ("kafka['group']=\"C:\\dir\\\"", &[(3, "escaped by the backslash")]),
    ("kafka['group']='a' b", &[(3, "text follows the closing quote")]),
    ("kafka['group']='x\\'y'", &[(3, "nothing can be escaped")]),
    ("kafka['group']=\"a\" \"b\"", &[(3, "PHP drops the blanks")]),
    ("kafka['group']=${HOME}", &[(3, "write the value itself")]),
    ("kafka['group']=\"x${HOME}\"", &[(3, "write the value itself")]),
    ("kafka['group']=a$", &[(3, "misreads an unquoted $")]),
    ("kafka['group']=E_ALL", &[(3, "E_ALL is the name of a PHP constant")]),
    ("kafka['group']=yes sir", &[(3, "the unquoted word yes")]),
    ("kafka['group']=\u{a0}a", &[(3, "U+00A0")]),
    ("kafka['group']=‘a’", &[(3, "typographic quote")]),
    ("kafka['group']=a\nkafka[group]=b", &[(4, "stands on line 3 already")]),
    ("[daemon_section]\n[log_section]\nkafka['group']=b", &[(4, "began on line 1 already")]),
    ("[log_section\nx=1", &[(3, "no closing ]"), (3, "began on line 1"), (4, "no such key")]),
    ("[daemon_section] memory=1M", &[(3, "text follows the ]")]),
    ("[ daemon_section ]", &[(3, "blanks within [ ]")]),
    ("[]", &[(3, "a section's name is expected")]),
    ("# a comment", &[(3, "use ;")]),
    ("#kafka['group']=x", &[(3, "use ;")]),
    ("；注释", &[(3, "full-width ；")]),
    ("kafka['group']＝x", &[(3, "full-width ＝")]),
    ("kafka['group']", &[(3, "there is no = on this line")]),
    ("kafka['group'] ; = x", &[(3, "there is no = on this line")]),
    ("= x", &[(3, "nothing stands before the =")]),
    ("null = x", &[(3, "null is a reserved word")]),
    ("a!b = x", &[(3, "the key holds !")]),
    ("'a' = x", &[(3, "the key holds")]),
    ("kafka[] = x", &[(3, "PHP counts up under []")]),
    ("kafka['a']['b'] = x", &[(3, "no key within a key")]),
    ("kafka['group' = x", &[(3, "has no closing ]")]),
    ("kafka['group']x = x", &[(3, "text follows the closing ]")]),
    ("kafka['group] = x", &[(3, "quotes within [ ]")]),
    ("kafka['group']=a\0b", &[(3, "a NUL character")]),
    ("\u{3000}kafka['group']=a", &[(3, "invisible character (U+3000)")]),
];

const MEANING: &[Faulty] = &[
    ("kafka['topic']=x", &[(3, "did you mean kafka['topics']?")]),
    ("kafka_topics=x", &[(3, "did you mean kafka['topics']?")]),
    ("memory=16M", &[(3, "this key belongs in [daemon_section]")]),
    ("kafka['topics']='a,,b'", &[(3, "a topic is missing")]),
    ("kafka['topics']='a,b,a'", &[(3, "the topic a is named twice")]),
    ("kafka['topics']='..'", &[(3, "cannot be a topic")]),
    ("kafka['topics']=''", &[(3, "at least one topic")]),
    ("kafka['group']=''", &[(3, "a name is expected")]),
    ("kafka['group']='a/b'\nkafka['offsets']='zookeeper'", &[(3, "in ZooKeeper a group is a node")]),
    ("kafka['start']='newest'", &[(3, "one of earliest, latest")]),
    ("kafka['start']=on", &[(3, "unquoted, on is '1' to PHP")]),
    ("log_handler['worker_num']=0", &[(3, "from 1 to 256")]),
    ("log_handler['worker_num']=0x1A", &[(3, "a whole number")]),
    ("log_handler['worker_num']=-3", &[(3, "a whole number")]),
    ("log_file['settle_ms']=49", &[(3, "from 50 to 60000")]),
    ("log_file['path']='logs/'", &[(3, "the path of a file")]),
    ("log_file['rotate_size']='10T'", &[(3, "a size from 64K to 1024G")]),
    ("log_file['rotate_gzip']='maybe'", &[(3, "one of no, yes")]),
    ("[daemon_section]\nstop_timeout=0", &[(4, "seconds from 1 to 3600")]),
    ("[daemon_section]\nmemory='512K'", &[(4, "a size from 1M to 4G")]),
    ("[daemon_section]\nlog_level='loud'", &[(4, "off, error, warn, info")]),
    ("[daemon_section]\nlog='consumer.log'", &[(4, "this is the file the records go to")]),
    ("[panda_server_section]", &[(3, "[redis_env_section] is expected")]),
    ("[panda_server_section]\n[redis_env_section]", &[(4, "a host is expected"), (4, "a host is expected")]),
    (
        "[redis_env_section]\nredis_ar['port']=99999\nredis_ar['timeout']=1e3\nredis_ar['host']='redis://x'",
        &[(4, "from 1 to 65535"), (5, "seconds from 0 to 300"), (6, "without a scheme")],
    ),
    ("[redis_env_section]\nredis_ar['host']='a:6379'", &[(4, "the port belongs in the key ['port']")]),
    ("[redis_env_section]\nredis_ar['host']='/run/r.sock'", &[(4, "this is a path")]),
    ("[redis_env_section]\nredis_ar['socket_type']='udp'", &[(4, "'' or 'tcp'")]),
    ("[redis_env_section]\nredis_ar['hashes']='a b a'", &[(4, "the hash a is named twice")]),
    ("[redis_env_section]\nredis_ar['pasword']='geheim'", &[(4, "did you mean redis_ar['password']?")]),
    ("[redis_env_section]\nredis_ar['password']='********'", &[(4, "the mask that -T prints")]),
    ("kafka['client']='native'", &[(3, "not in this version")]),
    ("kafka['topics']='/a.*/'", &[(3, "not in this version")]),
    ("log_file['path']='{topic}.log'", &[(3, "not in this version")]),
    (
        "log_file['rotate_size']='100M'\nlog_file['rotate_every']=day",
        &[(3, "not in this"), (4, "not in this")],
    ),
    (
        "[daemon_section]\nhttp='127.0.0.1:80'\npidfile='p'\nmemory=x",
        &[(4, "not in this"), (5, "not in this"), (6, "a size")],
    ),
];

/// Cases without the head.
const WHOLE: &[Faulty] = &[
    ("", &[(0, "no job is configured")]),
    ("; only a comment\n", &[(0, "no job is configured")]),
    ("broker_list=a\n[log_section]\n", &[(1, "it belongs in [log_section]")]),
    ("x=a\n[log_section]\nbroker_list=a\n", &[(1, "before the first [section]")]),
    ("[log_section]\n", &[(1, "the key broker_list is missing: at least one broker")]),
    ("[log_section]\nbroker_list=''\n", &[(2, "at least one broker")]),
    ("[log_section]\nbroker_list='a:9092,'\n", &[(2, "a broker is missing")]),
    ("[log_section]\nbroker_list='a:0'\n", &[(2, "from 1 to 65535")]),
    ("[log_section]\nbroker_list='::1'\n", &[(2, "write an IPv6 address as [::1]:9092")]),
    ("[log_section]\nbroker_list='kafka://a'\n", &[(2, "has a scheme")]),
    ("[log_section]\nbroker_list='a b'\n", &[(2, "no host name")]),
    ("[log_section]\nbroker_list='a,a:9092'\n", &[(2, "named twice")]),
    ("[log_sektion]\nbroker_list=a\n", &[(0, "no job is configured")]),
    ("[log_section]\rbroker_list=a\r\n#\n", &[(3, "use ;")]),
    (
        "[clearCache_section]\n[redis_env_section]\nredis_kv_expire[host]=a\nredis_list[host]=a\n",
        &[(0, "there would be nothing to run")],
    ),
    (
        "[log_section]\nbroker_list=a(\nlog_handler[worker_num]=none\n#\n[daemon_section]\nmemori=1\n",
        &[(2, "unquoted ("), (3, "unquoted, none is ''"), (4, "use ;"), (6, "did you mean memory?")],
    ),
];

#[test]
fn every_fault_at_once_each_with_its_line() {
    let with_head = FORM.iter().chain(MEANING).map(|(text, expected)| (format!("{HEAD}{text}"), *expected));
    let whole = WHOLE.iter().map(|(text, expected)| ((*text).to_owned(), *expected));
    for (text, expected) in with_head.chain(whole) {
        let faults = faults(&text);
        let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), expected.len(), "{text:?}: {all:#?}");
        for (fault, (line, phrase)) in faults.iter().zip(expected) {
            assert_eq!(fault.line.unwrap_or(0), *line, "{text:?}: {fault}");
            assert!(fault.expected.contains(phrase), "{text:?}: {fault}");
        }
    }
}

#[test]
fn a_fault_never_shows_a_password() {
    for line in [
        "redis_ar['password']=geheim!",
        "redis_ar['password']='geheim",
        "redis_ar['password']=\"a\ngeheim\"",
        "redis_ar['password'] 'geheim'",
        "redis_ar['password']:'geheim'",
        "redis_ar['pasword']='geheim'",
        "redis_ar['passwort']=geheim!",
        "#redis_ar['password']='geheim'",
    ] {
        for fault in faults(&format!("{HEAD}[redis_env_section]\n{line}\n")) {
            assert!(!fault.to_string().contains("geheim"), "{fault}");
        }
    }
}

#[test]
fn a_fault_says_where_and_what() {
    let fault = faults(&format!("{HEAD}log_handler[worker_num]=many ; c"));
    assert_eq!(
        fault[0].to_string(),
        "t.inv:3: [log_section] log_handler['worker_num'] = many: a whole number from 1 to 256 is expected, of threads"
    );
}

#[test]
fn files_that_are_none() {
    let dir = std::env::temp_dir().join(format!("pandad-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("big");
    let fails = |path: &Path, line: Option<usize>, phrase: &str| match Config::load(path) {
        Err(Error::Config(faults)) => {
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].line, line);
            assert!(faults[0].expected.contains(phrase), "{}", faults[0]);
        }
        other => panic!("{other:?}"),
    };
    fails(&dir, None, "it is a directory");
    fails(&dir.join("none"), None, "cannot be read");
    std::fs::write(&file, vec![b';'; (1 << 20) + 1]).unwrap();
    fails(&file, None, "larger than 1 MiB");
    std::fs::write(&file, b"[log_section]\n;\xcf\xfb\xb7\xd1\n").unwrap();
    fails(&file, Some(2), "iconv -f GBK -t UTF-8");
    std::fs::write(&file, ORIGINAL).unwrap();
    assert_eq!(Config::load(&file).unwrap().kafka_to_file.unwrap().log_file.path, dir.join("consumer.log"));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_of_nothing_but_faults_is_cut_short() {
    let faults = faults(&"#\n".repeat(500_000));
    assert_eq!(faults.len(), 1_001);
    assert!(faults[1_000].expected.contains("more of this kind"));
}

/// What is printed is read again to the same, but for warnings and for masks.
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
    let mask = |redis: &mut Redis| {
        if !redis.password.is_empty() {
            redis.password = keys::MASK.into();
        }
    };
    if let Some(job) = &mut config.expired_to_list {
        mask(&mut job.expire);
        mask(&mut job.list);
    }
    if let Some(job) = &mut config.list_to_hash {
        mask(&mut job.list);
        mask(&mut job.ar);
    }
    config
}

#[test]
fn printed_and_read_again() {
    reread(&load(ORIGINAL));
    reread(&load(SHIPPED));
    let secret = load(&SHIPPED.replace("redis_ar['password']=''", "redis_ar['password']='geheim'"));
    reread(&secret);
    assert!(!secret.to_inv().contains("geheim"));
    let printed = Config::parse(&secret.to_inv(), Path::new("t"));
    assert!(printed.unwrap_err().to_string().contains("the mask that -T prints"));
    // Every key is printed but the socket, which takes the place of host and port.
    for key in keys::ALL.iter().filter(|key| !key.name.ends_with("['socket']")) {
        assert!(secret.to_inv().contains(&format!("\n{} = ", key.name)), "{} is not printed", key.name);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\r\n\0]{0,12}", "['\"\\\\$ {};#=&a]{0,8}"]
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
        let password = if password == keys::MASK { String::new() } else { password };
        let kind = if unix { put("socket_type", "unix") + &put("socket", &host) } else { put("host", &host) };
        kind + &put("port", &port.to_string()) + &put("user", &user) + &put("password", &password)
            + &put("database", &database.to_string()) + &put("timeout", &format!("{}.{:03}", ms / 1000, ms % 1000))
    }
}

prop_compose! {
    fn whole_text()(
        redis in (redis_text("redis_kv_expire"), redis_text("redis_list"), redis_text("redis_ar")),
        names in (text(), text(), text(), name_text(), name_text()),
        brokers in proptest::collection::hash_set("[a-z]{1,8}(:[1-9][0-9]{0,3})?", 1..4),
        topics in proptest::collection::hash_set("[a-z0-9_-]{1,9}", 1..4),
        choices in (0usize..2, 0usize..2, 0usize..2, 0usize..3, 0usize..3, 0usize..6),
        numbers in (1u64..=256, 50u64..=60_000, 1_000u64..=3_600_000, 1u64 << 20..=4 << 30),
        jobs in (proptest::bool::ANY, proptest::bool::ANY),
    ) -> String {
        let q = |text: &str| value::quote(text);
        let join = |set: &std::collections::HashSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        let pick = |words: &[&str], at: usize| words[at].to_owned();
        let mut out = format!(
            "[log_section]\npanda_process={}\nmaster['log_master_name']={}\nkafka['group']={}\nbroker_list={}\n\
             kafka['topics']={}\nkafka['start']={}\nkafka['offsets']={}\nkafka['membership']={}\n\
             log_file['format']={}\nlog_handler['worker_num']={}\nlog_file['settle_ms']={}\n",
            q(&names.0), q(&names.1), q(&names.3.replace('/', "-")), q(&join(&brokers)), q(&join(&topics)),
            pick(&["earliest", "latest"], choices.0), pick(&["kafka", "zookeeper"], choices.1),
            pick(&["coordinated", "alone"], choices.2), pick(&["original", "raw", "json"], choices.3),
            numbers.0, numbers.1,
        );
        if jobs.0 {
            out += &format!("[clearCache_section]\nexpired['prefix']={}\nexpired['reconcile']={}\n",
                q(&names.2), q(["no", "dry-run", "yes"][choices.4]));
        }
        if jobs.1 {
            out += "[panda_server_section]\nmax_process_num=3\n";
        }
        out += &format!("[redis_env_section]\n{}{}{}redis_list['key']={}\n", redis.0, redis.1, redis.2, q(&names.4));
        out += &format!("[daemon_section]\nstop_timeout={}.{:03}\nmemory={}\nlog_level='{}'\n",
            numbers.2 / 1000, numbers.2 % 1000, numbers.3,
            pick(&["off", "error", "warn", "info", "debug", "trace"], choices.5));
        out
    }
}

proptest! {
    #[test]
    fn any_configuration_is_printed_and_read_again(text in whole_text()) {
        reread(&load(&text));
    }

    #[test]
    fn any_text_gives_values_or_faults(text in "(?s).{0,200}") {
        let _ = Config::parse(&text, Path::new("t"));
    }

    #[test]
    fn any_text_of_the_kind_gives_values_or_faults(
        parts in proptest::collection::vec(prop_oneof![
            Just("[log_section]"), Just("broker_list"), Just("kafka['topics']"), Just("="), Just("'"), Just("\""),
            Just("\n"), Just("\r\n"), Just(" "), Just(";"), Just("["), Just("]"), Just("\\"), Just("${"), Just("a"),
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
