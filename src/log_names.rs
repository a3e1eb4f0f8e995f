//! The names of the files beside a log file: decides, by the names alone and before any file is opened,
//! whether two log files would use the same name.

use std::os::unix::ffi::OsStrExt;
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
/// What is appended to the name of a file of a period, for records that came after it was finished.
const LATE: &str = ".late";
/// What is appended to the name of a file that is compressed.
pub const COMPRESSED: &str = ".gz";
/// The digits of the number behind [`LATE`], and of that of a name that was taken.
const NUMBER_DIGITS_MAX: usize = 6;

/// If `other` has the name of a file beside the log file `file`: what that file would be.
pub fn clash(file: &Path, other: &Path) -> Option<&'static str> {
    if file.parent() != other.parent() {
        return None;
    }
    beside(other.file_name()?.to_str()?.strip_prefix(file.file_name()?.to_str()?)?)
}

/// If this text is appended to the name of a log file for a file beside it: what that file is.
pub fn beside(suffix: &str) -> Option<&'static str> {
    let beside = BESIDE.iter().find(|(text, _)| *text == suffix).map(|(_, what)| *what);
    beside.or_else(|| is_rotated(suffix).then_some("a rotated file"))
}

fn is_rotated(rest: &str) -> bool {
    let Some((stamp, suffix)) = rest.split_at_checked(STAMP.len()) else { return false };
    is_of_form(stamp, STAMP) && ROTATED.contains(&suffix)
}

/// Whether the text is of this form, in which `0` stands for any digit.
fn is_of_form(text: &str, form: &str) -> bool {
    let fits = |(found, form): (char, char)| match form {
        '0' => found.is_ascii_digit(),
        form => found == form,
    };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}

/// As [`beside`], for the file of a period. It may also be late, and its name may have been taken.
pub fn beside_period(suffix: &str) -> Option<&'static str> {
    let of_period = || period_forms().any(|form| is_of_form(suffix, &form));
    beside(suffix).or_else(|| of_period().then_some("a finished file"))
}

/// The forms of all texts that are appended to the name of a log file, with `0` for any digit. The file may
/// be that of a period.
pub fn forms(is_of_period: bool) -> Vec<String> {
    let beside = BESIDE.iter().map(|(suffix, _)| (*suffix).to_owned());
    let rotated = ROTATED.iter().map(|suffix| format!("{STAMP}{suffix}"));
    let period = is_of_period.then(period_forms).into_iter().flatten();
    beside.chain(rotated).chain(period).collect()
}

/// The forms of what is appended to the name of the file of a period when it is finished.
fn period_forms() -> impl Iterator<Item = String> {
    let numbers = || (1..=NUMBER_DIGITS_MAX).map(|digits| format!(".{}", "0".repeat(digits)));
    let late = std::iter::once(String::new())
        .chain(std::iter::once(LATE.to_owned()))
        .chain(numbers().map(|number| format!("{LATE}{number}")));
    let taken = move || ["", STAMP].into_iter().map(str::to_owned).chain(numbers());
    late.flat_map(move |late| taken().map(move |taken| format!("{late}{taken}")))
        .flat_map(|name| ROTATED.map(|suffix| format!("{name}{suffix}")))
        .filter(|form| !form.is_empty())
}

/// The longest text, in bytes, that is appended to the name of a file of a period.
pub fn period_suffix_bytes_max() -> usize {
    forms(true).iter().map(String::len).max().unwrap_or_default()
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

/// Whether a complete file is compressed when it is moved there, as its new name says. Its own name may end
/// like that, too.
pub fn is_compressed_to(from: &Path, to: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_owned()).unwrap_or_default();
    name(to).strip_prefix(name(from).as_slice()).is_some_and(|added| added.ends_with(COMPRESSED.as_bytes()))
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
    fn the_new_name_of_a_file_says_whether_it_is_compressed() {
        for (from, to, is_compressed) in [
            ("a/x.log", "a/x.log", false),
            ("a/x.log", "a/x.log.gz", true),
            ("a/x.log", "a/x.log.1.gz", true),
            ("x.log.late", "x.log.late.1", false),
            ("x.gz", "x.gz", false),
            ("x.gz", "x.gz.1", false),
            ("x.gz", "x.gz.gz", true),
            ("x.gz", "x.gz.2.gz", true),
            ("x.log", "y.log.gz", false),
        ] {
            assert_eq!(is_compressed_to(Path::new(from), Path::new(to)), is_compressed, "{from} {to}");
        }
    }

    #[test]
    fn longest_names_are_known() {
        assert_eq!(suffix_bytes_max(false, true), ".journal.unreadable".len());
        assert_eq!(suffix_bytes_max(true, false), "-20261124T153000.123Z".len());
        assert_eq!(suffix_bytes_max(true, true), "-20261124T153000.123Z.gz.part".len());
        assert_eq!(period_suffix_bytes_max(), ".late.123456-20261124T153000.123Z.gz.part".len());
    }

    #[test]
    fn a_file_of_a_period_may_be_late_and_its_name_taken() {
        for suffix in [".late", ".late.2", ".1", ".gz", ".late.12.1.gz", ".late-20261124T153000.123Z.gz.part"]
        {
            assert_eq!(beside_period(suffix), Some("a finished file"), "{suffix}");
            assert_eq!(beside(suffix), None, "{suffix}");
        }
        assert_eq!(beside_period(".lock"), Some("the lock file"));
        for suffix in ["", ".later", ".late.", ".late.x", ".1234567", ".gz.1"] {
            assert_eq!(beside_period(suffix), None, "{suffix}");
        }
        assert!(forms(true).len() > forms(false).len());
        assert!(forms(false).iter().all(|form| beside(form).is_some()));
        assert!(forms(true).iter().all(|form| beside_period(form).is_some()));
    }
}
