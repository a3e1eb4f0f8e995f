//! Faulty texts: every fault is found, at its line, with a sentence that says what to do.

use std::path::Path;

use crate::config::Config;
use crate::error::{ConfigFault, Error};

fn faults(text: &str) -> Vec<ConfigFault> {
    match Config::parse(text, Path::new("t.inv")) {
        Err(Error::Config(faults)) => faults,
        Err(other) => panic!("{other}\n---\n{text}"),
        Ok(_) => panic!("no fault found in\n{text}"),
    }
}

/// The text of an .inv, then for each fault its line (0 means none) and a part of its sentence.
type Faulty = (&'static str, &'static [(usize, &'static str)]);

/// The keys that [log_section] needs. Most cases have them in front, and begin at line 3.
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
    ("kafka['topics']='/a.*'", &[(3, "between two slashes")]),
    ("kafka['topics']='/a(/'", &[(3, "not a regular expression")]),
    ("kafka['topics']='/a/'\nkafka['membership']='alone'", &[(3, "needs kafka['membership']")]),
    (
        "kafka['topics']='/a/'\nlog_file['path']='{topic}'",
        &[(4, "another with .journal appended: let names end")],
    ),
    ("log_file['path']='{key}.lock'", &[(3, "another with .lock appended")]),
    ("log_file['path']='{%Y}/{key}.late'", &[(3, "another with .late appended")]),
    (
        "log_file['path']='{tpoic}/%Y}.log'",
        &[(3, "character 1: there is no placeholder {tpoic}; did you mean {topic}? There are {topic}, ")],
    ),
    ("log_file['path']='{key}/{%Y}{%S'", &[(3, "character 11: this { is not closed")]),
    ("log_file['path']='{tpoic}/x}.log'", &[(3, "is a brace; character 10: this } closes nothing")]),
    ("log_file['path']='{%H}.log'", &[(3, "%H needs %d or %j in the path")]),
    ("log_file['path']='{topic}-{key}.log'", &[(3, "{key} and {topic} run together")]),
    ("log_file['time']='write'", &[(3, "one of record, append")]),
    ("log_file['zone']='Mars/Olympus'", &[(3, "Asia/Shanghai, or local is expected")]),
    ("log_file['open']=7", &[(3, "files from 8 to 100000")]),
    ("log_file['future']='30s'", &[(3, "from 1m to 36500d is expected")]),
    ("log_file['future']='1.5h'", &[(3, "a whole number and s, m, h or d")]),
    ("log_file['grace']=10", &[(3, "from 0d to 365d")]),
    ("log_file['new_files']=0", &[(3, "files an hour from 1 to")]),
    ("kafka['session_ms']='10'", &[(3, "1000")]),
    ("kafka['full_disk_s']='0'", &[(3, "1")]),
    ("kafka['group']=''", &[(3, "a name is expected")]),
    ("kafka['group']='a/b'\nkafka['offsets']='zookeeper'", &[(3, "in ZooKeeper a group is a node")]),
    ("kafka['start']='newest'", &[(3, "one of earliest, latest")]),
    ("kafka['start']='-2w'", &[(3, "a whole number and s, m, h or d")]),
    ("kafka['start']='2026-11-31'", &[(3, "as 2026-11-27T06:00:00Z")]),
    ("kafka['start']='20261127'", &[(3, "a time is expected")]),
    ("kafka['start']=on", &[(3, "unquoted, on is '1' to PHP")]),
    ("log_handler['worker_num']=0", &[(3, "from 1 to 256")]),
    ("log_handler['worker_num']=0x1A", &[(3, "a whole number")]),
    ("log_handler['worker_num']=-3", &[(3, "a whole number")]),
    ("log_file['settle_ms']=49", &[(3, "from 50 to 60000")]),
    ("log_file['format']='template'", &[(3, "this format needs a line in log_file['template']")]),
    ("log_file['template']='{value}'", &[(3, "a template needs log_file['format']='template'")]),
    ("log_file['format']='json'\nlog_file['template']='{value}'", &[(4, "a template needs")]),
    (
        "log_file['format']='template'\nlog_file['template']='a {valeu}'",
        &[(4, "character 3: there is no placeholder {valeu}; did you mean {value}? There are {topic}, ")],
    ),
    (
        "log_file['format']='template'\nlog_file['template']='{header[a]}'",
        &[(4, "did you mean {headers[NAME]}?")],
    ),
    (
        "log_file['format']='template'\nlog_file['template']='{colour}'",
        &[(4, "character 1: there is no placeholder {colour}; there are {topic}, {partition}, ")],
    ),
    ("log_file['format']='template'\nlog_file['template']='é{'", &[(4, "character 2: this { is not closed")]),
    (
        "log_file['format']='template'\nlog_file['template']='{timestamp:%!}'",
        &[(4, "character 1: {timestamp:%!}: ")],
    ),
    ("log_file['newline']='drop'", &[(3, "one of keep, escape")]),
    ("log_file['tombstones']='escape'", &[(3, "one of keep, drop")]),
    ("log_file['include_key']='a.*'", &[(3, "between two slashes is expected, as '/app-.*/'; '' is off")]),
    ("log_file['exclude_key']='/a(/'", &[(3, "this is not a regular expression: ")]),
    ("log_file['include_header']='/a/'", &[(3, "a header's name and a pattern are expected")]),
    ("log_file['include_header']='=/a/'", &[(3, "a header's name and a pattern are expected")]),
    ("log_file['exclude_header']='a=b'", &[(3, "behind the = a pattern between two slashes")]),
    (
        "kafka['client']='crate'\nlog_file['tombstones']='drop'\nlog_file['include_header']='a=/b/'\n\
         log_file['exclude_header']='a=/b/'",
        &[(4, "an empty value is taken for null"), (5, "there are no headers"), (6, "there are no headers")],
    ),
    ("log_file['path']='logs/'", &[(3, "the path of a file")]),
    ("log_file['rotate_size']='10T'", &[(3, "a size from 64K to 1024G")]),
    ("log_file['rotate_gzip']='maybe'", &[(3, "one of no, yes")]),
    ("[daemon_section]\nstop_timeout=0", &[(4, "seconds from 1 to 3600")]),
    ("[daemon_section]\nmemory='512K'", &[(4, "a size from 1M to 4G")]),
    ("[daemon_section]\nlog_level='loud'", &[(4, "off, error, warn, info")]),
    ("[daemon_section]\nlog='consumer.log'", &[(4, "this is the file that the records go to")]),
    ("[daemon_section]\nlog='consumer.log.lock'", &[(4, "the name of the lock file of")]),
    ("log_file['path']='{key}.log'\n[daemon_section]\nlog='pandad.log'", &[(5, "the file that the records")]),
    (
        "log_file['path']='{topic}/{%Y}.log'\n[daemon_section]\nlog='{topic}%2F{%25Y}.log.lock'",
        &[(5, "the name of the lock file of")],
    ),
    ("[daemon_section]\nlog='consumer.log.journal'", &[(4, "the name of the journal of")]),
    (
        "kafka['topics']='a,a.journal'\nlog_file['path']='{topic}'",
        &[(4, "a.journal would be a log file and the journal of ")],
    ),
    (
        "kafka['topics']='a-20261124T153000.123Z,a'\nlog_file['path']='{topic}'",
        &[(4, "would be a log file and a rotated file of ")],
    ),
    (
        "kafka['topics']='x.lock.probe,x.lock'\nlog_file['path']='{topic}'",
        &[(4, "the probe of the disk of ")],
    ),
    (
        "log_file['rotate_size']='1M'\nlog_file['keep_bytes']='512K'\nlog_file['keep_days']=0",
        &[(4, "at least log_file['rotate_size']"), (5, "'' is off")],
    ),
    (
        "log_file['path']='{key}/{%F}.log'\nlog_file['rotate_size']='1M'\nlog_file['rotate_every']=day\n\
         log_file['rotate_keep']=9\nlog_file['rotate_gzip']=yes\nlog_file['keep_bytes']=1G\n\
         log_file['keep_days']=3",
        &[
            (4, "the files of a path with {partition}, {key} or a time, or with {topic} and a pattern"),
            (5, "let a time in the path"),
            (6, "leave this key out"),
            (7, "are not rotated"),
            (8, "are not rotated"),
            (9, "are not rotated"),
        ],
    ),
    (
        "log_file['path']='{topic}.log'\nkafka['topics']='/a/'\nlog_file['rotate_gzip']=yes",
        &[(5, "are not rotated")],
    ),
    ("log_file['path']='{key}.log'\nlog_file['complete']='/done'", &[(4, "no file is ever complete")]),
    (
        "log_file['path']='{%F}.log'\nlog_file['complete_gzip']=yes",
        &[(4, "log_file['complete'] is expected")],
    ),
    ("log_file['complete_gzip']=yes", &[(3, "log_file['complete'] is expected")]),
    ("log_file['complete_gzip']=9", &[(3, "one of no, yes")]),
    (
        "log_file['path']='/log/{%F}.log'\nlog_file['complete']='/log'",
        &[(4, "log files are written in this directory")],
    ),
    (
        "log_file['path']='/log/{%F}.log'\nlog_file['complete']='/log/future'",
        &[(4, "log files are written in this directory")],
    ),
    (
        "log_file['path']='/log/{%F}.log'\nlog_file['complete']='/done'\n[daemon_section]\n\
         log='/done/2026-11-30.log'\nmemory=x",
        &[(6, "the file that the records go to"), (7, "a size")],
    ),
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
    (
        "[daemon_section]\nhttp='127.0.0.1'\npidfile='p'\nmemory=x\nhttp_hosts='a b'",
        &[(4, "no IP address with a port"), (5, "not in this"), (6, "a size"), (7, "a b")],
    ),
    (
        "[daemon_section]\nlog='consumer.log'\nmemory=x",
        &[(4, "the file that the records go to"), (5, "a size")],
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
    ("[log_section]\nbroker_list='a b'\n", &[(2, "not a host name")]),
    ("[log_section]\nbroker_list='a,a:9092'\n", &[(2, "named twice")]),
    ("[log_sektion]\nbroker_list=a\n", &[(0, "no job is configured")]),
    ("[log_section]\rbroker_list=a\r\n#\n", &[(3, "use ;")]),
    (
        "[clearCache_section]\nexpired[reconcile]=maybe\n[redis_env_section]\nredis_kv_expire[host]=a\n\
         redis_list[host]=a\n",
        &[(2, "dry-run")],
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
        let mut faults = faults(&text);
        faults.retain(|fault| !fault.expected.starts_with("warning: "));
        let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), expected.len(), "{text:?}: {all:#?}");
        for (fault, (line, phrase)) in faults.iter().zip(expected) {
            assert_eq!(fault.line.unwrap_or(0), *line, "{text:?}: {fault}");
            assert!(fault.expected.contains(phrase), "{text:?}: {fault}");
        }
    }
}

/// The file system's limit must leave room for the names of files beside the log file, and more for rotated
/// files.
#[test]
fn names_that_no_file_system_takes_are_refused() {
    let text =
        |length: usize, more: &str| format!("{HEAD}log_file['path']='{}.log'\n{more}\n", "t".repeat(length));
    let says = |length, more, phrase: &str| {
        let faults = faults(&text(length, more));
        assert!(faults.len() == 1 && faults[0].expected.contains(phrase), "{faults:?}");
    };
    says(233, "", "has 237 bytes, and up to 19 are appended");
    says(231, "log_file['rotate_size']='64K'", "has 235 bytes, and up to 21 are appended");
    says(223, "log_file['rotate_every']='day'\nlog_file['rotate_gzip']='yes'", "up to 29 are appended");
    for (length, more) in [(232, ""), (230, "log_file['rotate_size']='64K'")] {
        assert!(Config::parse(&text(length, more), Path::new("t.inv")).is_ok(), "{length} {more}");
    }
    // With placeholders the journal's name is the whole text, and the names of files are shortened.
    let deep = |length: usize| {
        format!("{HEAD}log_file['path']='{{topic}}/{}/{}'\n", "d".repeat(100), "x".repeat(length))
    };
    let found = faults(&deep(124));
    assert!(found[0].expected.contains("has 237 bytes, and up to 19 are appended"), "{found:?}");
    assert!(Config::parse(&deep(123), Path::new("t.inv")).is_ok());
    let topic = format!("{HEAD}kafka['topics']='{}'\nlog_file['path']='{{topic}}.log'\n", "t".repeat(249));
    let job = Config::parse(&topic, Path::new("t.inv")).unwrap().kafka_to_file.unwrap();
    let [path] = &job.files().unwrap()[..] else { panic!("{:?}", job.files()) };
    assert!(path.to_str().unwrap().contains("ttt%~") && path.file_name().unwrap().len() == 214, "{path:?}");
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
        "t.inv:3: [log_section] log_handler['worker_num'] = many: \
         a whole number of threads from 1 to 256 is expected"
    );
}

#[test]
fn a_file_of_faults_alone_is_cut_short() {
    let faults = faults(&"#\n".repeat(500_000));
    assert_eq!(faults.len(), 1_001);
    assert!(faults[1_000].expected.contains("more of this kind"));
}
