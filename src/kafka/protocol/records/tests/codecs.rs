//! Variants of the compressed formats that the usual producers do not write.

use super::*;

/// A batch with these bytes as its compressed records.
fn batch(number: i16, count: i64, packed: &[u8]) -> Vec<u8> {
    let mut batch = Batch::of(Codec::None, &records(0, count));
    batch.attributes = number;
    batch.bytes_of(packed)
}

fn plain(count: i64) -> Vec<u8> {
    Batch::of(Codec::None, &records(0, count)).records
}

fn whole(number: i16, count: i64, packed: &[u8]) {
    assert_eq!(all(&batch(number, count, packed), 0), records(0, count));
}

fn fault(number: i16, count: i64, packed: &[u8]) -> String {
    read(&batch(number, count, packed), 0, None).1.unwrap_err().why.to_string()
}

/// Compresses each half as a stream of its own.
fn halves(codec: Codec, plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (one, other) = plain.split_at(plain.len() / 2);
    (codec.compress(one), codec.compress(other))
}

#[test]
fn concatenated_streams_are_read_as_one() {
    let plain = plain(40);
    for codec in [Codec::Gzip, Codec::Xerial(1), Codec::Lz4, Codec::Lz4Linked, Codec::Zstd] {
        let (one, other) = halves(codec, &plain);
        let empty = codec.compress(b"");
        whole(i16::from(codec.number()), 40, &[one, empty, other].concat());
    }
}

#[test]
fn skippable_frames_are_skipped() {
    let skip = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let plain = plain(40);
    for codec in [Codec::Lz4, Codec::Zstd] {
        let (one, other) = halves(codec, &plain);
        let packed = [skip.clone(), one, skip.clone(), other, skip.clone()].concat();
        whole(i16::from(codec.number()), 40, &packed);
    }
}

#[test]
fn batches_larger_than_the_window_are_read_whole() {
    // Three MiB: one record of two MiB among small ones.
    let mut large = records(0, 6_000);
    large[3_000].value =
        Some((0..2 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect());
    for magic in [0, 1, 2] {
        for codec in CODECS {
            if codec == Codec::Lz4Old && magic > 0 {
                continue;
            }
            let expected: Vec<Seen> = large.iter().map(|one| in_format(magic, one)).collect();
            let set = stored(magic, codec, &large);
            assert!(all(&set, 0) == expected, "format {magic}, {codec:?}");
            assert!(all(&set, 2_999) == expected[2_999..], "format {magic}, {codec:?}");
        }
    }
}

#[test]
fn gzip_headers_with_every_optional_field_are_read() {
    let mut made = flate2::GzBuilder::new().filename("name").comment("words").extra(vec![1, 2, 3]).mtime(9);
    made = made.operating_system(3);
    let mut out = made.write(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut out, &plain(30)).unwrap();
    let mut packed = out.finish().unwrap();
    whole(1, 30, &packed);
    // Zeros after the stream are padding.
    packed.extend([0; 9]);
    whole(1, 30, &packed);
    packed.truncate(packed.len() - 9);
    let at = packed.len() - 5;
    packed[at] ^= 1;
    assert_eq!(fault(1, 30, &packed), "the checksum does not match the content");
}

#[test]
fn lz4_checksums_of_header_and_content_are_verified() {
    let mut packed = Codec::Lz4.compress(&plain(30));
    packed[6] ^= 0x10;
    assert_eq!(fault(3, 30, &packed), "lz4: the checksum of the header does not match");
    let mut linked = Codec::Lz4Linked.compress(&plain(30));
    let last = linked.len() - 1;
    linked[last] ^= 1;
    assert_eq!(fault(3, 30, &linked), "the checksum does not match the content");
}

#[test]
fn truncated_or_damaged_streams_are_refused() {
    let mut scratch = Scratch::default();
    let plain = plain(120);
    for codec in CODECS.into_iter().filter(|codec| !matches!(codec, Codec::None | Codec::Lz4Old)) {
        let packed = codec.compress(&plain);
        let number = i16::from(codec.number());
        for cut in (0..packed.len()).step_by(97) {
            let (seen, done) = read_with(&batch(number, 120, &packed[..cut]), 0, None, &mut scratch);
            let broken = done.unwrap_err();
            assert_eq!(broken.next, seen.len() as i64, "what came is not asked for again");
            assert_eq!(seen, records(0, seen.len() as i64));
        }
        let mut damaged = packed.clone();
        damaged[packed.len() / 2] ^= 0xff;
        drop(read_with(&batch(number, 120, &damaged), 0, None, &mut scratch));
        let (seen, done) = read_with(&batch(number, 120, &packed), 0, None, &mut scratch);
        assert_eq!((seen.len(), done), (120, Ok(120)), "{codec:?}");
    }
}

/// The zstd tool compresses at levels up to 22, whose frames ask for windows of up to 128 MiB.
#[test]
fn zstd_of_every_level_is_read() {
    let plain = plain(8_000);
    for level in ["-1", "-3", "-9", "-19", "--ultra -22 --long=27"] {
        let Some(packed) = zstd_tool(level, &plain) else {
            println!("NO zstd HERE: only what this repository's encoder makes was read");
            return;
        };
        whole(4, 8_000, &packed);
    }
}

/// Compresses from a pipe, so that the size is not known in advance.
fn zstd_tool(level: &str, plain: &[u8]) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let mut tool = Command::new("zstd");
    tool.args(["-c", "-q"]).args(level.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = tool.spawn().ok()?;
    let mut to = running.stdin.take().unwrap();
    let plain = plain.to_vec();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut to, &plain));
    let ran = running.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(ran.status.success());
    Some(ran.stdout)
}
