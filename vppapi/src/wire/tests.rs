use proptest::prelude::*;

use super::{ByteString, DecodeErrorKind, FixedString, Reader, Wire, Writer};

fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut writer = Writer::new();
    value.encode(&mut writer);
    writer.finish().to_vec()
}

fn decode<T: Wire>(bytes: &[u8]) -> T {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader).unwrap();
    reader.finish().unwrap();
    value
}

#[test]
fn integers_are_big_endian() {
    assert_eq!(encode(&0x0102_u16), [1, 2]);
    assert_eq!(encode(&0x0102_0304_u32), [1, 2, 3, 4]);
    assert_eq!(encode(&0x0102_0304_0506_0708_u64), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(encode(&-6_i32), [0xff, 0xff, 0xff, 0xfa]);
    assert_eq!(encode(&[1_u16, 2]), [0, 1, 0, 2]);
}

#[test]
fn any_nonzero_byte_is_true() {
    assert_eq!([0, 1, 2, 255].map(|byte| decode::<bool>(&[byte])), [false, true, true, true]);
    assert_eq!(encode(&true), [1]);
}

#[test]
fn a_fixed_string_ends_at_its_first_zero_and_keeps_the_rest() {
    let text = decode::<FixedString<8>>(b"abc\0junk");
    assert_eq!(text.as_str(), "abc");
    assert_eq!(encode(&text), b"abc\0junk");
    assert_eq!(decode::<FixedString<3>>(b"abc").as_str(), "abc");
    assert_eq!(decode::<FixedString<3>>(b"a\xffc").as_str(), "a\u{fffd}c");
}

#[test]
fn a_fixed_string_keeps_room_for_the_ending_zero() {
    assert_eq!(encode(&FixedString::<4>::new("abc").unwrap()), b"abc\0");
    let error = FixedString::<4>::new("abcd").unwrap_err();
    assert_eq!(error.to_string(), "string of 4 bytes found, at most 3 fit the field: \"abcd\"");
    assert!(FixedString::<0>::new("").is_err());
}

#[test]
fn a_hostile_length_is_an_error_and_no_allocation() {
    let bytes = [0xff, 0xff, 0xff, 0xff, b'x'];
    let error = ByteString::decode(&mut Reader::new(&bytes)).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooShort { wanted: 0xffff_ffff, left: 1 });
    assert_eq!(error.offset(), 4);
}

#[test]
fn what_is_left_over_is_an_error() {
    let mut reader = Reader::new(&[0, 1, 2]);
    assert_eq!(u16::decode(&mut reader).unwrap(), 1);
    assert_eq!((reader.offset(), reader.remaining()), (2, 1));
    assert_eq!(
        reader.finish().unwrap_err().to_string(),
        "at byte 2: 1 bytes left over behind the last field"
    );
}

proptest! {
    #[test]
    fn values_survive(a: u8, b: u16, c: u32, d: u64, e: i32, f: bool, text in "[ -~]{0,15}", bytes: Vec<u8>) {
        prop_assert_eq!(decode::<u8>(&encode(&a)), a);
        prop_assert_eq!(decode::<u16>(&encode(&b)), b);
        prop_assert_eq!(decode::<u32>(&encode(&c)), c);
        prop_assert_eq!(decode::<u64>(&encode(&d)), d);
        prop_assert_eq!(decode::<i32>(&encode(&e)), e);
        prop_assert_eq!(decode::<bool>(&encode(&f)), f);
        let fixed = FixedString::<16>::new(&text).unwrap();
        prop_assert_eq!(decode::<FixedString<16>>(&encode(&fixed)).to_string(), text);
        let string = ByteString(bytes);
        prop_assert_eq!(decode::<ByteString>(&encode(&string)), string);
    }

    #[test]
    fn a_failed_read_consumes_nothing(bytes: Vec<u8>, count in 0_usize..64) {
        let mut reader = Reader::new(&bytes);
        match reader.take(count) {
            Ok(taken) => prop_assert_eq!(taken.len(), count),
            Err(error) => {
                prop_assert_eq!(error.kind(), DecodeErrorKind::TooShort { wanted: count, left: bytes.len() });
                prop_assert_eq!(reader.offset(), 0);
            }
        }
    }
}
