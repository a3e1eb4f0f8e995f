//! A regular expression that a whole text must match. Only this file uses the crate for regular
//! expressions.

use std::fmt;

/// A pattern for names, keys and values of headers.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    whole: regex_lite::Regex,
}

impl Pattern {
    /// A pattern from a regular expression, without the slashes around it.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn new(text: &str) -> Result<Self, String> {
        // The expression is compiled alone first. Otherwise the bracket that is added below could close an
        // open bracket of the expression.
        regex_lite::Regex::new(text).map_err(|why| why.to_string())?;
        let whole = regex_lite::Regex::new(&format!("^(?:{text})$")).map_err(|why| why.to_string())?;
        Ok(Self { text: text.to_owned(), whole })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

/// A pattern for the values of the headers of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderPattern {
    /// The name of the header.
    pub name: String,
    /// The pattern for the header's value.
    pub value: Pattern,
}

/// `name=/expression/`, as in the .inv.
impl fmt::Display for HeaderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The expression between slashes, as in the .inv.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_whole_or_not_at_all() {
        let pattern = Pattern::new("app-.*|logs").unwrap();
        assert!(pattern.matches("app-1") && pattern.matches("logs"));
        assert!(!pattern.matches("my-app-1") && !pattern.matches("logs2"));
        assert_eq!(pattern.to_string(), "/app-.*|logs/");
        for bad in ["a(", "a)", "[", "a)|(b"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
