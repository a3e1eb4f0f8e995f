//! `checker --partitions N --each M[,M..] [--together] FILE...`: reads log files of test records,
//! prints what is missing, doubled, torn and out of order, and exits with 1 if anything is. Its
//! tests show that it fails on each kind of damage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a tool of the tests")]

#[path = "../support/check.rs"]
mod check;
#[path = "../support/together.rs"]
#[cfg_attr(not(test), allow(dead_code, reason = "what is at risk only a test knows that kills"))]
mod together;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: checker --partitions N --each M[,M..] [--together] FILE...
  --partitions  how many partitions were produced to
  --each        records in each of them: one number for all, or one for each
  --together    each file is another pandad's, of one group: doubles across them are
                counted apart, and no fault
  FILE...       log files (raw, json or original lines), in the order written";

fn main() -> ExitCode {
    let (each, paths, together) = match arguments() {
        Ok(parsed) => parsed,
        Err(why) => {
            eprintln!("checker: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if together {
        return of_a_group(&each, paths);
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let report = match check::files(&each, &paths) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("checker: {why}");
            return ExitCode::from(2);
        }
    };
    println!("{report}");
    for example in &report.examples {
        println!("  {example}");
    }
    if report.whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn of_a_group(each: &[u64], paths: Vec<PathBuf>) -> ExitCode {
    let pandads: Vec<Vec<PathBuf>> = paths.into_iter().map(|path| vec![path]).collect();
    match together::together(each, &pandads) {
        Ok(found) => {
            println!("{found}");
            found.examples.iter().for_each(|example| println!("  {example}"));
            if found.whole_within() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("checker: {why}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<(Vec<u64>, Vec<PathBuf>, bool), String> {
    use lexopt::prelude::*;
    let mut together = false;
    let (mut partitions, mut each, mut paths) = (None, Vec::new(), Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Long("partitions") => {
                partitions =
                    Some(parser.value().and_then(|v| v.parse::<usize>()).map_err(|e| e.to_string())?);
            }
            Long("each") => {
                let list = parser.value().and_then(|v| v.string()).map_err(|e| e.to_string())?;
                let parsed: Result<Vec<u64>, _> = list.split(',').map(str::parse).collect();
                each = parsed.map_err(|e| format!("--each {list}: {e}"))?;
            }
            Long("together") => together = true,
            Value(path) => paths.push(PathBuf::from(path)),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let partitions = partitions.ok_or("--partitions is missing")?;
    if each.len() == 1 {
        each = vec![each[0]; partitions];
    }
    if each.len() != partitions {
        return Err(format!("--each has {} numbers for {partitions} partitions", each.len()));
    }
    if paths.is_empty() {
        return Err("no file given".to_string());
    }
    Ok((each, paths, together))
}

#[cfg(test)]
mod tests {
    use super::check::{Check, Place, Report, place_of};
    use super::together::Batch;

    /// A record in the form of the producer's.
    fn made(partition: usize, index: u64, pad: &str) -> String {
        let body = format!("{{\"p\":{partition},\"i\":{index},\"pad\":\"{pad}\"");
        let crc = crc32fast::hash(body.as_bytes());
        format!("{body},\"crc\":\"{crc:08x}\"}}")
    }

    /// Three records on each of two partitions, in order.
    fn good() -> Vec<String> {
        let places = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (1, 2)];
        places.iter().map(|&(p, i)| made(p, i, &format!("pad of {p} and {i}"))).collect()
    }

    fn checked(text: &[u8]) -> Report {
        let mut check = Check::new(&[3, 3]);
        check.read("test", &mut &text[..]).unwrap();
        check.finish()
    }

    fn lines(lines: &[String]) -> Vec<u8> {
        lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
    }

    fn counts(report: &Report) -> (u64, u64, u64, u64) {
        (report.missing, report.doubled, report.torn, report.disordered)
    }

    /// In the files of two pandads, a record that is in both is distinguished from a record that is twice
    /// in one of them.
    #[test]
    fn duplicates_across_files_are_no_fault() {
        let dir = std::env::temp_dir().join(format!("pandad-checker-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let together = |one: &[String], other: &[String]| {
            let files = [("one", one), ("other", other)].map(|(name, text)| {
                let path = dir.join(name);
                std::fs::write(&path, lines(text)).unwrap();
                vec![path]
            });
            super::together::together(&[3, 3], &files).unwrap()
        };
        let all = good();
        let shared = together(&all[..3], &all[3..]);
        assert!(shared.whole_within() && shared.across == 0, "{shared}");
        let across = together(&all[..4], &all[3..]);
        assert!(across.whole_within() && across.across == 1, "{across}");
        let within = together(&[&all[..3], &all[..1]].concat(), &all[3..]);
        assert!(!within.whole_within() && within.across == 0 && within.own[0].doubled == 1, "{within}");
        let missing = together(&all[..2], &all[3..]);
        assert!(!missing.whole_within() && missing.missing == 1, "{missing}");
        // One record is in a settle batch; the other is only in the batch of a pandad whose file does not
        // have it.
        let doubled = together(&all[..4], &all[2..]);
        let batch =
            |pandad, first: std::ops::Range<u64>, second| Batch { pandad, beyond: vec![first, second] };
        assert_eq!(batch(0, 1..2, 0..3).records(), 4);
        let explained = doubled.explained(&[batch(0, 1..2, 0..0), batch(1, 0..1, 0..1)]);
        assert_eq!(explained.by, [1, 0]);
        assert_eq!(explained.unexplained, [Place { partition: 0, index: 2 }]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A check of only some of a partition's records.
    #[test]
    fn unexpected_records_are_foreign() {
        let mut check = Check::of([1..3, 0..2].into_iter());
        check.read("test", &mut &lines(&good())[..]).unwrap();
        assert_eq!(counts(&check.finish()), (0, 0, 2, 0));
    }

    #[test]
    fn a_whole_file_is_whole() {
        let report = checked(&lines(&good()));
        assert!(report.whole(), "{report} {:?}", report.examples);
        assert_eq!(report.to_string(), "missing 0, doubled 0, torn 0, out of order 0 (6 lines)");
    }

    #[test]
    fn a_removed_line_is_missing() {
        let mut damaged = good();
        damaged.remove(2);
        assert_eq!(counts(&checked(&lines(&damaged))), (1, 0, 0, 0));
    }

    #[test]
    fn a_doubled_line_is_doubled() {
        let mut damaged = good();
        damaged.insert(3, damaged[2].clone());
        assert_eq!(counts(&checked(&lines(&damaged))), (0, 1, 0, 0));
        // The second damage is far away from the first.
        let mut damaged = good();
        damaged.push(damaged[0].clone());
        assert_eq!(counts(&checked(&lines(&damaged))), (0, 1, 0, 0));
    }

    #[test]
    fn a_cut_tail_is_torn_wherever_it_is_cut() {
        let text = lines(&good());
        let last = text.len() - 1 - good()[5].len();
        for cut in last + 1..text.len() {
            assert_eq!(counts(&checked(&text[..cut])), (1, 0, 1, 0), "cut at {cut}");
        }
        assert_eq!(counts(&checked(&text[..last])), (1, 0, 0, 0), "the whole line gone");
    }

    #[test]
    fn spliced_lines_are_torn() {
        let good = good();
        for cut in 1..good[2].len() {
            let mut damaged = good.clone();
            // The beginning of one record with the end of the next, as a write leaves it that goes on at
            // the wrong byte.
            let at = cut.min(damaged[3].len());
            let spliced = format!("{}{}", &damaged[2][..cut], &damaged[3][at..]);
            let same = spliced == damaged[2] || spliced == damaged[3];
            damaged[2] = spliced;
            damaged.remove(3);
            let report = checked(&lines(&damaged));
            let want = if same { (1, 0, 0, 0) } else { (2, 0, 1, 0) };
            assert_eq!(counts(&report), want, "cut at {cut}: {:?}", report.examples);
        }
    }

    #[test]
    fn two_records_on_one_line_are_torn() {
        let mut damaged = good();
        damaged[2] = format!("{}{}", damaged[2], damaged[3]);
        damaged.remove(3);
        assert_eq!(counts(&checked(&lines(&damaged))), (2, 0, 1, 0));
    }

    #[test]
    fn swapped_lines_are_out_of_order() {
        let mut damaged = good();
        damaged.swap(2, 3);
        assert_eq!(counts(&checked(&lines(&damaged))), (0, 0, 0, 1));
    }

    #[test]
    fn partitions_have_no_common_order() {
        let mut other = good();
        other.swap(0, 1);
        assert!(checked(&lines(&other)).whole());
    }

    #[test]
    fn foreign_lines_are_torn() {
        for foreign in [
            "",
            "somebody else's line",
            "{\"some\":\"json\"}",
            "consumer_message:",
            "\0\0\0\0",
            &made(7, 0, "no such partition"),
            &made(0, 3, "no such record"),
        ] {
            let mut damaged = good();
            damaged.insert(1, foreign.to_string());
            assert_eq!(counts(&checked(&lines(&damaged))), (0, 0, 1, 0), "{foreign:?}");
        }
    }

    #[test]
    fn one_flipped_bit_is_torn() {
        let good = lines(&good());
        for at in 0..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 0x20;
            assert!(!checked(&damaged).whole(), "the byte at {at} flipped and not seen");
        }
    }

    #[test]
    fn the_order_goes_over_several_files() {
        let good = good();
        let mut check = Check::new(&[3, 3]);
        check.read("two", &mut &lines(&good[3..])[..]).unwrap();
        check.read("one", &mut &lines(&good[..3])[..]).unwrap();
        assert_eq!(counts(&check.finish()), (0, 0, 0, 3));
    }

    #[test]
    fn all_three_formats_are_read() {
        let value = made(1, 2, "a / \\ \u{fc} \u{6570} \u{1f600}");
        let quoted = serde_json::to_string(&value).unwrap();
        // The line as PHP writes it: slashes are escaped, and it has only ASCII.
        let php = quoted.replace('/', "\\/").replace('\u{fc}', "\\u00fc").replace('\u{6570}', "\\u6570");
        let php = php.replace('\u{1f600}', "\\ud83d\\ude00");
        for line in [
            value.clone(),
            format!(
                "{{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"key\":null,\"headers\":[],\
                 \"value\":{quoted}}}"
            ),
            format!(
                "consumer_message:{{\"offset\":2,\"size\":99,\"message\":{{\"crc\":1,\"key\":\"\",\
                 \"value\":{php}}}}}"
            ),
            "{\"offset\":2,\"value_base64\":\"eyJwIjoxLCJpIjoyLCJwYWQiOiIiLCJjcmMiOiI2NDgxZjZjNCJ9\"}"
                .to_string(),
        ] {
            match place_of(line.as_bytes()) {
                Ok(place) => assert_eq!((place.partition, place.index), (1, 2), "{line}"),
                Err(why) => panic!("{why}: {line}"),
            }
        }
        // If a line says another offset than its record, the line is not believed.
        let line = format!("{{\"topic\":\"t\",\"partition\":1,\"offset\":3,\"value\":{quoted}}}");
        assert!(place_of(line.as_bytes()).is_err());
    }
}
