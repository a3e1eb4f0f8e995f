//! The setting `notify-keyspace-events`: the letters that it must hold so that Redis announces
//! expired keys and new deadlines. Pure. (redis.conf explains them under "Event notification".)

/// Without these letters no event of an expired key comes: `E` sends events on a channel for each kind of
/// event, `x` turns on the events of expired keys.
const EXPIRED_LETTERS: &str = "Ex";
/// With `g` deadlines are announced too: EXPIRE, RENAME and other generic commands send events.
const NEEDED_LETTERS: &str = "Exg";
/// The letters that `A` stands for.
const LETTERS_OF_A: &str = "g$lshzxetd";

/// The setting with the missing letters added; `None` if none is missing. No letter is removed, because
/// other clients may need it.
pub(super) fn with_needed(flags: &str) -> Option<String> {
    let missing = missing(flags, NEEDED_LETTERS);
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

/// Whether these flags make Redis announce expired keys. The flags for new deadlines are not looked at.
pub(super) fn announces_expired(flags: &str) -> bool {
    missing(flags, EXPIRED_LETTERS).is_empty()
}

fn missing(flags: &str, wanted: &str) -> String {
    let has = |letter| flags.contains(letter) || (LETTERS_OF_A.contains(letter) && flags.contains('A'));
    wanted.chars().filter(|letter| !has(*letter)).collect()
}

/// The line for redis.conf; `flags` is the present setting, if it is known.
pub(super) fn config_line(flags: Option<&str>) -> String {
    let wanted = flags.map(|flags| with_needed(flags).unwrap_or_else(|| flags.to_owned()));
    format!("notify-keyspace-events {}", wanted.as_deref().unwrap_or(NEEDED_LETTERS))
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
            assert_eq!(with_needed(flags).as_deref(), expected, "{flags}");
            assert_eq!(announces_expired(flags), announces, "{flags}");
        }
        assert_eq!(config_line(None), "notify-keyspace-events Exg");
        assert_eq!(config_line(Some("Kl")), "notify-keyspace-events KlExg");
    }
}
