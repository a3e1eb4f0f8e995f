//! Bytes arrive, each once and in order, and take no memory beside the caller's.

use std::io::{Read, Write};
use std::sync::LazyLock;
use std::time::Instant;

use super::servers::{WAYS, serve, soon};

/// Longer than what rustls keeps. Without optimization a megabyte takes a second.
const TEXT_BYTES: usize = 500_000;

fn text() -> &'static [u8] {
    static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..TEXT_BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    });
    &TEXT
}

#[test]
fn long_texts_arrive_in_both_directions() {
    for way in WAYS {
        let (mut stream, server) = serve(way, |served| {
            let mut received = vec![0; TEXT_BYTES];
            served.read_exact(&mut received).unwrap();
            served.write_all(&received).unwrap();
            served.flush().unwrap();
            received
        });
        stream.write_all(text(), soon()).unwrap();
        // In pieces of all lengths.
        let mut received = Vec::new();
        let mut room = vec![0; 100_000];
        for length in (1..100_000).step_by(4_321).cycle() {
            let count = stream.read(&mut room[..length], soon()).unwrap();
            assert!(count > 0, "{way:?}");
            received.extend_from_slice(&room[..count]);
            if received.len() >= TEXT_BYTES {
                break;
            }
        }
        assert!(received == text(), "{way:?}");
        assert!(server.join().unwrap() == text(), "{way:?}");
    }
}

/// Questions and answers, each with its length before it, read as the Kafka client does.
#[test]
fn answers_of_a_known_length_are_read() {
    for way in WAYS {
        let (mut stream, server) = serve(way, |served| {
            let mut question = [0; 4];
            while served.read_exact(&mut question).is_ok() {
                let length = u32::from_be_bytes(question) as usize;
                served.write_all(&[&question, &text()[..length]].concat()).unwrap();
                served.flush().unwrap();
            }
        });
        for length in [0, 1, 17, 16_384, 16_385, 200_000] {
            stream.write_all(&u32::try_from(length).unwrap().to_be_bytes(), soon()).unwrap();
            let mut announced = [0; 4];
            stream.by(soon()).read_exact(&mut announced).unwrap();
            assert_eq!(u32::from_be_bytes(announced) as usize, length);
            let mut answer = vec![0; length];
            stream.by(soon()).read_exact(&mut answer).unwrap();
            assert!(answer == text()[..length], "{way:?} {length}");
        }
        drop(stream);
        server.join().unwrap();
    }
}

/// A large answer is held once, by the caller: beside it there are two records at most.
#[test]
fn a_large_answer_is_held_once() {
    const ANSWER_BYTES: usize = 400_000;
    for way in WAYS {
        let (mut stream, server) = serve(way, |served| {
            let mut question = [0];
            for _ in 0..2 {
                served.read_exact(&mut question).unwrap();
                served.write_all(&text()[..ANSWER_BYTES]).unwrap();
                served.flush().unwrap();
            }
            served.read_exact(&mut question).unwrap();
        });
        let mut room = vec![0; ANSWER_BYTES];
        // The first answer brings the buffers to their size.
        for first in [true, false] {
            stream.write_all(b"?", soon()).unwrap();
            let until = soon();
            let used = allocation_counter::measure(|| stream.by(until).read_exact(&mut room).unwrap());
            assert!(room == text()[..ANSWER_BYTES], "{way:?}");
            let most = used.bytes_max;
            assert!(
                first || most < 80 * 1024,
                "{way:?}: {most} bytes at a time for an answer of {ANSWER_BYTES}"
            );
        }
        stream.write_all(b".", soon()).unwrap();
        server.join().unwrap();
    }
}

/// A stream can be given to code that knows only `Read` and `Write`.
#[test]
fn a_timed_stream_reads_and_writes() {
    for way in WAYS {
        let (mut stream, server) = serve(way, |served| {
            let mut question = [0; 8];
            served.read_exact(&mut question).unwrap();
            served.write_all(&question).unwrap();
            served.flush().unwrap();
        });
        let mut timed = stream.by(soon());
        write!(timed, "question").unwrap();
        timed.flush().unwrap();
        let mut answer = String::new();
        timed.take(8).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "question");
        server.join().unwrap();
        assert!(Instant::now() < soon());
    }
}
