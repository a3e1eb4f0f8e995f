//! The header of a half: which generation the half is, and what a reader must know.
//!
//! ```text
//! magic 8 | version 2 | identity 16 | generation 8 | CRC 4 | base 8 | features 4 | CRC 4
//! ```
//!
//! In version 3 the header stands twice, at byte 0 and at byte 64, so that one damaged byte does not hide
//! the half. Versions 1 and 2 have it once, up to the first CRC. So a pandad that knows only these versions
//! can read the version number, and refuses the journal instead of taking it for an unreadable one.

const MAGIC: &[u8; 8] = b"pandadjl";
/// The version of the format that is written. A later version is refused.
pub(super) const FORMAT_VERSION: u16 = 3;
/// The size of both copies together.
pub(super) const HALF_HEADER_BYTES: u64 = 128;
const COPY_BYTES: usize = 64;
const CRC_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HalfHeader {
    pub(super) version: u16,
    pub(super) identity: u128,
    pub(super) generation: u64,
    /// Where the half's snapshot ends, including its mark. 0 if that is not known.
    pub(super) base: u64,
    /// One bit for each property of the half that a reader must know. This pandad knows none: it refuses a
    /// half with any bit set, as it refuses a later version.
    pub(super) features: u32,
}

impl HalfHeader {
    /// Both copies.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES);
        copy.extend_from_slice(MAGIC);
        copy.extend_from_slice(&self.version.to_be_bytes());
        copy.extend_from_slice(&self.identity.to_be_bytes());
        copy.extend_from_slice(&self.generation.to_be_bytes());
        copy.extend_from_slice(&crc32fast::hash(&copy).to_be_bytes());
        copy.extend_from_slice(&self.base.to_be_bytes());
        copy.extend_from_slice(&self.features.to_be_bytes());
        copy.extend_from_slice(&crc32fast::hash(&copy).to_be_bytes());
        copy.resize(COPY_BYTES, 0);
        copy.repeat(2)
    }

    /// The header of a half, if one of its copies is whole.
    pub(super) fn read(half: &[u8]) -> Option<Self> {
        let second = half.get(COPY_BYTES..).and_then(Self::read_copy);
        Self::read_copy(half).or(second.filter(|header| header.version >= 3))
    }

    fn read_copy(bytes: &[u8]) -> Option<Self> {
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
        (magic == MAGIC && whole).then(|| Self {
            version,
            identity: u128::from_be_bytes(*identity),
            generation: u64::from_be_bytes(*generation),
            base: u64::from_be_bytes(base),
            features: u32::from_be_bytes(features),
        })
    }

    /// Whether only a later pandad may read the half.
    pub(super) fn is_later(&self) -> bool {
        self.version > FORMAT_VERSION || self.features != 0
    }
}

/// Whether this is the CRC of all bytes except the last `without`.
fn is_crc_of(bytes: &[u8], without: usize, crc: [u8; CRC_BYTES]) -> Option<bool> {
    let covered = bytes.get(..bytes.len().checked_sub(without)?)?;
    Some(crc32fast::hash(covered) == u32::from_be_bytes(crc))
}
