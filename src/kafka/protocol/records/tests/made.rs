//! Makes record sets, valid ones and, on request, invalid ones. It follows Kafka's protocol guide
//! and shares no code with the decoder.

use std::io::Write as _;

use super::Seen;

/// The codecs by number, and how a stream of each is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    /// With the framing of snappy-java, in blocks of this many KiB.
    Xerial(usize),
    SnappyRaw,
    Lz4,
    /// Linked blocks, each of which refers to those before it, with all checksums.
    Lz4Linked,
    /// With the header's checksum as Kafka computed it before 0.10.
    Lz4Old,
    Zstd,
}

pub(super) const CODECS: [Codec; 8] = [
    Codec::None,
    Codec::Gzip,
    Codec::Xerial(32),
    Codec::SnappyRaw,
    Codec::Lz4,
    Codec::Lz4Linked,
    Codec::Lz4Old,
    Codec::Zstd,
];

impl Codec {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Xerial(_) | Self::SnappyRaw => 2,
            Self::Lz4 | Self::Lz4Linked | Self::Lz4Old => 3,
            Self::Zstd => 4,
        }
    }

    pub(super) fn compress(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::None => plain.to_vec(),
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            Self::Xerial(block) => {
                let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
                for block in plain.chunks(block << 10) {
                    let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                    out.extend((block.len() as i32).to_be_bytes());
                    out.extend(block);
                }
                out
            }
            Self::SnappyRaw => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
            Self::Lz4 => lz4(plain, lz4_flex::frame::BlockMode::Independent, false),
            Self::Lz4Linked => lz4(plain, lz4_flex::frame::BlockMode::Linked, true),
            Self::Lz4Old => {
                let mut out = lz4(plain, lz4_flex::frame::BlockMode::Independent, false);
                out[6] = (twox_hash::XxHash32::oneshot(0, &out[..6]) >> 8) as u8;
                out
            }
            Self::Zstd => {
                ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
            }
        }
    }
}

fn lz4(plain: &[u8], mode: lz4_flex::frame::BlockMode, checksums: bool) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(mode)
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_checksums(checksums)
        .content_checksum(checksums);
    let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

/// A record to be written.
pub(super) fn record(offset: i64, key: Option<&str>, value: Option<&str>) -> Seen {
    let own = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    Seen {
        offset,
        timestamp: Some(1_700_000_000_000 + offset),
        append_time: false,
        key: own(key),
        value: own(value),
        headers: Some(Vec::new()),
    }
}

/// So many different records from this offset on.
pub(super) fn records(from: i64, count: i64) -> Vec<Seen> {
    let one =
        |offset| record(offset, Some(&format!("k{offset}")), Some(&format!("value {offset} ").repeat(12)));
    (from..from + count).map(one).collect()
}

/// A batch of format 2.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) base: i64,
    /// The last offset delta in the header; by default that of the last record.
    pub(super) last_delta: i32,
    pub(super) codec: Codec,
    /// Attributes beside the codec.
    pub(super) attributes: i16,
    pub(super) first_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer: i64,
    pub(super) count: i32,
    pub(super) records: Vec<u8>,
}

pub(super) fn varint(value: i64) -> Vec<u8> {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    let mut out = Vec::new();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

fn field(bytes: Option<&[u8]>) -> Vec<u8> {
    let mut out = varint(bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend(bytes.unwrap_or_default());
    out
}

/// The bytes of a record in a batch.
pub(super) fn in_batch(base: i64, first_timestamp: i64, record: &Seen) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(varint(record.timestamp.unwrap().wrapping_sub(first_timestamp)));
    body.extend(varint(record.offset - base));
    body.extend(field(record.key.as_deref()));
    body.extend(field(record.value.as_deref()));
    let headers = record.headers.as_deref().unwrap_or_default();
    body.extend(varint(headers.len() as i64));
    for (name, value) in headers {
        body.extend(field(Some(name)));
        body.extend(field(value.as_deref()));
    }
    let mut out = varint(body.len() as i64);
    out.extend(body);
    out
}

impl Batch {
    pub(super) fn of(codec: Codec, records: &[Seen]) -> Self {
        let base = records.first().map_or(0, |first| first.offset);
        let first_timestamp = records.first().and_then(|first| first.timestamp).unwrap_or(-1);
        Self {
            base,
            last_delta: records.last().map_or(0, |last| (last.offset - base) as i32),
            codec,
            attributes: 0,
            first_timestamp,
            max_timestamp: records.iter().filter_map(|one| one.timestamp).max().unwrap_or(-1),
            producer: -1,
            count: records.len() as i32,
            records: records.iter().flat_map(|one| in_batch(base, first_timestamp, one)).collect(),
        }
    }

    pub(super) fn transactional(mut self, producer: i64) -> Self {
        self.attributes |= 16;
        self.producer = producer;
        self
    }

    /// The marker that ends a producer's transaction: 0 is an abort, 1 a commit.
    pub(super) fn marker(offset: i64, producer: i64, kind: i16) -> Self {
        let mut marker = record(offset, None, Some("\0\0\0\0\0\0"));
        marker.key = Some([&[0, 0][..], &kind.to_be_bytes()].concat());
        let mut batch = Self::of(Codec::None, &[marker]).transactional(producer);
        batch.attributes |= 32;
        batch
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes_of(&self.codec.compress(&self.records))
    }

    /// The batch with these bytes in place of its records.
    pub(super) fn bytes_of(&self, packed: &[u8]) -> Vec<u8> {
        let mut checked = (self.attributes | i16::from(self.codec.number())).to_be_bytes().to_vec();
        checked.extend(self.last_delta.to_be_bytes());
        checked.extend(self.first_timestamp.to_be_bytes());
        checked.extend(self.max_timestamp.to_be_bytes());
        checked.extend(self.producer.to_be_bytes());
        checked.extend([0, 0, 0, 0, 0, 0]);
        checked.extend(self.count.to_be_bytes());
        checked.extend(packed);
        let mut out = self.base.to_be_bytes().to_vec();
        out.extend((checked.len() as i32 + 9).to_be_bytes());
        out.extend([0, 0, 0, 7, 2]);
        out.extend(crc32c::crc32c(&checked).to_be_bytes());
        out.extend(checked);
        out
    }
}

/// A message of format 0 or 1 at this offset, which may be relative.
pub(super) fn message(
    magic: u8,
    attributes: u8,
    offset: i64,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Vec<u8> {
    let mut checked = vec![magic, attributes];
    if magic > 0 {
        checked.extend(timestamp.to_be_bytes());
    }
    for field in [key, value] {
        checked.extend(field.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
        checked.extend(field.unwrap_or_default());
    }
    let mut out = offset.to_be_bytes().to_vec();
    out.extend((checked.len() as i32 + 4).to_be_bytes());
    out.extend(crc32fast::hash(&checked).to_be_bytes());
    out.extend(checked);
    out
}

/// What the decoder must deliver of a record that was stored in this format.
pub(super) fn in_format(magic: u8, record: &Seen) -> Seen {
    let timestamp = record.timestamp.filter(|_| magic > 0);
    let headers = record.headers.clone().filter(|_| magic == 2);
    Seen { timestamp, headers, ..record.clone() }
}

/// Records as uncompressed messages of format 0 or 1.
pub(super) fn messages(magic: u8, records: &[Seen]) -> Vec<u8> {
    let one = |one: &Seen| {
        message(magic, 0, one.offset, one.timestamp.unwrap(), one.key.as_deref(), one.value.as_deref())
    };
    records.iter().flat_map(one).collect()
}

/// Records in a wrapper; `attributes` beside the codec, `timestamp` the wrapper's.
pub(super) fn wrapper(magic: u8, codec: Codec, attributes: u8, timestamp: i64, records: &[Seen]) -> Vec<u8> {
    let base = if magic == 0 { 0 } else { records[0].offset };
    let relative: Vec<Seen> =
        records.iter().map(|one| Seen { offset: one.offset - base, ..one.clone() }).collect();
    let packed = codec.compress(&messages(magic, &relative));
    let last = records.last().unwrap().offset;
    message(magic, attributes | codec.number(), last, timestamp, None, Some(&packed))
}

/// Records in this format, compressed by this codec, or by none.
pub(super) fn stored(magic: u8, codec: Codec, records: &[Seen]) -> Vec<u8> {
    match (magic, codec) {
        (2, _) => Batch::of(codec, records).bytes(),
        (_, Codec::None) => messages(magic, records),
        _ => wrapper(magic, codec, 0, 0, records),
    }
}
