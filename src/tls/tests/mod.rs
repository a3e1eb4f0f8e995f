//! Published vectors, right and wrong signatures, and handshakes with a server in the process.

mod handshakes;
mod hostile;
mod keys;
mod peer;
mod published;
mod records;
mod wycheproof_ciphers;
mod wycheproof_exchange;
mod wycheproof_signatures;

/// Bytes from hexadecimal digits; blanks are left out.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(16)).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}
