//! The real disk, and what must be right about the path of a log file before it is opened.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::faulty_disk::{Faults, FaultyFile, disk_with};
use super::*;
use crate::logfile::disk::{FileAccess, FileKind, RealDisk, read_all};
use crate::logfile::rotation::now;

fn refusal(path: &Path, options: &LogFileOptions) -> String {
    match open(path, options, &mut RestartMemory::default()) {
        Err(OpenError::Mend(why) | OpenError::Fatal(why)) => why,
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// The text names what is missing, not the first file that pandad needs there.
#[test]
fn what_is_missing_is_named() {
    let dir = Dir::new();
    let missing = refusal(&dir.0.join("no/out.log"), &options(true));
    assert!(missing.starts_with(&format!("{}: No such file", dir.0.join("no").display())), "{missing}");
    fs::write(dir.0.join("file"), "").unwrap();
    let file = dir.0.join("file/out.log");
    let no_directory = refusal(&file, &options(true));
    assert!(no_directory.starts_with(&format!("{}: Not a directory", file.display())), "{no_directory}");
    let link = dir.0.join("link");
    symlink(dir.0.join("away/out.log"), &link).unwrap();
    let dangling = refusal(&link, &options(true));
    assert!(dangling.starts_with(&format!("{}: No such file", dir.0.join("away").display())), "{dangling}");
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2, "what was refused leaves nothing");
}

/// The names of all files beside the log file must fit, up to the last byte.
#[test]
fn names_are_as_long_as_the_file_system_takes() {
    let rotating = |gzip| {
        let rotation = Rotation { size: Some(20), gzip, ..Rotation::off() };
        LogFileOptions { rotation, ..options(false) }
    };
    let cases = [(options(false), ".journal.unreadable".len()), (rotating(false), 21), (rotating(true), 29)];
    for (options, suffix) in cases {
        let dir = Dir::new();
        let longest = dir.0.join("n".repeat(255 - suffix));
        drop(open(&longest, &options, &mut RestartMemory::default()).unwrap());
        let why = refusal(&dir.0.join("n".repeat(256 - suffix)), &options);
        let told = format!("its name has {} bytes, and up to {suffix} are appended", 256 - suffix);
        assert!(why.contains(&told), "{why}");
        // The target of a link is what is rotated.
        let link = dir.0.join("link");
        symlink(dir.0.join("m".repeat(256 - suffix)), &link).unwrap();
        assert!(refusal(&link, &options).contains(&told));
    }
}

#[test]
fn a_probe_of_the_disk_leaves_nothing() {
    let dir = Dir::new();
    try_disk(&dir.log()).unwrap();
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0);
    assert!(try_disk(&dir.0.join("no/out.log")).is_err());
}

#[test]
fn a_file_is_created_only_where_none_is() {
    let dir = Dir::new();
    let meta = fs::metadata(&dir.0).unwrap();
    let access = FileAccess { mode: 0o100_604, user: meta.uid(), group: meta.gid() };
    assert!(RealDisk.create_as(&dir.log(), access).unwrap(), "this user may");
    fs::write(dir.log(), "kept").unwrap();
    assert!(RealDisk.create_as(&dir.log(), FileAccess { mode: 0o600, ..access }).unwrap());
    let meta = fs::metadata(dir.log()).unwrap();
    assert_eq!((meta.mode() & 0o7777, dir.content()), (0o604, "kept".to_owned()));
    assert!(RealDisk.create_as(&dir.0.join("no/out.log"), access).is_err());
}

#[test]
fn a_file_is_read_up_to_a_limit() {
    let dir = Dir::new();
    let bytes: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
    fs::write(dir.log(), &bytes).unwrap();
    let file = RealDisk.open(&dir.log(), OpenMode::Reading).unwrap();
    for (limit, is_read) in [(100_000, true), (100_001, true), (99_999, false), (0, false)] {
        assert!(read_all(&*file, limit).unwrap() == is_read.then(|| bytes.clone()), "{limit}");
    }
    assert!(file.append_all(b"x").is_err(), "opened to be read");
}

/// A disk that does a part of each call, and breaks every second call off.
#[derive(Debug)]
struct Piecemeal {
    most: usize,
    calls: AtomicU32,
}

impl Piecemeal {
    fn is_broken_off(&self) -> io::Result<()> {
        let is_second = self.calls.fetch_add(1, Relaxed) % 2 == 1;
        if is_second { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Faults for Piecemeal {
    fn read_at(&self, file: &FaultyFile<Self>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.is_broken_off()?;
        let most = self.most.min(buffer.len());
        file.inner.read_at(&mut buffer[..most], at)
    }

    fn append(&self, file: &FaultyFile<Self>, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.is_broken_off()?;
        let most = self.most.min(slices[0].len());
        file.inner.append(&[io::IoSlice::new(&slices[0][..most])])
    }
}

#[test]
fn what_a_call_leaves_is_done_by_the_next() {
    let dir = Dir::new();
    let file = |most| {
        let disk = disk_with(&Arc::new(Piecemeal { most, calls: AtomicU32::new(0) }));
        disk.open(&dir.log(), OpenMode::Append).unwrap()
    };
    let bytes: Vec<u8> = (0..100).collect();
    file(3).append_all(&bytes).unwrap();
    assert_eq!(fs::read(dir.log()).unwrap(), bytes);
    let mut read = [0; 40];
    file(3).read_exact_at(&mut read, 50).unwrap();
    assert_eq!(read, bytes[50..90]);
    assert_eq!(file(3).read_exact_at(&mut read, 61).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(file(0).append_all(&bytes).unwrap_err().kind(), io::ErrorKind::WriteZero);
}

#[test]
fn what_is_neither_a_file_nor_a_directory_is_told_apart() {
    let dir = Dir::new();
    fs::write(dir.log(), "").unwrap();
    let kind = |path: &Path| RealDisk.stat(path).unwrap().kind;
    assert_eq!(
        [kind(&dir.log()), kind(&dir.0), kind(Path::new("/dev/null"))],
        [FileKind::File, FileKind::Directory, FileKind::Other]
    );
}

/// procfs syncs no files, as some FUSE file systems do not.
#[test]
fn a_file_that_cannot_be_synced_is_named_with_the_call() {
    let file = RealDisk.open(Path::new("/proc/version"), OpenMode::Reading).unwrap();
    let error = file.sync().unwrap_err();
    assert!(error.to_string().starts_with("fdatasync is refused"), "{error}");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// After a kill between the two steps of a rotation: the newest file that pandad itself has rotated says who
/// may use the new one. A compressed file or a link does not.
#[test]
fn a_new_file_gets_the_access_of_the_newest_rotated_one() {
    let rotating =
        || LogFileOptions { rotation: Rotation { size: Some(20), ..Rotation::off() }, ..options(false) };
    let mode_with = |options: &LogFileOptions| {
        let dir = Dir::new();
        for (stamp, mode) in
            [("20T150000.000Z", 0o640), ("22T150000.000Z", 0o604), ("23T150000.000Z.gz", 0o600)]
        {
            let file = with_suffix(&dir.log(), &format!("-202611{stamp}"));
            fs::write(&file, "x").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("elsewhere", with_suffix(&dir.log(), "-20261124T150000.000Z")).unwrap();
        let log = open(&dir.log(), options, &mut RestartMemory::default()).unwrap();
        let mode = fs::metadata(dir.log()).unwrap().mode() & 0o7777;
        drop(log);
        mode
    };
    assert_eq!(mode_with(&rotating()), 0o604);
    assert_ne!(mode_with(&options(false)), 0o604, "pandad does not rotate, so these are another program's");
}

#[test]
fn the_clock_shows_the_time() {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((now() - since.as_millis() as i64).abs() < 60_000);
}

/// The directory of a log file comes back, as when its disk is mounted.
#[test]
fn a_file_that_cannot_be_opened_is_told_of_when_it_can_be() {
    let dir = Dir::new();
    let path = dir.0.join("disk/out.log");
    let mut reopener = start_reopener(options(true)).unwrap();
    for sync_failed in [false, true] {
        reopener.add(ClosedLog { path: path.clone(), sync_failed, held_until: None });
        assert!(reopener.has(&path) && reopener.take().is_none());
        fs::create_dir(dir.0.join("disk")).unwrap();
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let (at, ()) = loop {
            if let Some(opened) = reopener.take() {
                break opened;
            }
            assert!(std::time::Instant::now() < limit, "too late");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(at == path && !reopener.has(&path) && !path.exists());
        assert_eq!(fs::read_dir(dir.0.join("disk")).unwrap().count(), 0, "nothing is left");
        fs::remove_dir_all(dir.0.join("disk")).unwrap();
    }
}
