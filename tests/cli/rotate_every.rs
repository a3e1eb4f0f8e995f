//! Goal: `rotate_every` rotates by the clock, although no record comes. Method: the log file was last written
//! two hours or two days ago. No broker runs.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::wait::{self, seconds};
use std::fs::File;
use std::time::SystemTime;

#[test]
fn old_file_is_rotated_without_a_record() {
    for (every, age) in [("hour", 2), ("day", 48)] {
        let inv = Inv::default()
            .set("log_section", "broker_list", "127.0.0.1:1")
            .set("log_section", "kafka['topics']", "t")
            .set("log_section", "log_file['rotate_every']", every);
        let mut daemon = Daemon::new(&inv);
        std::fs::write(&daemon.file, "an old line\n").unwrap();
        let written = SystemTime::now() - seconds(age * 3600);
        File::options().append(true).open(&daemon.file).unwrap().set_modified(written).unwrap();
        daemon.start();
        let rotated = || daemon.files().into_iter().filter(|file| *file != daemon.file).collect::<Vec<_>>();
        wait::until("it is rotated", seconds(20), || rotated().len() == 1 && daemon.file.exists());
        assert_eq!(std::fs::read_to_string(&rotated()[0]).unwrap(), "an old line\n");
        assert_eq!(std::fs::read_to_string(&daemon.file).unwrap(), "");
        // The new file is not old.
        daemon.wait_log("; waiting", seconds(20));
        daemon.stop();
        assert_eq!(daemon.files().len(), 2, "{every}: {:?}", daemon.files());
    }
}
