//! Texts, and the configurations that they give.

mod faulty;
mod generated;
mod reread;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

const ORIGINAL: &str = include_str!("../../../tests/inv/original.inv");
const SHIPPED: &str = include_str!("../../../.inv");

fn load(text: &str) -> Config {
    match Config::parse(text, Path::new("/etc/pandad/.inv")) {
        Ok(config) => config,
        Err(error) => panic!("{error}\n---\n{text}"),
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
    assert_eq!((job.kafka.topics.names(), job.kafka.group.as_str()), (&["test".to_owned()][..], "test"));
    assert_eq!(job.files(), Some(vec![PathBuf::from("/etc/pandad/consumer.log")]));
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
fn the_shipped_file_says_the_defaults() {
    let mut shipped = load(SHIPPED);
    // The status page is off only where nothing is said of it.
    assert_eq!(shipped.daemon.http.to_string(), "127.0.0.1:9750");
    shipped.daemon.http = HttpAddress::Off;
    let mut local = String::new();
    for line in ORIGINAL.lines() {
        local.push_str(&line.replace("172.16.61.176", "127.0.0.1").replace("172.16.61.100", "127.0.0.1"));
        local.push('\n');
    }
    let defaults = load(&local);
    assert_eq!(Config { warnings: Vec::new(), ..shipped }, Config { warnings: Vec::new(), ..defaults });
    for key in settings::KEYS.iter() {
        let line = SHIPPED.lines().find(|line| line.trim_start().starts_with(key.name));
        assert!(line.is_some(), "{} is not in the shipped file", key.name);
    }
    let mut lines = SHIPPED.lines();
    for line in local.lines() {
        assert!(lines.any(|shipped| shipped == line), "the original's line is gone or moved: {line}");
    }
}

#[test]
fn defaults_pass_their_own_checks() {
    // The text has only sections and keys without a default: every other value must come from its default.
    let text = "[log_section]\nbroker_list=a\n[clearCache_section]\n[panda_server_section]\n\
                [redis_env_section]\n\
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
    let text = "\u{feff}    [log_section]\r\n\t broker_list = a:1 , [::1]:2,b  \r\r\n ; c\r\
                log_handler[worker_num]=007";
    let job = load(text).kafka_to_file.unwrap();
    assert_eq!(job.brokers, ["a:1", "[::1]:2", "b:9092"]);
    assert_eq!(job.workers, 7);
}

#[test]
fn unquoted_words_that_php_replaces() {
    let text = "[log_section]\nbroker_list=a\nlog_file[rotate_gzip]=yes\nlog_file[rotate_every]=off\n\
                [clearCache_section]\nexpired[reconcile]=No\n[redis_env_section]\nredis_kv_expire[host]=a\n\
                redis_list[host]=a\nredis_list[password]=null\n[daemon_section]\nlog_level=off\n";
    let config = load(text);
    assert!(config.kafka_to_file.unwrap().log_file.rotate_gzip);
    let job = config.expired_to_list.unwrap();
    assert_eq!((job.reconcile, job.list.password.as_str()), (ReconcileMode::No, ""));
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

/// The original had no such guard. By default the guard is on only if a prefix says which keys are markers.
#[test]
fn returning_users_need_known_markers() {
    let text = |clear: &str, server: &str| {
        format!(
            "{clear}\n[panda_server_section]\n{server}\n[redis_env_section]\nredis_kv_expire[host]=k\n\
             redis_list[host]=l\nredis_ar[host]=a\n"
        )
    };
    let came_back = |clear: &str, server: &str| load(&text(clear, server)).list_to_hash.unwrap().markers;
    let prefix = "[clearCache_section]\nexpired['prefix']='U:'";
    assert_eq!(came_back("", ""), None);
    assert_eq!(came_back("[clearCache_section]", ""), None);
    assert_eq!(came_back(prefix, "queue['came_back']='no'"), None);
    assert_eq!(came_back(prefix, "").unwrap().prefix, "U:");
    let every = came_back("", "queue['came_back']=yes").unwrap();
    assert_eq!((every.prefix.as_str(), every.expire.database), ("", 0));
    let no_host = text("", "queue['came_back']=yes").replace("redis_kv_expire[host]=k", "");
    let fault = Config::parse(&no_host, Path::new("t")).unwrap_err().to_string();
    assert!(fault.contains("redis_kv_expire['host']"), "{fault}");
}

#[test]
fn warnings_name_their_line() {
    let config = load("[mysql]\nx=1\n[log_section]\nbroker_list=a\n[demon_section]\nhttp=x\n");
    let all = config.warnings.join("\n");
    assert!(all.contains(":1: [mysql]: pandad has no such section"), "{all}");
    assert!(all.contains(":5: [demon_section]") && all.contains("did you mean [daemon_section]?"), "{all}");
    let alone = load("[log_section]\nbroker_list=a\nkafka[membership]=alone\n");
    assert_eq!(alone.warnings, Vec::<String>::new());
    let zookeeper = load("[log_section]\nbroker_list=a\nkafka[offsets]=zookeeper\n");
    let all = zookeeper.warnings.join("\n");
    assert!(all.contains(":1: [log_section] kafka['membership']: a group whose offsets"), "{all}");
    assert_eq!(zookeeper.kafka_to_file.unwrap().kafka.membership, Membership::Standalone);
}

#[test]
fn warnings_are_told_with_the_faults() {
    let text = "[demon_section]\nhttp=x\n[log_section]\nbroker_list=a\nlog_handler[worker_num]=none\n";
    let all = Config::parse(text, Path::new("t")).unwrap_err().to_string();
    let lines: Vec<_> = all.lines().collect();
    assert!(
        matches!(lines[..], [first, second]
        if first.contains(":1: [demon_section]: warning: ") && second.contains(":5: ")),
        "{all}"
    );
}

#[test]
fn a_topic_pattern_needs_members() {
    let text = "[log_section]\nbroker_list=a\nkafka[topics]='/app-(a|b),.*/'\n";
    let job = load(text).kafka_to_file.unwrap();
    assert_eq!(job.kafka.topics.to_string(), "/app-(a|b),.*/");
    assert!(matches!(&job.kafka.topics, TopicSelection::Like(pattern) if pattern.matches("app-a,x")));
    for more in ["kafka[membership]=alone\n", "kafka[offsets]=zookeeper\n", "log_file[path]='{topic}'\n"] {
        let fails = Config::parse(&format!("{text}{more}"), Path::new("/etc/pandad/.inv"));
        let Err(Error::Config(faults)) = fails else { panic!("{more}") };
        let faults = faults.iter().filter(|fault| !fault.expected.starts_with("warning: "));
        assert_eq!(faults.count(), 1, "{more}");
    }
}

#[test]
fn a_path_with_placeholders_and_its_keys() {
    let read = |more: &str| {
        let text = format!("[log_section]\nbroker_list=a\nkafka[topics]='b,a'\n{more}");
        load(&text).kafka_to_file.unwrap()
    };
    let job = read("");
    let LogFileConfig { time, zone, open, future, grace, new_files, .. } = job.log_file;
    assert_eq!((time, zone.to_string().as_str(), open), (PathTime::Record, "UTC", 256));
    assert_eq!((future.as_secs(), grace.as_secs(), new_files), (86_400, 600, 10_000));
    let job = read(
        "log_file[path]='{topic}/{key}-{%F}.log'\nlog_file[time]=append\nlog_file[zone]='+05:30'\n\
         log_file[open]=8\nlog_file[future]=' 90m '\nlog_file[grace]=0s\nlog_file[new_files]=1\n",
    );
    assert_eq!(job.files(), None);
    let LogFileConfig { path, time, zone, open, future, grace, new_files, .. } = job.log_file;
    assert_eq!(path.to_string(), "/etc/pandad/{topic}/{key}-{%F}.log");
    assert_eq!((time, zone.to_string().as_str(), open), (PathTime::Append, "+05:30", 8));
    assert_eq!((future.as_secs(), grace.as_secs(), new_files), (5_400, 0, 1));
    let files = read("log_file[path]='x/{topic}.log'\n").files().unwrap();
    assert_eq!(files, ["/etc/pandad/x/b.log", "/etc/pandad/x/a.log"].map(PathBuf::from));
    let pattern = "[log_section]\nbroker_list=a\nkafka[topics]='/a.*/'\nlog_file[path]='{topic}.log'\n";
    assert_eq!(load(pattern).kafka_to_file.unwrap().files(), None);
}

/// What a path has no use for is a warning, and the defaults, as they are in the shipped file, say nothing.
#[test]
fn keys_that_a_path_has_no_use_for() {
    let warned = |more: &str| {
        let text = format!("[log_section]\nbroker_list=a\n{more}\nlog_file[rotate_keep]=7\n");
        let line = |warning: &String| warning.split(':').nth(1).unwrap().parse::<usize>().unwrap();
        load(&text).warnings.iter().map(line).collect::<Vec<_>>()
    };
    let all = "log_file[time]=append\nlog_file[zone]='+01:00'\nlog_file[future]=1h\nlog_file[grace]=1m\n\
               log_file[open]=8\nlog_file[new_files]=1";
    assert_eq!(warned(all), [3, 4, 5, 6, 7, 8]);
    assert_eq!(warned(&format!("log_file[path]='{{key}}.log'\n{all}")), [4, 5, 6, 7]);
    assert_eq!(warned(&format!("log_file[path]='{{%F}}.log'\n{all}")), [0; 0]);
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
    assert_eq!(
        Config::load(&file).unwrap().kafka_to_file.unwrap().files(),
        Some(vec![dir.join("consumer.log")])
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
