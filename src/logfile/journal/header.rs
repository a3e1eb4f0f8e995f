//! The header of a half: which generation the half is, and what a reader must know.
//!
//! ```text
//! magic 8 | version 2 | identity 16 | generation 8 | CRC 4 | base 8 | features 4 | CRC 4 | note 4 | CRC 4
//! ```
//!
//! In version 3 the header stands twice, at byte 0 and at byte 64, so that one damaged byte does not hide
//! the half. Versions 1 and 2 have it once, up to the first CRC. So a pandad that knows only these versions
//! can read the version number, and refuses the journal instead of taking it for an unreadable one.
//!
//! The note is the length of a half, and in its lowest bit whether the other half has followed. It
//! tells a journal that was cut off, or has lost its newest half, from an older one. It is written
//! once more when the other half is in force, so it has a CRC of its own, of bytes 0 to 34 and the
//! note.

#[cfg(test)]
mod tests;

/// The journal has several files: ranges and marks say which of these they mean.
pub(super) const FEATURE_FILES: u32 = 1;
/// Another journal has taken over this one. A header with this feature has version [`TAKEN_OVER_VERSION`],
/// and the identity of the other journal.
const FEATURE_TAKEN_OVER: u32 = 2;
/// A version that no journal is written in, so that every older pandad refuses what was taken over.
const TAKEN_OVER_VERSION: u16 = 4;
const MAGIC: &[u8; 8] = b"pandadjl";
/// The version of the format that is written. A later version is refused.
pub(super) const FORMAT_VERSION: u16 = 3;
/// The size of both copies together.
pub(super) const HALF_HEADER_BYTES: u64 = 128;
const COPY_BYTES: usize = 64;
const CRC_BYTES: usize = 4;
/// What all versions begin with, up to the first CRC.
const COMMON_BYTES: usize = 34;
const NOTE_AT: usize = 54;
const NOTE_BYTES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HalfHeader {
    pub(super) version: u16,
    pub(super) identity: u128,
    pub(super) generation: u64,
    /// Where the half's snapshot ends, including its mark. 0 if that is not known.
    pub(super) base: u64,
    /// One bit for each property of the half that a reader must know. A half with a bit that is not known is
    /// refused, as a later version is.
    pub(super) features: u32,
    /// The length of a half in bytes. 0 if it is not known: versions 1 and 2 do not say it.
    pub(super) half: u64,
    /// Whether the other half has been in force later.
    pub(super) is_followed: bool,
}

impl HalfHeader {
    /// The header of a journal that this other one has taken over.
    pub(super) fn taken_over(by: u128, half: u64) -> Self {
        Self {
            version: TAKEN_OVER_VERSION,
            identity: by,
            generation: 0,
            base: 0,
            features: FEATURE_TAKEN_OVER,
            half,
            is_followed: false,
        }
    }

    /// Both copies.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut copy = self.common_bytes();
        copy.extend_from_slice(&crc32fast::hash(&copy).to_be_bytes());
        copy.extend_from_slice(&self.base.to_be_bytes());
        copy.extend_from_slice(&self.features.to_be_bytes());
        copy.extend_from_slice(&crc32fast::hash(&copy).to_be_bytes());
        let note = self.note(&copy);
        copy.extend_from_slice(&note);
        copy.resize(COPY_BYTES, 0);
        copy.repeat(2)
    }

    /// The note, and where in the half it stands.
    pub(super) fn notes(&self) -> Vec<(u64, [u8; NOTE_BYTES])> {
        let note = self.note(&self.common_bytes());
        // In the first two versions, entries stand where the second copy would be.
        let copies = if self.version < 3 { &[0][..] } else { &[0, COPY_BYTES][..] };
        copies.iter().map(|copy| ((copy + NOTE_AT) as u64, note)).collect()
    }

    fn note(&self, header: &[u8]) -> [u8; NOTE_BYTES] {
        // A length that does not fit is noted as not known. Lengths are even.
        let note = (u32::try_from(self.half).unwrap_or(0) | u32::from(self.is_followed)).to_be_bytes();
        let mut both = [0; NOTE_BYTES];
        let (first, second) = both.split_at_mut(4);
        first.copy_from_slice(&note);
        second.copy_from_slice(&note_crc(header, note).to_be_bytes());
        both
    }

    fn common_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(COPY_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.identity.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes
    }

    /// The header of a half, if one of its copies is whole. Each copy may have a note.
    pub(super) fn read(half: &[u8]) -> Option<Self> {
        let second = half.get(COPY_BYTES..).and_then(Self::read_copy).filter(|header| header.version >= 3);
        match (Self::read_copy(half), second) {
            // A header that was overwritten when the power failed may be left in one of the copies.
            (Some(first), Some(second)) if first.generation == second.generation => Some(Self {
                half: first.half.max(second.half),
                is_followed: first.is_followed || second.is_followed,
                ..first
            }),
            (first, second) => first.or(second),
        }
    }

    /// The header in a copy. The first two versions have only the first copy.
    pub(super) fn read_copy(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (identity, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let version = u16::from_be_bytes(*version);
        let (crc, mut rest) = rest.split_first_chunk()?;
        let mut whole = is_crc_of(bytes, rest.len() + CRC_BYTES, *crc)?;
        let (mut base, mut features) = ([0; 8], [0; 4]);
        if version >= 3 {
            let (first, second, last);
            (first, rest) = rest.split_first_chunk()?;
            (second, rest) = rest.split_first_chunk()?;
            (last, rest) = rest.split_first_chunk()?;
            (base, features) = (*first, *second);
            whole &= is_crc_of(bytes, rest.len() + CRC_BYTES, *last)?;
        }
        let (half, is_followed) = read_note(bytes).unwrap_or_default();
        (magic == MAGIC && whole).then(|| Self {
            version,
            identity: u128::from_be_bytes(*identity),
            generation: u64::from_be_bytes(*generation),
            base: u64::from_be_bytes(base),
            features: u32::from_be_bytes(features),
            half,
            is_followed,
        })
    }

    /// Whether another journal has taken over this one.
    pub(super) fn is_taken_over(&self) -> bool {
        self.features & FEATURE_TAKEN_OVER != 0
    }

    /// Whether only a later pandad may read the half.
    pub(super) fn is_later(&self) -> bool {
        self.version > FORMAT_VERSION || self.features & !FEATURE_FILES != 0
    }
}

fn note_crc(header: &[u8], note: [u8; 4]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..COMMON_BYTES).unwrap_or_default());
    hasher.update(&note);
    hasher.finalize()
}

/// The note of a copy, if there is one.
fn read_note(copy: &[u8]) -> Option<(u64, bool)> {
    let (note, rest) = copy.get(NOTE_AT..)?.split_first_chunk::<4>()?;
    let (crc, _) = rest.split_first_chunk()?;
    let number = u32::from_be_bytes(*note);
    (note_crc(copy, *note) == u32::from_be_bytes(*crc)).then_some((u64::from(number & !1), number & 1 != 0))
}

/// Whether this is the CRC of all bytes except the last `without`.
fn is_crc_of(bytes: &[u8], without: usize, crc: [u8; CRC_BYTES]) -> Option<bool> {
    let covered = bytes.get(..bytes.len().checked_sub(without)?)?;
    Some(crc32fast::hash(covered) == u32::from_be_bytes(crc))
}
