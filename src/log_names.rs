//! The names of the files beside a log file: decides, by the names alone and before any file is opened,
//! whether two log files would use the same name.

use std::path::Path;

/// The longest name that the usual file systems take, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The text that is appended to the log file's name for each file beside it, and what that file is.
const BESIDE: [(&str, &str); 5] = [
    (".journal", "the journal"),
    (".journal.new", "a new journal"),
    (".journal.unreadable", "a journal that was moved away"),
    (".lock", "the lock file"),
    (".probe", "the probe of the disk"),
];
/// The text after the log file's name in the name of a rotated file, as `-20261124T153000.123Z`, with `0`
/// for any digit.
const STAMP: &str = "-00000000T000000.000Z";
/// The texts that may follow the stamp.
const ROTATED: [&str; 3] = ["", ".gz", ".gz.part"];

/// If `other` has the name of a file beside the log file `file`: what that file would be.
pub fn clash(file: &Path, other: &Path) -> Option<&'static str> {
    if file.parent() != other.parent() {
        return None;
    }
    let rest = other.file_name()?.to_str()?.strip_prefix(file.file_name()?.to_str()?)?;
    let beside = BESIDE.iter().find(|(suffix, _)| *suffix == rest).map(|(_, what)| *what);
    beside.or_else(|| is_rotated(rest).then_some("a rotated file"))
}

fn is_rotated(rest: &str) -> bool {
    let Some((stamp, suffix)) = rest.split_at_checked(STAMP.len()) else { return false };
    let fits = |(found, form): (char, char)| match form {
        '0' => found.is_ascii_digit(),
        form => found == form,
    };
    stamp.chars().zip(STAMP.chars()).all(fits) && ROTATED.contains(&suffix)
}

/// The longest text, in bytes, that is appended to the name of a log file.
pub fn suffix_bytes_max(is_rotated: bool, is_compressed: bool) -> usize {
    let longest = |texts: &[&str]| texts.iter().map(|text| text.len()).max().unwrap_or_default();
    let beside = longest(&BESIDE.map(|(suffix, _)| suffix));
    match (is_rotated, is_compressed) {
        (false, _) => beside,
        (true, false) => beside.max(STAMP.len()),
        (true, true) => beside.max(STAMP.len() + longest(&ROTATED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_log_file_are_recognized() {
        let what = |other: &str| clash(Path::new("/log/a"), Path::new(other));
        assert_eq!(what("/log/a.journal"), Some("the journal"));
        assert_eq!(what("/log/a.lock"), Some("the lock file"));
        assert_eq!(what("/log/a-20261124T153000.123Z"), Some("a rotated file"));
        assert_eq!(what("/log/a-20261124T153000.123Z.gz.part"), Some("a rotated file"));
        for other in ["/log/a", "/log/a.log", "/log/b.journal", "/log2/a.journal", "/log/a.journal.log"] {
            assert_eq!(what(other), None, "{other}");
        }
        for other in ["/log/a-20261124T153000.12Z", "/log/a-20261124T153000.123Z.log", "/log/a-2026"] {
            assert_eq!(what(other), None, "{other}");
        }
    }

    #[test]
    fn longest_names_are_known() {
        assert_eq!(suffix_bytes_max(false, true), ".journal.unreadable".len());
        assert_eq!(suffix_bytes_max(true, false), "-20261124T153000.123Z".len());
        assert_eq!(suffix_bytes_max(true, true), "-20261124T153000.123Z.gz.part".len());
    }
}
