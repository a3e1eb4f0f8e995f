//! Fields are read as they were written, and lengths beyond the frame are refused.

use super::*;

#[test]
fn fields_are_read_as_they_were_written() {
    let mut writer = WireWriter::default();
    writer.bool(true);
    writer.i16(-2);
    writer.i32(i32::MIN);
    writer.i64(i64::MAX);
    writer.string("ü");
    writer.nullable_string(None);
    writer.bytes(&[7, 8]);
    writer.i32(-1);
    writer.list([1, 2, 3].into_iter(), WireWriter::i64);
    let bytes = writer.finish().unwrap();
    let mut reader = WireReader::new(&bytes);
    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.i16(), Ok(-2));
    assert_eq!(reader.i32(), Ok(i32::MIN));
    assert_eq!(reader.i64(), Ok(i64::MAX));
    assert_eq!(reader.string(), Ok("ü"));
    assert_eq!(reader.nullable_string(), Ok(None));
    assert_eq!(reader.nullable_bytes(), Ok(Some([7, 8].as_slice())));
    assert_eq!(reader.nullable_bytes(), Ok(None));
    assert_eq!(reader.list(8, WireReader::i64), Ok(vec![1, 2, 3]));
    assert_eq!(reader.end(), Ok(()));
}

#[test]
fn byte_ranges_count_from_the_start_of_the_frame() {
    let frame = [1, 0, 0, 0, 2, b'a', b'b', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9];
    let mut reader = WireReader::new(&frame);
    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.bytes_range(), Ok(5..7));
    assert_eq!(reader.bytes_range(), Ok(11..11));
    assert!(reader.bytes_range().is_err());
    let mut reader = WireReader::new(&[0xff; 4]);
    assert_eq!(reader.nullable_list(1, WireReader::bool), Ok(None));
    assert_eq!(reader.end(), Ok(()));
    assert_eq!(WireReader::new(&[0, 0, 0, 1, 7]).nullable_list(1, WireReader::bool), Ok(Some(vec![true])));
    assert!(WireReader::new(&[0xff, 0xff, 0xff, 0xfe]).nullable_list(1, WireReader::bool).is_err());
}

#[test]
fn lengths_beyond_the_frame_are_refused() {
    let huge = i32::MAX.to_be_bytes();
    assert!(WireReader::new(&huge).list(1, WireReader::bool).is_err());
    assert!(WireReader::new(&huge).list(0, |_| Ok(())).is_err(), "items of no size would never end");
    assert!(WireReader::new(&(-1i32).to_be_bytes()).list(1, WireReader::bool).is_err());
    assert!(WireReader::new(&[0, 5, b'a']).string().is_err());
    assert!(WireReader::new(&[0xff, 0xfe]).nullable_string().is_err());
    assert!(WireReader::new(&[0xff, 0xff]).string().is_err());
    assert!(WireReader::new(&[0, 1, 0xff]).string().is_err());
    assert!(WireReader::new(&huge).nullable_bytes().is_err());
    assert!(WireReader::new(&(-2i32).to_be_bytes()).nullable_bytes().is_err());
    assert!(WireReader::new(&[0]).i16().is_err());
    assert!(WireReader::new(&[0]).end().is_err());
}

#[test]
fn compact_fields_are_read_as_they_were_written() {
    let long = "x".repeat(300);
    let mut writer = WireWriter::default();
    writer.compact_string("ü");
    writer.compact_string(&long);
    writer.compact_null();
    writer.compact_list([1, 2].into_iter(), WireWriter::i64);
    writer.uuid(7);
    writer.no_tagged_fields();
    let bytes = [writer.finish().unwrap(), vec![2, 5, 1, 9, 0x80, 1, 2, 8, 8]].concat();
    let mut reader = WireReader::new(&bytes);
    assert_eq!(reader.compact_string(), Ok("ü"));
    assert_eq!(reader.compact_string(), Ok(long.as_str()));
    assert_eq!(reader.compact_nullable_string(), Ok(None));
    assert_eq!(reader.compact_list(8, WireReader::i64), Ok(vec![1, 2]));
    assert_eq!(reader.uuid(), Ok(7));
    assert_eq!(reader.skip_tagged_fields(), Ok(()));
    assert_eq!(reader.skip_tagged_fields(), Ok(()), "two unknown fields");
    assert_eq!(reader.end(), Ok(()));
}

#[test]
fn compact_lengths_beyond_the_frame_are_refused() {
    for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u32::MAX] {
        let mut writer = WireWriter::default();
        writer.unsigned_varint(value);
        assert_eq!(WireReader::new(&writer.finish().unwrap()).unsigned_varint(), Ok(value));
    }
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(WireReader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).unsigned_varint().is_err(), "33 bits");
    assert!(WireReader::new(&[0xff, 0xff, 0xff, 0xff, 0x8f, 0]).unsigned_varint().is_err(), "six bytes");
    assert!(WireReader::new(&huge).compact_string().is_err());
    assert!(WireReader::new(&huge).compact_list(1, WireReader::bool).is_err());
    assert!(WireReader::new(&huge).compact_list(0, |_| Ok(())).is_err());
    assert!(WireReader::new(&huge).skip_tagged_fields().is_err());
    assert!(WireReader::new(&[1, 0, 0xff]).skip_tagged_fields().is_err());
    assert!(WireReader::new(&[0]).compact_string().is_err());
    assert!(WireReader::new(&[0]).compact_list(1, WireReader::bool).is_err());
    assert!(WireReader::new(&[3, b'a']).compact_string().is_err());
    assert!(WireReader::new(&[2, 0xff]).compact_string().is_err());
}

#[test]
fn values_too_long_for_their_length_field_are_refused() {
    let mut writer = WireWriter::default();
    writer.string(&"x".repeat(usize::from(i16::MAX as u16)));
    assert!(writer.finish().is_ok());
    let mut writer = WireWriter::default();
    writer.string(&"x".repeat(40_000));
    assert_eq!(writer.finish(), Err(TooLong));
}
