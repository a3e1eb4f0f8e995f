//! Time zones by the names that people write.

use jiff::tz::{Offset, TimeZone};

/// The zone of the machine.
const LOCAL: &str = "local";

/// The zone of this name: an offset, a name of the zone database, or `local`.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn named(text: &str) -> Result<TimeZone, String> {
    let zone = match text {
        LOCAL => TimeZone::try_system(),
        _ => match offset_of(text) {
            Some(offset) => return Ok(TimeZone::fixed(offset)),
            None => TimeZone::get(text),
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
