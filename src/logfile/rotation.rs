//! When a log file is rotated, and how the rotated file is named. Pure, except for the time zone.
//!
//! The name is the log file's name and the time of the rotation in UTC, in milliseconds. So no file is
//! renamed a second time, and the names sort in the order of rotation.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::disk::{Disk, FileKind, OpenMode, directory_of, with_suffix};

/// When to rotate, and what becomes of rotated files.
#[derive(Clone)]
pub struct Rotation {
    /// Rotate before a write that would make the file larger than this, in bytes.
    pub size: Option<u64>,
    /// Rotate when an hour or a day has passed, by the machine's time zone.
    pub every: Option<RotationInterval>,
    /// How many rotated files are kept. The oldest are deleted.
    pub keep: usize,
    /// How many bytes all rotated files may have. The oldest are deleted.
    pub keep_bytes: Option<u64>,
    /// For how many days a rotated file is kept.
    pub keep_days: Option<u32>,
    /// Whether rotated files are compressed.
    pub gzip: bool,
    /// The clock: milliseconds since 1970.
    pub now: fn() -> i64,
}

/// How often to rotate by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationInterval {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, every, keep, keep_bytes, keep_days, gzip, .. } = self;
        f.debug_struct("Rotation")
            .field("size", size)
            .field("every", every)
            .field("keep", keep)
            .field("keep_bytes", keep_bytes)
            .field("keep_days", keep_days)
            .field("gzip", gzip)
            .finish_non_exhaustive()
    }
}

impl Rotation {
    /// No rotation.
    pub fn off() -> Self {
        let (keep_bytes, keep_days) = (None, None);
        Self { size: None, every: None, keep: usize::MAX, keep_bytes, keep_days, gzip: false, now }
    }

    /// Whether files are rotated at all.
    pub fn is_on(&self) -> bool {
        self.size.is_some() || self.every.is_some()
    }

    /// Whether a file of `end` bytes, last written at `last`, must be rotated before `more` bytes
    /// are written. An empty file is never rotated.
    pub(super) fn is_due(&self, end: u64, more: u64, last: i64) -> bool {
        let too_large = || self.size.is_some_and(|size| end + more > size);
        let too_old = || self.every.is_some_and(|every| period(every, last) < period(every, (self.now)()));
        end > 0 && (too_large() || too_old())
    }
}

/// A kill between the two steps of a rotation leaves no log file at the path. The new log file gets the
/// access of the file that was rotated.
pub(super) fn begin_as_before(disk: &dyn Disk, path: &Path, rotation: &Rotation) -> io::Result<()> {
    let target = disk.target(path);
    if !rotation.is_on() || disk.stat_link(&target).is_ok() {
        return Ok(());
    }
    let is_plain = |file: &Path| disk.stat_link(file).is_ok_and(|stat| stat.kind == FileKind::File);
    let rotated = disk.list(directory_of(&target))?;
    let newest = rotated
        .iter()
        .filter_map(|file| Some((stamp_of(&target, file)?, file)))
        .filter(|((_, suffix), file)| suffix.is_empty() && is_plain(file))
        .max();
    if let Some((_, newest)) = newest {
        let access = disk.open(newest, OpenMode::Existing)?.access()?;
        disk.create_as(&target, access)?;
    }
    Ok(())
}

/// The time of this machine, in milliseconds since 1970.
pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The hour or the day that a time belongs to.
fn period(every: RotationInterval, time: i64) -> Option<(jiff::civil::Date, i8)> {
    let time = Timestamp::from_millisecond(time).ok()?.to_zoned(TimeZone::system());
    Some(match every {
        RotationInterval::Hour => (time.date(), time.hour()),
        RotationInterval::Day => (time.date(), 0),
    })
}

/// Every stamp has this length, for example `-20261124T153000.123Z`.
const STAMP_CHARS: usize = "-20261124T153000.123Z".len();
const STAMP_FORMAT: &str = "-%Y%m%dT%H%M%S.%3fZ";

/// The name of a file that is rotated now, and the time in the name. The time is later than that of every
/// rotated file, even if the clock was set back.
pub(super) fn rotated_name(path: &Path, now: i64, others: &[PathBuf]) -> (PathBuf, i64) {
    let newest = others.iter().filter_map(|other| stamp_of(path, other)).map(|(time, _)| time).max();
    let millis = newest.map_or(now, |newest| now.max(newest + 1));
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    (with_suffix(path, &time.strftime(STAMP_FORMAT).to_string()), millis)
}

/// If `other` is a rotated `path`: the time of its rotation, and the suffix after the stamp.
pub(super) fn stamp_of<'a>(path: &Path, other: &'a Path) -> Option<(i64, &'a str)> {
    let base = path.file_name()?.to_str()?;
    let rest = other.file_name()?.to_str()?.strip_prefix(base)?;
    let (stamp, suffix) = rest.split_at_checked(STAMP_CHARS)?;
    let (seconds, rest) = stamp.strip_suffix('Z')?.split_once('.')?;
    let seconds = jiff::civil::DateTime::strptime("-%Y%m%dT%H%M%S", seconds).ok()?;
    let seconds = seconds.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some((seconds + rest.parse::<i64>().ok().filter(|rest| (0..1000).contains(rest))?, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_sort_in_the_order_of_rotation() {
        let path = Path::new("/log/out.log");
        let (first, _) = rotated_name(path, 1_795_534_200_123, &[]);
        assert_eq!(first, Path::new("/log/out.log-20261124T153000.123Z"));
        assert_eq!(stamp_of(path, &first), Some((1_795_534_200_123, "")));
        // Two rotations in one millisecond, and one after the clock was set back.
        let (second, _) = rotated_name(path, 1_795_534_200_123, std::slice::from_ref(&first));
        let gzipped = with_suffix(&second, ".gz");
        let (third, _) = rotated_name(path, 0, &[gzipped.clone(), first.clone()]);
        assert!(first < second && second < third, "{first:?} {second:?} {third:?}");
        assert_eq!(stamp_of(path, &gzipped), Some((1_795_534_200_124, ".gz")));
        for other in ["/log/out.log", "/log/out.log.1", "/log/out.log-20261124T153000.12Z", "/log/out.logs"] {
            assert_eq!(stamp_of(path, Path::new(other)), None, "{other}");
        }
        // The configuration refuses these names for another log file.
        for name in [&first, &gzipped, &third] {
            assert_eq!(crate::log_names::clash(path, name), Some("a rotated file"));
        }
    }

    #[test]
    fn a_rotation_is_due_by_size_and_by_time() {
        const HOUR: i64 = 3_600_000;
        let by_size = Rotation { size: Some(100), ..Rotation::off() };
        assert!(!by_size.is_due(0, 500, 0) && !by_size.is_due(60, 40, 0) && by_size.is_due(60, 41, 0));
        let hourly = Rotation { every: Some(RotationInterval::Hour), now: || 10 * HOUR, ..Rotation::off() };
        assert!(hourly.is_due(1, 0, 10 * HOUR - 1) && !hourly.is_due(1, 0, 10 * HOUR));
        assert!(!hourly.is_due(0, 0, 0), "an empty file");
        let daily = Rotation { every: Some(RotationInterval::Day), now: || 50 * HOUR, ..Rotation::off() };
        assert!(daily.is_due(1, 0, 0) && !daily.is_due(1, 0, 50 * HOUR - 1));
        assert!(!Rotation::off().is_due(u64::MAX / 2, 1, 0));
    }
}
