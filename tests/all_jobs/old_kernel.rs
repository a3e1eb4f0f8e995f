//! Goal: all jobs work on the oldest kernel that is promised, and in sandboxes that refuse what they
//! do not know. Method: the daemon runs under filters of system calls, with real servers.

use crate::support::all_jobs::AllJobs;
use crate::support::daemon::{Daemon, LISTENING};
use crate::support::old_kernel::{Refusals, binary_without_vdso};
use crate::support::servers::binary;
use crate::support::wait::{self, seconds};
use std::process::Command;

/// What the daemon logs where CLOCK_BOOTTIME is refused.
const NO_BOOT_TIME: &str = "WARN ] CLOCK_BOOTTIME is refused";

#[track_caller]
fn start_and_listen(daemon: &mut Daemon, refusals: Refusals) {
    refusals.during(|| daemon.start());
    daemon.wait_running();
    daemon.wait_log(LISTENING, seconds(30));
}

/// Every call, flag, option and clock that came after Linux 3.2 is refused: during work of all jobs, a
/// rotation, a kill -9, the recovery after it, a reopening by hand, compression, and the commands.
#[test]
fn all_jobs_work_on_linux_3_2() {
    let refusals = Refusals { later: true, ..Refusals::default() };
    let mut jobs = AllJobs::new();
    let tested = jobs.kafka.tested("calls that came after Linux 3.2 are refused");
    let mut daemon = Daemon::new(&jobs.inv);
    start_and_listen(&mut daemon, refusals);
    jobs.give_work();
    jobs.wait_done(&mut daemon);
    daemon.kill9();
    start_and_listen(&mut daemon, refusals);
    jobs.give_work();
    jobs.wait_done(&mut daemon);
    // By a name that follows those of the files that pandad has rotated, and that is not pandad's own.
    let rotated = daemon.files();
    let newest = rotated.get(rotated.len() - 2).expect("pandad has rotated the file");
    std::fs::rename(&daemon.file, format!("{}Z", newest.display())).unwrap();
    let inv = daemon.dir.join("test.inv").display().to_string();
    for words in [["reopen", &inv].as_slice(), &["-t", &inv], &["journal", daemon.file.to_str().unwrap()]] {
        let ran = refusals.during(|| Command::new(binary()).args(words).output().unwrap());
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }
    jobs.give_work();
    jobs.finish(&mut daemon);
    assert_eq!(daemon.log_lines("WARN"), [""; 0], "nothing is amiss");
    daemon.configure(&jobs.inv.clone().job("log_file['rotate_gzip']", "yes"));
    start_and_listen(&mut daemon, refusals);
    wait::until("rotated files are compressed", seconds(30), || daemon.files().len() == 2);
    daemon.stop();
    tested.passed(format!("{} records, {} items and keys", 2 * jobs.records, jobs.users));
}

/// A sandbox whose list of calls is older than its kernel.
#[test]
fn all_jobs_work_without_getrandom() {
    let refusals = Refusals { random: true, ..Refusals::default() };
    let mut jobs = AllJobs::new();
    let tested = jobs.kafka.tested("a sandbox refuses getrandom");
    let mut daemon = Daemon::new(&jobs.inv);
    start_and_listen(&mut daemon, refusals);
    jobs.give_work();
    jobs.finish(&mut daemon);
    tested.passed(format!("{} records, {} items and keys", 2 * jobs.records, jobs.users));
}

/// Without that clock everything works, and one line says what is not promised then.
#[test]
fn all_jobs_work_without_clock_boottime() {
    if !cfg!(target_arch = "x86_64") {
        println!("NO X86 HERE: CLOCK_BOOTTIME was not refused, since the vDSO cannot be hidden here");
        return;
    }
    let refusals = Refusals { boot_time: true, ..Refusals::default() };
    let mut jobs = AllJobs::new();
    let tested = jobs.kafka.tested("a sandbox refuses CLOCK_BOOTTIME");
    let program = binary_without_vdso();
    let mut daemon = Daemon::new(&jobs.inv).program(program.clone());
    start_and_listen(&mut daemon, refusals);
    jobs.give_work();
    jobs.finish(&mut daemon);
    assert_eq!(daemon.log_lines(NO_BOOT_TIME).len(), 1);
    // The same program where the clock is there.
    daemon.start_and_wait();
    daemon.stop();
    assert_eq!(daemon.log_lines(NO_BOOT_TIME), [""; 0]);
    std::fs::remove_dir_all(program.parent().unwrap()).unwrap();
    tested.passed(format!("{} records, {} items and keys", 2 * jobs.records, jobs.users));
}
