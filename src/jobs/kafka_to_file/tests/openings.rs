//! The effects of an error when a log file is opened: at the start, and in a later run.

use super::*;
use crate::config::Config;
use crate::jobs::Job;
use crate::jobs::kafka_to_file::KafkaToFile;

fn job(directory: &std::path::Path) -> KafkaToFile {
    let text = format!(
        "[log_section]\nbroker_list = '127.0.0.1:1'\nkafka['topics'] = 't'\nkafka['group'] = 'g'\n\
         log_file['path'] = '{}'\n",
        directory.join("out.log").display()
    );
    let config = Config::parse(&text, std::path::Path::new("test.inv")).unwrap();
    KafkaToFile::new(config.kafka_to_file.unwrap(), config.daemon.memory, "test.inv".to_owned())
}

/// The directory is missing for a while after the start, like an unmounted disk.
#[test]
fn a_directory_that_is_gone_ends_a_start_and_is_waited_for_later() {
    let directory = std::env::temp_dir().join(format!("pandad-openings-{}", std::process::id()));
    let away = directory.with_extension("away");
    let faults = job(&directory).prepare().unwrap_err();
    assert!(faults[0].expected.contains("No such file"), "{faults:?}");

    std::fs::create_dir_all(&directory).unwrap();
    let mut job = job(&directory);
    job.prepare().unwrap();
    drop(job.take_files().unwrap());
    std::fs::rename(&directory, &away).unwrap();
    let (_handle, stop) = shutdown::pair();
    for _ in 0..2 {
        assert_eq!(job.run(&stop), Err(Fault::RetryLogged));
        assert!(job.counters().health.is_down());
    }
    std::fs::rename(&away, &directory).unwrap();
    assert!(job.take_files().is_ok());

    // Waiting does not help against another pandad's lock.
    let options = LogFileOptions { job: "test", sync: true, rotation: Rotation::off() };
    let other = logfile::open(&directory.join("out.log"), &options, &mut RestartMemory::default()).unwrap();
    assert!(matches!(job.run(&stop), Err(Fault::Fatal(why)) if why.contains("another pandad")));
    drop(other);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// A configuration fault, unlike a fault of the run, names the key to look at.
#[test]
fn a_fenced_member_is_a_fault_of_the_configuration() {
    let directory = std::env::temp_dir().join(format!("pandad-fenced-{}", std::process::id()));
    let mut job = job(&directory);
    for (ended, expected) in [
        (Err(RunError::Fault(Fault::Retry("down".to_owned()))), None),
        (Err(RunError::Fenced("a copy runs elsewhere".to_owned())), Some("a copy runs elsewhere")),
        (Ok(()), None),
    ] {
        let _fault = job.conclude(ended, &[]);
        let fault = job.config_fault();
        assert_eq!(fault.as_ref().map(|fault| fault.expected.as_str()), expected);
        assert!(fault.is_none_or(|fault| fault.key == "log_file['path']" && fault.file == "test.inv"));
    }
}
