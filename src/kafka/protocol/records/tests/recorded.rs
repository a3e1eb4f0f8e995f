//! Record sets from replies of real brokers (tests/vectors/record_sets.txt, made by
//! tests/tools/record_sets.py).

use super::*;

fn value(index: usize) -> Vec<u8> {
    format!("value {index} {} ü", "x".repeat(index * 40)).into_bytes()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn list(text: &str) -> Vec<Aborted> {
    text.split(',')
        .filter_map(|one| one.split_once(':'))
        .map(|(producer, first)| Aborted {
            producer: producer.parse().unwrap(),
            first_offset: first.parse().unwrap(),
        })
        .collect()
}

/// The message format of the recorded topic.
fn format(name: &str) -> u8 {
    if name.contains("-as_0.9") || name.starts_with("0.9") {
        0
    } else if name.contains("-as_0.10") || name.starts_with("0.10") || name.ends_with("-converted") {
        1
    } else {
        2
    }
}

#[test]
fn recorded_replies_of_real_brokers_are_read() {
    let text = include_str!("../../../../../tests/vectors/record_sets.txt");
    let mut count = 0;
    let mut magics = [0; 3];
    for line in text.lines() {
        let [name, aborted, set] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let set = unhex(set);
        count += 1;
        assert_eq!(set[16], format(name), "{name}");
        magics[usize::from(set[16])] += 1;
        let (seen, done) = read(&set, 0, Some(&list(aborted)));
        assert_eq!(done, span(&set, 0).map(|span| span.next), "{name}");
        if name.ends_with("transactions") {
            assert_eq!(offsets(&seen), [3], "{name}");
            assert_eq!(seen[0].value, Some(value(2)), "{name}");
            assert_eq!(offsets(&all(&set, 0)), [0, 1, 3], "{name}");
            assert_eq!(done, Ok(5));
            continue;
        }
        assert_eq!(offsets(&seen), (0..8).collect::<Vec<_>>(), "{name}");
        for (index, one) in seen.iter().enumerate() {
            assert_eq!(one.key, Some(format!("k{index}").into_bytes()), "{name}");
            assert_eq!(one.value, Some(value(index)), "{name}");
            assert_eq!(one.timestamp.is_some(), set[16] > 0, "{name}");
            assert!(one.timestamp.is_none_or(|time| time > 1_700_000_000_000), "{name}");
            assert_eq!(one.append_time, name.contains("append_time"), "{name}");
            assert_eq!(one.headers, (set[16] == 2).then(Vec::new), "{name}");
        }
    }
    assert!(count > 30 && magics.iter().all(|of| *of > 5), "{count} sets, {magics:?} of each format");
}
