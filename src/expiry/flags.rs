//! `notify-keyspace-events`: what it must hold so that expired keys are announced, and
//! what it becomes. Pure. (The letters: redis.conf, "Event notification".)

/// Announces the event's key, and expirations.
const NEEDED: &str = "Ex";
/// `A` stands for these.
const ALL: &str = "g$lshzxetd";

/// What the setting must become; `None` when it will do as it is.
///
/// Letters are only ever added: others listen too.
pub(super) fn with_ours(flags: &str) -> Option<String> {
    let has = |letter| flags.contains(letter) || (ALL.contains(letter) && flags.contains('A'));
    let missing: String = NEEDED.chars().filter(|letter| !has(*letter)).collect();
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

/// The line for redis.conf, given what is known of the setting.
pub(super) fn line(flags: Option<&str>) -> String {
    let wanted = flags.map(|flags| with_ours(flags).unwrap_or_else(|| flags.to_owned()));
    format!("notify-keyspace-events {}", wanted.as_deref().unwrap_or(NEEDED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_added_and_none_is_taken_away() {
        for (flags, expected) in [
            ("", Some("Ex")),
            ("Kl", Some("KlEx")),
            ("Ex", None),
            ("xE", None),
            ("AE", None),
            ("AK", Some("AKE")),
            ("Eg", Some("Egx")),
        ] {
            assert_eq!(with_ours(flags).as_deref(), expected, "{flags}");
        }
        assert_eq!(line(None), "notify-keyspace-events Ex");
        assert_eq!(line(Some("Kl")), "notify-keyspace-events KlEx");
    }
}
