//! `notify-keyspace-events`: what it must hold so that expired keys and deadlines are
//! announced, and what it becomes. Pure. (The letters: redis.conf, "Event notification".)

/// Without these nothing that expires is heard of: the event's key, and expirations.
const EXPIRED_LETTERS: &str = "Ex";
/// With this deadlines are announced too: EXPIRE, RENAME and the like are generic events.
const NEEDED_LETTERS: &str = "Exg";
/// `A` stands for these.
const LETTERS_OF_A: &str = "g$lshzxetd";

/// What the setting must become; `None` when it will do as it is.
///
/// Letters are only ever added: others listen too.
pub(super) fn with_ours(flags: &str) -> Option<String> {
    let missing = missing(flags, NEEDED_LETTERS);
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

/// Whether keys that expire are announced, if perhaps no deadlines.
pub(super) fn announces_expired(flags: &str) -> bool {
    missing(flags, EXPIRED_LETTERS).is_empty()
}

fn missing(flags: &str, wanted: &str) -> String {
    let has = |letter| flags.contains(letter) || (LETTERS_OF_A.contains(letter) && flags.contains('A'));
    wanted.chars().filter(|letter| !has(*letter)).collect()
}

/// The line for redis.conf, given what is known of the setting.
pub(super) fn line(flags: Option<&str>) -> String {
    let wanted = flags.map(|flags| with_ours(flags).unwrap_or_else(|| flags.to_owned()));
    format!("notify-keyspace-events {}", wanted.as_deref().unwrap_or(NEEDED_LETTERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_added_and_none_is_taken_away() {
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
            assert_eq!(with_ours(flags).as_deref(), expected, "{flags}");
            assert_eq!(announces_expired(flags), announces, "{flags}");
        }
        assert_eq!(line(None), "notify-keyspace-events Exg");
        assert_eq!(line(Some("Kl")), "notify-keyspace-events KlExg");
    }
}
