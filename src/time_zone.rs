//! Time zones by the names that people write.

use std::fmt;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// The zone of the machine.
const LOCAL: &str = "local";

const UTC: &str = "UTC";

/// A zone, and its name as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedZone {
    name: String,
    zone: TimeZone,
}

impl NamedZone {
    /// The zone of a name, as [`named`] finds it.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn new(name: &str) -> Result<Self, String> {
        Ok(Self { name: name.to_owned(), zone: named(name)? })
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// The name that was written.
impl fmt::Display for NamedZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The zone of this name: an offset, a name of the zone database, or `local`.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn named(text: &str) -> Result<TimeZone, String> {
    named_in(jiff::tz::db(), text)
}

fn named_in(zones: &TimeZoneDatabase, text: &str) -> Result<TimeZone, String> {
    let zone = match text {
        LOCAL => TimeZone::try_system(),
        // Also on a machine without a zone database.
        UTC => return Ok(TimeZone::UTC),
        _ => match offset_of(text) {
            Some(offset) => return Ok(TimeZone::fixed(offset)),
            None => zones.get(text),
        },
    };
    zone.map_err(|why| format!("{why}; an offset as +08:00, a name as Asia/Shanghai, or {LOCAL} is expected"))
}

/// An offset from UTC, `+08:00`.
fn offset_of(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str| {
        let is_short = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_short.then(|| text.parse::<i32>().ok()).flatten()
    };
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    Offset::from_seconds(sign * (number(hours)? * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_keeps_its_name() {
        for (name, offset) in [("UTC", 0), ("+05:30", 19_800), ("-00:30", -1800)] {
            let zone = NamedZone::new(name).unwrap();
            assert_eq!(zone.to_string(), name);
            assert_eq!(zone.zone().to_fixed_offset().unwrap().seconds(), offset);
        }
        assert_eq!(NamedZone::new("local").unwrap().to_string(), "local");
        let none = TimeZoneDatabase::none();
        assert_eq!(named_in(&none, UTC), Ok(TimeZone::UTC));
        assert!(named_in(&none, "Europe/Berlin").is_err());
        assert!(NamedZone::new("Mars/Olympus").unwrap_err().contains("or local is expected"));
    }
}
