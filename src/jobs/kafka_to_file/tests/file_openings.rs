//! The files of two topics are opened, and one of these cannot be.

use std::path::Path;

use super::*;
use crate::jobs::kafka_to_file::file_opener::FileOpener;
use crate::report::Conditions;

pub(super) fn opener(dir: &Path) -> FileOpener {
    let text = format!(
        "[log_section]\nbroker_list = '127.0.0.1:1'\nkafka['topics'] = 'a,b'\nkafka['group'] = 'g'\n\
         log_file['path'] = '{}/{{topic}}/out.log'\n",
        dir.display()
    );
    let config = crate::config::Config::parse(&text, Path::new("test.inv")).unwrap();
    FileOpener::new(&config.kafka_to_file.unwrap(), &Conditions::default())
}

/// After a failed sync, nothing in a file is believed that the journal does not know. That holds for each
/// file, not only for the one that is opened first.
#[test]
fn lost_writes_are_looked_for_in_every_file() {
    let dir = std::env::temp_dir().join(format!("pandad-lost-{}", std::process::id()));
    let paths = ["a", "b"].map(|topic| dir.join(topic).join("out.log"));
    for path in &paths {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    }
    let mut opener = opener(&dir);
    for has_lost_writes in [false, true] {
        let (opened, _) = opener.open_all();
        drop(opened);
        paths.iter().for_each(|path| std::fs::write(path, "line 0\n").unwrap());
        if has_lost_writes {
            opener.record_lost_writes();
        }
        let (opened, _) = opener.open_all();
        assert_eq!(opened.as_ref().unwrap().files.len(), 2);
        drop(opened);
        let expected = if has_lost_writes { "" } else { "line 0\n" };
        for path in &paths {
            assert_eq!(std::fs::read_to_string(path).unwrap(), expected, "{}", path.display());
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_comes_later() {
    let dir = std::env::temp_dir().join(format!("pandad-opener-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("b")).unwrap();
    let mut opener = opener(&dir);
    let (opened, refused) = opener.open_all();
    assert_eq!((opened.as_ref().unwrap().files.len(), refused.len()), (1, 1));
    opener.await_files(refused).unwrap();
    let is_back = opener.watch();
    drop(opened);
    let (opened, refused) = opener.open_all();
    assert_eq!((opened.as_ref().unwrap().files.len(), refused.len()), (1, 0), "the other one is waited for");
    assert!(!is_back());
    std::fs::create_dir_all(dir.join("a")).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !is_back() {
        assert!(Instant::now() < until, "it is not opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(opened);
    let (opened, refused) = opener.open_all();
    let files = opened.iter().flat_map(|log| &log.files);
    let topics: Vec<_> = files.map(|file| file.topic.clone().unwrap().topic).collect();
    assert_eq!((topics, refused.len()), (vec!["a".to_owned(), "b".to_owned()], 0));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A file that another pandad has locked is waited for: otherwise one run ended after the other.
#[test]
fn a_file_that_is_locked_meanwhile_is_waited_for() {
    let dir = std::env::temp_dir().join(format!("pandad-locked-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("b")).unwrap();
    let mut opener = opener(&dir);
    let (opened, refused) = opener.open_all();
    opener.await_files(refused).unwrap();
    let is_back = opener.watch();
    // No other pandad can be there at the first attempt, which comes after 1 s.
    std::fs::create_dir_all(dir.join("a")).unwrap();
    let options = LogFileOptions { job: "test", sync: false, rotation: Rotation::off() };
    let path = dir.join("a").join("out.log");
    let other = logfile::open(&path, &options, &mut RestartMemory::default()).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert!(!is_back(), "it cannot be opened");
    drop(other);
    let until = Instant::now() + Duration::from_secs(20);
    while !is_back() {
        assert!(Instant::now() < until, "it is not opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(opened);
    assert_eq!(opener.open_all().0.unwrap().files.len(), 2);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The lock of a file that cannot be opened is given back, or the attempts would take it for that of another
/// pandad.
#[test]
fn the_lock_of_a_file_that_cannot_be_opened_is_given_back() {
    let dir = std::env::temp_dir().join(format!("pandad-given-back-{}", std::process::id()));
    let options = two_topics(&dir, false);
    std::fs::create_dir(dir.join("a/out.log.journal")).unwrap();
    let opened = logfile::open_topics(&options, Vec::new(), &mut RestartMemory::default()).unwrap();
    assert_eq!((opened.files.len(), opened.refused.len(), opened.file_locks.len()), (1, 1, 1));
    assert!(logfile::is_unlocked(&options.paths[0]) && !logfile::is_unlocked(&options.paths[1]));
    drop(opened);
    std::fs::remove_dir_all(&dir).unwrap();
}
