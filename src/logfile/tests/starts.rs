//! What a start finds that happened to the log file meanwhile: what it says, what it cuts, where it goes on.

use log::Level::{self, Error, Info, Warn};

use super::*;
use crate::test_log::lines_of;

/// Three lines are settled, and two writes are not, of one line and of two.
fn killed() -> Dir {
    let dir = Dir::new();
    let mut log = fresh(&dir);
    append(&mut log, 0, 3);
    settle(&mut log);
    append(&mut log, 3, 4);
    append(&mut log, 4, 6);
    dir
}

fn moved(dir: &Dir) -> PathBuf {
    dir.0.join("out.log.1")
}

fn set_len(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn add(dir: &Dir, text: &str) {
    OpenOptions::new().append(true).open(dir.log()).unwrap().write_all(text.as_bytes()).unwrap();
}

type Act = fn(&Dir);

/// What happened, where the start goes on, what it says, and what the file at the path holds then. A line
/// begins with the name of its file, which is `out.log` if there is none.
type Case = (Act, i64, Vec<(Level, &'static str)>, String);

const ALL: (Level, &str) = (Info, "adopted the unsettled writes that the file holds whole: 2 of 2");
const ONE: (Level, &str) = (Info, "adopted the unsettled writes that the file holds whole: 1 of 2");
const NONE: (Level, &str) = (Info, "adopted the unsettled writes that the file holds whole: 0 of 2");
const NEWLINE: (Level, &str) = (Warn, "its last line had no newline; one was added");

/// What happened to the end of the file.
fn at_its_end() -> Vec<Case> {
    vec![
        (|_| (), 6, vec![ALL], lines(6)),
        (
            |dir| set_len(&dir.log(), 28 + 3),
            4,
            vec![ONE, (Warn, "cut 3 bytes of a write that was not complete; its records are fetched again")],
            lines(4),
        ),
        (
            |dir| set_len(&dir.log(), 21 + 1),
            3,
            vec![NONE, (Warn, "cut 1 byte of a write that was not complete; its records are fetched again")],
            lines(3),
        ),
        (|dir| set_len(&dir.log(), 28), 4, vec![ONE], lines(4)),
        (
            |dir| add(dir, "a note\n"),
            6,
            vec![ALL, (Warn, "keeps 7 bytes at its end that another program wrote")],
            lines(6) + "a note\n",
        ),
        (
            |dir| add(dir, "x"),
            6,
            vec![ALL, (Warn, "keeps 1 byte at its end that another program wrote"), NEWLINE],
            lines(6) + "x\n",
        ),
    ]
}

const SHORTENED: &str =
    "has 7 bytes, but the journal says 21: another program has shortened this file; positions are kept";
const SHORTENED_BESIDE: &str = "out.log.1: has 7 bytes, but the journal says 21: another program has \
                                shortened this file; positions are kept";
const CHANGED: &str = "its bytes are not those that the journal describes: another program has changed \
                       this file; positions are kept";
const SEVERAL: &str = "a and b both have the content that the journal describes, and nothing shows which \
                       is the original: nothing is adopted or cut; positions are kept, and unsettled \
                       lines come again";
const GONE: &str = "is not the file that the journal describes, and that file is not in this directory; \
                    positions are kept";

/// The file is another one, or stands elsewhere.
fn as_a_whole() -> Vec<Case> {
    let edited = || lines(6).replace("line 1", "LINE 1");
    vec![
        (|dir| set_len(&dir.log(), 7), 3, vec![(Warn, SHORTENED)], lines(1)),
        (
            |dir| fs::write(dir.log(), lines(6).replace("line 1", "LINE 1")).unwrap(),
            3,
            vec![(Warn, CHANGED)],
            edited(),
        ),
        (
            |dir| fs::rename(dir.log(), moved(dir)).unwrap(),
            6,
            vec![
                (Info, "was moved to out.log.1 while pandad did not run"),
                (Info, "out.log.1: adopted the unsettled writes that the file holds whole: 2 of 2"),
            ],
            String::new(),
        ),
        (
            |dir| {
                fs::rename(dir.log(), moved(dir)).unwrap();
                set_len(&moved(dir), 7);
            },
            3,
            vec![(Warn, SHORTENED_BESIDE)],
            String::new(),
        ),
        (
            |dir| {
                fs::copy(dir.log(), dir.0.join("a")).unwrap();
                fs::copy(dir.log(), dir.0.join("b")).unwrap();
                fs::remove_file(dir.log()).unwrap();
            },
            3,
            vec![(Error, SEVERAL)],
            String::new(),
        ),
        (
            |dir| {
                fs::create_dir(dir.0.join("elsewhere")).unwrap();
                fs::rename(dir.log(), dir.0.join("elsewhere/out.log")).unwrap();
            },
            3,
            vec![(Warn, GONE)],
            String::new(),
        ),
    ]
}

#[test]
fn a_start_says_what_happened_to_the_file() {
    for (number, (act, position, expected, content)) in
        at_its_end().into_iter().chain(as_a_whole()).enumerate()
    {
        let dir = killed();
        act(&dir);
        let mut found = None;
        let told = lines_of(|| found = again(&dir, None).into());
        let (log, at) = found.unwrap();
        let shorten = |text: String| {
            text.replace(&format!("{}/", dir.0.display()), "").replace("test: ", "").replace("out.log: ", "")
        };
        let told: Vec<_> = told.into_iter().map(|(level, text)| (level, shorten(text))).collect();
        let expected: Vec<_> = expected.into_iter().map(|(level, text)| (level, text.to_owned())).collect();
        assert_eq!((at, told), (position, expected), "case {number}");
        assert_eq!(dir.content(), content, "case {number}");
        drop(log);
        // There is nothing to say the next time.
        let mut position = 0;
        assert_eq!(lines_of(|| position = again(&dir, None).1), [], "case {number}");
        assert_eq!(position, at, "case {number}");
    }
}

/// Each attempt on a failing disk finds the same.
#[test]
fn what_was_said_is_not_said_again_until_the_file_is_open() {
    let dir = killed();
    let (journal, text) = (fs::read(dir.0.join("out.log.journal")).unwrap(), dir.content());
    let mut memory = RestartMemory::default();
    let mut start = || {
        fs::write(dir.0.join("out.log.journal"), &journal).unwrap();
        fs::write(dir.log(), text.clone() + "a note\n").unwrap();
        lines_of(|| drop(open(&dir.log(), &options(true), &mut memory).unwrap())).len()
    };
    assert_eq!((start(), start()), (2, 0));
    memory.forget_findings();
    let mut start = || {
        fs::write(dir.0.join("out.log.journal"), &journal).unwrap();
        fs::write(dir.log(), text.clone() + "a note\n").unwrap();
        lines_of(|| drop(open(&dir.log(), &options(true), &mut memory).unwrap())).len()
    };
    assert_eq!((start(), start()), (2, 0));
}

/// Where the frame begins of which this is the first byte that does not look unused: the bytes of its CRC
/// may. A frame says its place in its half.
fn frame_at(bytes: &[u8], differs: usize) -> usize {
    let half = bytes.len() / 2;
    let says = |at: usize| u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    let is_frame = |at: &usize| says(*at) == at % half;
    (differs - 3..=differs).rev().find(is_frame).expect("a frame")
}

/// A byte of the journal is damaged: one line says which bytes, and whether lines may be cut for that.
#[test]
fn a_start_says_what_is_damaged_in_the_journal() {
    let outcomes = [
        "the last lines before the stop may be cut; their records are fetched again",
        "other entries repeat the damaged ones, and nothing is lost",
    ];
    for (is_made_up_for, outcome) in outcomes.into_iter().enumerate() {
        let dir = Dir::new();
        let mut log = at_boot(&dir, 1);
        log.ledger.set_position(&partition(), 0).unwrap();
        append(&mut log, 0, 3);
        let journal = dir.0.join("out.log.journal");
        let before = fs::read(&journal).unwrap();
        append(&mut log, 3, 4);
        if is_made_up_for == 1 {
            settle(&mut log);
        }
        drop(log);
        let mut bytes = fs::read(&journal).unwrap();
        let at = frame_at(&bytes, before.iter().zip(&bytes).position(|(one, other)| one != other).unwrap());
        bytes[at + 20] ^= 0x10;
        fs::write(&journal, bytes).unwrap();
        let told = lines_of(|| drop(at_boot(&dir, 1)));
        let damage: Vec<_> = told.iter().filter(|(_, text)| text.contains("journal is damaged")).collect();
        assert_eq!(damage.len(), 1, "{told:?}");
        let (level, text) = damage[0];
        assert!(*level == Warn && text.ends_with(outcome), "{text}");
        assert!(text.contains(&format!("its journal is damaged at bytes {at} to ")), "{text}");
        assert_eq!(dir.content(), lines(3 + is_made_up_for as i64));
    }
}
