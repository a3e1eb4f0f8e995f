//! Finds out which files of one name are copies: gzip keeps both for a moment or for ever, and files are
//! copied to archives. A file that got late lines after its former one was compressed or moved is no copy.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;

use super::LogPart;

/// How much of each file is compared at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Which of two files goes on where the other one ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Longer {
    First,
    Second,
}

/// Of files with the same name of which one begins with the other, only the longer one. What the journal
/// knows stays, and comes first.
pub(super) fn without_copies(parts: Vec<LogPart>) -> Vec<LogPart> {
    let mut kept: Vec<LogPart> = Vec::with_capacity(parts.len());
    let mut named: HashMap<PathBuf, Vec<usize>> = HashMap::new();
    for part in parts {
        let same = named.entry(part.key.clone()).or_default();
        let found = same.iter().find_map(|at| {
            let longer = compared(kept.get(*at)?, &part)?;
            Some((*at, longer))
        });
        match found.and_then(|(at, longer)| Some((kept.get_mut(at)?, longer))) {
            None => {
                same.push(kept.len());
                kept.push(part);
            }
            Some((known, Longer::Second)) if !known.is_known => *known = part,
            Some(_) => {}
        }
    }
    kept
}

/// `None`: neither begins with the other, or one cannot be opened.
fn compared(first: &LogPart, second: &LogPart) -> Option<Longer> {
    let (mut one, mut other) = (first.open().ok()?, second.open().ok()?);
    let (mut here, mut there) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let one_read = fill(&mut one, &mut here);
        let other_read = fill(&mut other, &mut there);
        let both = one_read.min(other_read);
        if here.get(..both) != there.get(..both) {
            return None;
        }
        if one_read != other_read || both < PIECE_BYTES {
            return Some(if other_read > one_read { Longer::Second } else { Longer::First });
        }
    }
}

/// Fills the piece up to the end of the text. What follows cannot be read while gzip is at work on it.
fn fill(reader: &mut impl Read, piece: &mut [u8]) -> usize {
    let mut filled = 0;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    filled
}
