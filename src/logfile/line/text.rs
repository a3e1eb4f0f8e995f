//! Bytes, JSON strings, base64 and numbers, appended to a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A multiple of three, so that no padding is between two pieces.
pub(super) const BASE64_PIECE_BYTES: usize = 3 << 10;

/// The bytes with `\n`, `\r` and `\\` in place of newline, carriage return and backslash.
pub(super) fn escape_newlines(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r' | b'\\')) {
        match piece.split_last() {
            Some((b'\n', plain)) => escape(out, plain, b'n'),
            Some((b'\r', plain)) => escape(out, plain, b'r'),
            Some((b'\\', plain)) => escape(out, plain, b'\\'),
            _ => out.extend_from_slice(piece),
        }
    }
}

fn escape(out: &mut Vec<u8>, plain: &[u8], sign: u8) {
    out.extend_from_slice(plain);
    out.extend_from_slice(&[b'\\', sign]);
}

/// A JSON string, `null`, or `{"base64":"…"}` for bytes that are not UTF-8.
pub(super) fn json_value(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => out.extend_from_slice(b"null"),
        Some((_, Ok(text))) => string(out, text, Escape::Json),
        Some((bytes, Err(_))) => {
            out.extend_from_slice(b"{\"base64\":");
            base64(out, bytes);
            out.push(b'}');
        }
    }
}

/// Completes a name whose quotation mark is still open: `":"text"` or `_base64":"…"`.
pub(super) fn text_or_base64(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(b"\":");
            string(out, text, escape);
        }
        Err(_) => {
            out.extend_from_slice(b"_base64\":");
            base64(out, bytes);
        }
    }
}

/// A JSON string. Bytes that are not UTF-8 are replaced.
pub(super) fn text_of(out: &mut Vec<u8>, bytes: &[u8]) {
    string(out, &String::from_utf8_lossy(bytes), Escape::Json);
}

/// In pieces, so that no second copy of a large value is in memory.
pub(super) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for piece in bytes.chunks(BASE64_PIECE_BYTES) {
        out.extend_from_slice(STANDARD.encode(piece).as_bytes());
    }
    out.push(b'"');
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// Only the escapes that RFC 8259 requires.
    Json,
    /// The default escapes of PHP, which include `\/`, and `\uXXXX` for all that is not ASCII.
    Php,
}

pub(super) fn string(out: &mut Vec<u8>, text: &str, escape: Escape) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| needs_escape(byte, escape)) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = from.chars();
        if let Some(special) = chars.next() {
            escaped(out, special);
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

fn needs_escape(byte: u8, escape: Escape) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20) || escape == Escape::Php && (byte == b'/' || byte >= 0x80)
}

fn escaped(out: &mut Vec<u8>, special: char) {
    let short = match special {
        '"' => b'"',
        '\\' => b'\\',
        '/' => b'/',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        _ => {
            for unit in special.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Decimal digits, without an allocation.
pub(super) fn number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
