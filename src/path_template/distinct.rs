//! Whether a path says what it was made of: records that differ in a placeholder's value never share a file.

use super::template::{PathComponent, PathPart};

/// The placeholders, as they are written, that some path does not tell apart from each other.
pub(super) fn indistinct(components: &[PathComponent]) -> Vec<&'static str> {
    let mut known = Vec::new();
    loop {
        let before = known.len();
        components.iter().for_each(|component| learn(&component.parts, &mut known));
        if known.len() == before {
            break;
        }
    }
    let mut unknown: Vec<_> = components
        .iter()
        .flat_map(|component| &component.parts)
        .filter(|part| !is_known(part, &known))
        .map(name)
        .collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}

/// Adds the placeholders whose value can be read from the component, if those of `known` are known.
fn learn(parts: &[PathPart], known: &mut Vec<PathPart>) {
    let mut rest = parts;
    loop {
        // A known value, and a time of so many digits, is stripped from either end like text. The text next
        // to an unknown value stays: it may be what ends the value.
        while let [first, behind @ ..] = rest
            && is_known(first, known)
        {
            rest = behind;
        }
        while let [before @ .., last] = rest
            && is_known(last, known)
        {
            rest = before;
        }
        let new = match rest {
            [first, PathPart::Literal(text), ..]
                if text.chars().next().is_some_and(|c| !may_hold(first, c)) =>
            {
                first
            }
            [.., PathPart::Literal(text), last]
                if text.chars().next_back().is_some_and(|c| !may_hold(last, c)) =>
            {
                last
            }
            // One value, however often it is there: the length of the name says that of the value.
            [first, others @ ..] if others.iter().all(|part| part == first || is_known(part, known)) => first,
            _ => return,
        };
        known.push(new.clone());
    }
}

fn is_known(part: &PathPart, known: &[PathPart]) -> bool {
    matches!(part, PathPart::Literal(_) | PathPart::Time(_)) || known.contains(part)
}

/// Whether the value of a placeholder may have this character when it is escaped.
fn may_hold(part: &PathPart, char: char) -> bool {
    match part {
        PathPart::Partition => char.is_ascii_digit(),
        PathPart::Topic => char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-' | '%'),
        PathPart::Key | PathPart::Literal(_) | PathPart::Time(_) => true,
    }
}

fn name(part: &PathPart) -> &'static str {
    match part {
        PathPart::Topic => "{topic}",
        PathPart::Partition => "{partition}",
        PathPart::Key => "{key}",
        PathPart::Literal(_) | PathPart::Time(_) => "",
    }
}
