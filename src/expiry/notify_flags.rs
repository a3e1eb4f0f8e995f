//! The setting `notify-keyspace-events`: the letters that it must hold so that Redis announces
//! expired keys and new deadlines. Pure. (redis.conf explains them under "Event notification".)

/// Without these letters no event of an expired key comes: `E` sends events on a channel for each kind of
/// event, `x` turns on the events of expired keys.
const EXPIRED_LETTERS: &str = "Ex";
/// With `g` deadlines are announced too: EXPIRE, RENAME and other generic commands send events.
const NEEDED_LETTERS: &str = "Exg";
/// The letters that `A` stands for.
const LETTERS_OF_A: &str = "g$lshzxetd";

/// With `e` a server whose policy deletes keys announces these.
const EVICTED_LETTER: char = 'e';

/// The setting with the missing letters added; `None` if none is missing. No letter is removed, because
/// other clients may need it. `evicts` says whether the server deletes keys when its memory is full.
pub(super) fn with_needed(flags: &str, evicts: bool) -> Option<String> {
    let mut missing = missing(flags, NEEDED_LETTERS);
    if evicts && !announces_evicted(flags) {
        missing.push(EVICTED_LETTER);
    }
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

/// Whether these flags make Redis announce expired keys. The flags for new deadlines are not looked at.
pub(super) fn announces_expired(flags: &str) -> bool {
    missing(flags, EXPIRED_LETTERS).is_empty()
}

/// Whether these flags make Redis announce the keys that it deletes because its memory is full.
pub(super) fn announces_evicted(flags: &str) -> bool {
    missing(flags, "Ee").is_empty()
}

fn missing(flags: &str, wanted: &str) -> String {
    let has = |letter| flags.contains(letter) || (LETTERS_OF_A.contains(letter) && flags.contains('A'));
    wanted.chars().filter(|letter| !has(*letter)).collect()
}

/// The line for redis.conf; `flags` is the present setting, if it is known.
pub(super) fn config_line(flags: Option<&str>, evicts: bool) -> String {
    let flags = flags.unwrap_or_default();
    format!("notify-keyspace-events {}", with_needed(flags, evicts).as_deref().unwrap_or(flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_added_and_none_is_removed() {
        for (flags, expected, announces) in [
            ("", Some("Exg"), false),
            ("Kl", Some("KlExg"), false),
            ("Ex", Some("Exg"), true),
            ("xE", Some("xEg"), true),
            ("AE", None, true),
            ("AK", Some("AKE"), false),
            ("gxE", None, true),
            ("Eg", Some("Egx"), false),
        ] {
            assert_eq!(with_needed(flags, false).as_deref(), expected, "{flags}");
            assert_eq!(announces_expired(flags), announces, "{flags}");
        }
        assert_eq!(with_needed("Exg", true).as_deref(), Some("Exge"));
        assert_eq!((with_needed("AE", true), with_needed("eExg", true)), (None, None));
        assert!(announces_evicted("AE") && !announces_evicted("Exg") && !announces_evicted("e"));
        assert_eq!(config_line(None, false), "notify-keyspace-events Exg");
        assert_eq!(config_line(Some("Kl"), true), "notify-keyspace-events KlExge");
    }
}
