//! Goal: pandad may open as many files as the machine's administrator allows. Method: a shell lowers
//! its limits and becomes pandad, and /proc shows what pandad has made of it.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::wait::seconds;

/// The soft and the hard limit of the process.
fn open_files_max(daemon: &Daemon) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(|word| word.parse().unwrap());
    (words.next().unwrap(), words.next().unwrap())
}

/// Nothing listens at the server's port, so the job waits.
#[test]
fn soft_limit_is_raised_to_the_hard_limit() {
    let inv = Inv::default()
        .set("panda_server_section", "max_process_num", "1")
        .set("redis_env_section", "redis_list['host']", "127.0.0.1")
        .set("redis_env_section", "redis_list['port']", "1")
        .set("redis_env_section", "redis_ar['host']", "127.0.0.1")
        .set("redis_env_section", "redis_ar['port']", "1");
    let limited = "ulimit -Sn 64 && ulimit -Hn 4096 && exec \"$@\"";
    let mut daemon = Daemon::new(&inv).behind(["sh", "-c", limited, "sh"].map(str::to_owned).to_vec());
    daemon.start();
    daemon.wait_log("list_to_hash: running, ", seconds(20));
    assert_eq!(open_files_max(&daemon), (4096, 4096));
    assert_eq!(daemon.log_lines("open files"), [""; 0]);
    daemon.stop();
}
