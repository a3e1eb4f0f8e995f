//! The value that PHP's parse_ini_file gets from the text after `=`, or the reason why that text is
//! refused.
//!
//! PHP computes some values, replaces others, and continues some on the next line. Such values do not mean
//! what their writer intended (`pa|ss` is 0), so they are refused as a [`Surprise`].

/// Why a piece of an .inv is refused: a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surprise {
    /// What is wrong and how to write it instead.
    pub text: String,
    /// The quote that was left open, if this is the fault.
    pub open: Option<char>,
}

fn surprise<T>(text: impl Into<String>) -> Result<T, Surprise> {
    Err(Surprise { text: text.into(), open: None })
}

/// Blanks between tokens. Other characters that look blank are part of the text.
pub const BLANKS: [char; 2] = [' ', '\t'];

/// Words that PHP replaces if they are a whole unquoted value, each with its replacement.
pub const RESERVED: [(&str, &str); 8] = [
    ("true", "1"),
    ("on", "1"),
    ("yes", "1"),
    ("false", ""),
    ("off", ""),
    ("no", ""),
    ("none", ""),
    ("null", ""),
];

/// The replacement that PHP has for an unquoted word, if the word is a reserved one.
pub fn reserved(word: &str) -> Option<&'static str> {
    RESERVED.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// Removes the comment and the surrounding blanks from the text after `=`.
pub fn cut(rest: &str) -> Result<&str, Surprise> {
    let (_, left) = pieces(rest)?;
    let end = rest.len().saturating_sub(left.len());
    Ok(rest.get(..end).unwrap_or(rest).trim_matches(BLANKS))
}

/// The text that a value stands for.
pub fn meaning(value: &str) -> Result<String, Surprise> {
    pieces(value).map(|(text, _)| text)
}

/// The text of a value, and the rest after it: nothing, or a comment.
fn pieces(rest: &str) -> Result<(String, &str), Surprise> {
    let rest = rest.trim_start_matches(BLANKS);
    if rest.starts_with(['\'', '"']) { quoted(rest) } else { bare(rest) }
}

/// Quoted pieces one after the other; PHP joins them.
fn quoted(mut rest: &str) -> Result<(String, &str), Surprise> {
    let mut text = String::new();
    let mut before = None;
    loop {
        let blanks = rest.len() - rest.trim_start_matches(BLANKS).len();
        let (gap, next) = rest.split_at_checked(blanks).unwrap_or(("", rest));
        let quote = match next.chars().next() {
            None | Some(';') => return Ok((text, next)),
            Some(quote @ ('\'' | '"')) => quote,
            Some(_) if before == Some('\'') => {
                return surprise(
                    "text follows the closing quote, and within single quotes nothing can be escaped: \
                     put the whole value in one pair of quotes",
                );
            }
            Some(_) => {
                return surprise("text follows the closing quote: put the whole value in one pair of quotes");
            }
        };
        // PHP keeps the gap between two single-quoted pieces and drops every other gap.
        match before {
            Some('\'') if quote == '\'' => text.push_str(gap),
            Some(_) if !gap.is_empty() => {
                return surprise(
                    "PHP drops the blanks between these quoted pieces: \
                     put the whole value in one pair of quotes",
                );
            }
            _ => {}
        }
        let inner = next.strip_prefix(quote).unwrap_or(next);
        rest = if quote == '\'' { single(inner, &mut text)? } else { double(inner, &mut text)? };
        before = Some(quote);
    }
}

/// Single quotes: everything up to the next one is literal.
fn single<'a>(inner: &'a str, text: &mut String) -> Result<&'a str, Surprise> {
    let Some((piece, rest)) = inner.split_once('\'') else {
        return Err(Surprise {
            text: "the value opens with ' and has no closing ' on this line: \
                   close the quote, a value cannot span lines"
                .into(),
            open: Some('\''),
        });
    };
    text.push_str(piece);
    Ok(rest)
}

/// Double quotes: `\"` and `\\` are escapes, any other backslash is a backslash.
fn double<'a>(inner: &'a str, text: &mut String) -> Result<&'a str, Surprise> {
    let mut chars = inner.chars();
    let mut escaped = false;
    while let Some(c) = chars.next() {
        let ahead = chars.as_str();
        match c {
            '"' => return Ok(ahead),
            '\\' if ahead.starts_with(['"', '\\']) => {
                escaped = ahead.starts_with('"');
                text.extend(chars.next());
            }
            '\\' if ahead.starts_with('$') => {
                return surprise(
                    "a backslash before $ in double quotes is kept by one PHP and dropped by another: \
                     use single quotes",
                );
            }
            '$' if ahead.starts_with('{') => return surprise(INTERPOLATION),
            _ => text.push(c),
        }
    }
    let text = if escaped {
        "the value opens with \" and its last \" is escaped by the backslash before it: \
         write \\\\ for a backslash, or use single quotes"
    } else {
        "the value opens with \" and has no closing \" on this line: \
         close the quote, a value cannot span lines"
    };
    Err(Surprise { text: text.into(), open: Some('"') })
}

const INTERPOLATION: &str = "PHP puts a setting or an environment variable in place of ${…}: \
     write the value itself, or single quotes if the characters are meant";

/// A value without quotes: up to the comment, without the blanks at its end.
fn bare(rest: &str) -> Result<(String, &str), Surprise> {
    let mut chars = rest.chars();
    let mut end = rest.len();
    while let Some(c) = chars.next() {
        let ahead = chars.as_str();
        match c {
            ';' => {
                end = rest.len() - ahead.len() - 1;
                break;
            }
            '\'' => {
                return surprise(
                    "an apostrophe opens a quote in PHP, even in the middle of a value, and PHP reads on \
                     until the next: put the whole value in double quotes",
                );
            }
            '"' => {
                return surprise(
                    "a double quote in the middle of an unquoted value: put the whole value in single quotes",
                );
            }
            '|' | '&' | '^' | '~' | '!' | '(' | ')' => {
                return surprise(format!(
                    "PHP calculates with an unquoted {c}, it does not keep it: put the value in single quotes"
                ));
            }
            '{' | '}' => {
                return surprise(format!(
                    "an unquoted {c} is reserved in PHP: put the value in single quotes"
                ));
            }
            '=' => {
                return surprise(
                    "an unquoted = in a value is an error in PHP: put the value in single quotes",
                );
            }
            '$' if ahead.starts_with('{') => return surprise(INTERPOLATION),
            // PHP includes the character after a bare $, even the beginning of a comment or the end of
            // the line.
            '$' if ahead.is_empty() || ahead.starts_with(DOLLAR_EATS) => {
                return surprise("PHP misreads an unquoted $ here: put the value in single quotes");
            }
            _ => {}
        }
    }
    let (value, left) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let value = value.trim_end_matches(BLANKS);
    invisible_edges(value)?;
    let mut words = value.split(BLANKS).filter(|word| !word.is_empty());
    if let (Some(word), None) = (words.next(), words.next())
        && let Some(replaced) = reserved(word)
    {
        return Ok((replaced.to_owned(), left));
    }
    for word in value.split(BLANKS) {
        if reserved(word).is_some() {
            return surprise(format!(
                "the unquoted word {word} beside other text is an error in PHP: put the value in quotes"
            ));
        }
        if is_constant(word) {
            return surprise(format!(
                "unquoted, {word} is the name of a PHP constant and PHP puts its value there: \
                 put it in quotes"
            ));
        }
    }
    Ok((value.to_owned(), left))
}

const DOLLAR_EATS: [char; 14] = [' ', '\t', ';', '=', '\'', '"', '|', '&', '^', '~', '!', '(', ')', '\\'];

/// Refuses invisible characters at either end of an unquoted value: some editors and input methods insert
/// them.
fn invisible_edges(value: &str) -> Result<(), Surprise> {
    for edge in [value.chars().next(), value.chars().next_back()].into_iter().flatten() {
        if edge.is_whitespace() || edge.is_control() || edge == '\u{feff}' || edge == '\u{200b}' {
            return surprise(format!(
                "an invisible character (U+{:04X}) stands at the edge of the value: \
                 remove it, or put the value in quotes",
                u32::from(edge)
            ));
        }
        if matches!(edge, '‘' | '’' | '“' | '”' | '＇' | '＂' | '´') {
            return surprise(format!(
                "{edge} is a typographic quote and part of the value: use the plain quote '"
            ));
        }
    }
    Ok(())
}

/// The prefixes of constants of PHP and its usual extensions.
const FAMILIES: &str = "E_ PHP_ M_ ZEND_ INI_ SORT_ SEEK_ LOCK_ FILTER_ STREAM_ PREG_ PCRE_ JSON_ LC_ ENT_ \
    PATHINFO_ EXTR_ CREDITS_ CRYPT_ PASSWORD_ SODIUM_ OPENSSL_ MHASH_ POSIX_ ZLIB_ PCNTL_ LIBXML_ SOCKET_ \
    DATE_ SWOOLE_ CURL_ CURLOPT_ PEAR_ SIG_";

/// Constants of PHP whose prefixes (`LOG_`, `SIG`) also begin other words, so that only whole names are
/// matched.
const CONSTANTS: &str = "LOG_EMERG LOG_ALERT LOG_CRIT LOG_ERR LOG_WARNING LOG_NOTICE LOG_INFO LOG_DEBUG \
    LOG_KERN LOG_USER LOG_MAIL LOG_DAEMON LOG_AUTH LOG_SYSLOG LOG_CRON LOG_PID LOG_CONS LOG_LOCAL0 \
    LOG_LOCAL1 LOG_LOCAL2 LOG_LOCAL3 LOG_LOCAL4 LOG_LOCAL5 LOG_LOCAL6 LOG_LOCAL7 DIRECTORY_SEPARATOR \
    PATH_SEPARATOR DEFAULT_INCLUDE_PATH COUNT_NORMAL COUNT_RECURSIVE FILE_APPEND FILE_TEXT FILE_BINARY \
    SIGTERM SIGKILL SIGHUP SIGINT SIGQUIT SIGUSR1 SIGUSR2 STDIN STDOUT STDERR";

fn is_constant(word: &str) -> bool {
    let longer = |family: &str| word.strip_prefix(family).is_some_and(|rest| !rest.is_empty());
    word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && (CONSTANTS.split(' ').any(|constant| constant == word) || FAMILIES.split(' ').any(longer))
}

/// Writes any text without line breaks so that [`meaning`] gives it back.
pub fn quote(text: &str) -> String {
    if !text.contains('\'') {
        format!("'{text}'")
    } else if !text.contains(['"', '\\', '$']) {
        format!("\"{text}\"")
    } else {
        // No single pair of quotes can hold this text. PHP joins pieces that follow each other without
        // a gap.
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// This file was made with PHP 8.2; it explains its signs itself.
    const PHP_VALUES: &str = include_str!("../../tests/inv/php-values.txt");

    fn read(rest: &str) -> Result<String, Surprise> {
        cut(rest).and_then(meaning)
    }

    #[test]
    fn values_mean_what_they_mean_to_php() {
        let mut raw = "";
        let mut compared = 0;
        for line in PHP_VALUES.lines() {
            match (line.get(..1), line.get(1..)) {
                (Some("<"), Some(rest)) => raw = rest,
                (Some(">"), Some(php)) => {
                    assert_eq!(read(raw), Ok(php.to_owned()), "{raw}");
                    compared += 1;
                }
                (Some("~" | "!"), Some(php)) => {
                    assert!(read(raw).is_err(), "{raw}, to PHP {php}");
                    compared += 1;
                }
                _ => {}
            }
        }
        assert_eq!(compared, 420);
    }

    #[test]
    fn comments_end_values_outside_quotes() {
        for (rest, value) in [
            (" 'a;b' ; c", "'a;b'"),
            ("\"a;b\";c", "\"a;b\""),
            (" a ;b", "a"),
            (";b", ""),
            ("", ""),
            (" 'a' 'b'  ", "'a' 'b'"),
            ("a#b", "a#b"),
        ] {
            assert_eq!(cut(rest), Ok(value), "{rest}");
        }
    }

    #[test]
    fn only_an_open_quote_is_open() {
        assert_eq!(read("'a").unwrap_err().open, Some('\''));
        assert_eq!(read("\"a\\\"").unwrap_err().open, Some('"'));
        assert_eq!(read("a'b").unwrap_err().open, None);
    }

    proptest! {
        #[test]
        fn any_text_quoted_is_itself(text in "[^\r\n\0]*") {
            prop_assert_eq!(read(&quote(&text)), Ok(text));
        }

        #[test]
        fn quotes_and_escapes_quoted_are_themselves(text in "['\"\\\\$ {};#=a]{0,12}") {
            prop_assert_eq!(read(&quote(&text)), Ok(text.clone()));
            let with_comment = format!("  {} ; 'c", quote(&text));
            prop_assert_eq!(read(&with_comment), Ok(text));
        }

        #[test]
        fn cutting_keeps_the_meaning(rest in "['\"\\\\$ {};#=a1-]{0,16}") {
            if let Ok(value) = cut(&rest) {
                let again = cut(value);
                prop_assert_eq!(again, Ok(value));
                prop_assert!(meaning(value).is_ok());
            }
        }
    }
}
