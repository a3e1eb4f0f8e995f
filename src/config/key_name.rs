//! The text before `=`: `a`, `a['b']`, `a["b"]` or `a[b]`. The last three are the same key.
//!
//! The canonical form is `a['b']`, as the original writes it.

use super::value::{BLANKS, reserved};

/// The canonical form of a key, or a sentence that says what is wrong with the text.
pub fn canonical(written: &str) -> Result<String, String> {
    let written = written.trim_matches(BLANKS);
    let Some((base, rest)) = written.split_once('[') else {
        return base_name(written).map(str::to_owned);
    };
    let base = base_name(base.trim_end_matches(BLANKS))?;
    let Some(inner) = rest.strip_suffix(']') else {
        return Err(if rest.contains(']') {
            "text follows the closing ] of the key: write a['b']".into()
        } else {
            "the [ of the key has no closing ]: write a['b']".into()
        });
    };
    let inner = inner.trim_matches(BLANKS);
    if inner.is_empty() {
        return Err("PHP counts up under [], a name is expected there: write a['b']".into());
    }
    if inner.contains(['[', ']']) {
        return Err("PHP knows no key within a key: write a['b']".into());
    }
    let sub = ['\'', '"']
        .into_iter()
        .find_map(|quote| inner.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(inner);
    if sub.is_empty() || sub.contains(['\'', '"']) {
        return Err("the quotes within [ ] are not in order: write a['b']".into());
    }
    Ok(format!("{base}['{sub}']"))
}

fn base_name(base: &str) -> Result<&str, String> {
    if base.is_empty() {
        return Err("nothing stands before the =, a key is expected".into());
    }
    if reserved(base).is_some() {
        return Err(format!("{base} is a reserved word in PHP and cannot be a key"));
    }
    if let Some(c) = base
        .chars()
        .find(|c| c.is_control() || "{}|&~!()^\"']".contains(*c) || (c.is_whitespace() && *c != ' '))
    {
        return Err(format!("the key holds {}, which a key cannot hold", c.escape_debug()));
    }
    Ok(base)
}
