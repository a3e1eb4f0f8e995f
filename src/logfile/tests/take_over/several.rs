//! Two journals that know the same file or partition, and journals that people put back or take away.

use super::*;

/// The old journal is put back as it was before the take-over. Its file has more lines by now.
#[test]
fn an_old_journal_that_was_put_back_cuts_nothing() {
    let (dir, _) = with_old();
    let before = fs::read(old_journal(&dir)).unwrap();
    let (ledger, _) = shared(&dir);
    assert_eq!(position(&ledger), Some(5));
    append_shared(&dir, &ledger, 5, 8);
    ledger.close().unwrap();
    drop(ledger);
    fs::write(old_journal(&dir), before).unwrap();
    let (ledger, is_taken) = shared(&dir);
    assert_eq!((is_taken, position(&ledger), dir.content()), (false, Some(8), lines(8)));
    assert_eq!(OlderPandad::meets(3, &fs::read(old_journal(&dir)).unwrap()), OlderPandad::Refuses);
}

/// Somebody went back to the path alone, and its new journal went on. Then the path is shared again.
#[test]
fn a_journal_that_went_on_alone_is_taken_over_again() {
    let (dir, first) = with_old();
    let (ledger, _) = shared(&dir);
    position(&ledger);
    append_shared(&dir, &ledger, 5, 6);
    let token = |identity, offset| {
        let epoch = ledger_epoch(&dir);
        Some((offset, Token { identity, epoch, offset }.to_string()))
    };
    let group = token(ledger.identity(), 6);
    drop(ledger);
    fs::remove_file(old_journal(&dir)).unwrap();
    let mut log = with(&dir, true, 4096, Some(1));
    assert_eq!(resume(&log.ledger, &partition(), group), Some(6));
    append(&mut log, 6, 9);
    let second = log.ledger.identity();
    drop(log);
    let (ledger, is_taken) = shared(&dir);
    assert_eq!((is_taken, position(&ledger), dir.content()), (true, Some(9), lines(9)));
    let state = state_of(&dir);
    let (_, known) = state.find(&partition()).unwrap();
    assert_eq!(known.former, [first, second]);
    // The second one went on where the first one had stopped.
    assert_eq!(known.held.as_ref().unwrap().ranges(9), [(0, 9)]);
    append_shared(&dir, &ledger, 9, 10);
    assert_eq!(dir.content(), lines(10));
}

/// The shared journal is lost, or it is another one.
#[test]
fn positions_that_another_journal_has_are_told() {
    let (dir, _) = with_old();
    let (ledger, _) = shared(&dir);
    let by = ledger.identity();
    drop(ledger);
    fs::remove_file(dir.0.join("{topic}.log.journal")).unwrap();
    let ended = fs::read(old_journal(&dir)).unwrap();
    let ledger = open_shared(&dir);
    let told = lines_of(|| assert!(!take(&dir, &ledger)));
    let text = format!(
        "test: {}: its positions are in the journal {by:032x} in {}.journal, which is not the journal of \
         this run: reading goes on from the group's offsets",
        dir.log().display(),
        base(&dir).display()
    );
    assert_eq!(told, [(log::Level::Warn, text)]);
    assert_eq!(
        (position(&ledger), dir.content(), fs::read(old_journal(&dir)).unwrap()),
        (None, lines(5), ended)
    );
}

/// A journal of one file may have had other topics before, whose own journals are further.
#[test]
fn a_position_of_another_topic_s_journal_counts_only_if_no_other_is_known() {
    let dir = Dir::new();
    let u = TopicPartition::new("u", 0);
    for (name, at) in [("out.log", 3), ("u.log", 70)] {
        let log = open(&dir.0.join(name), &options(true), &mut RestartMemory::default()).unwrap();
        log.ledger.set_position(&u, at).unwrap();
    }
    for order in [["out.log", "u.log"], ["u.log", "out.log"]] {
        let copy = Dir::new();
        for name in ["out.log", "u.log", "out.log.journal", "u.log.journal"] {
            fs::copy(dir.0.join(name), copy.0.join(name)).unwrap();
        }
        let ledger = open_shared(&copy);
        let told = lines_of(|| {
            for name in order {
                let topic = if name == "u.log" { "u" } else { "t" };
                assert!(try_take(&copy, &ledger, name, topic).unwrap());
            }
        });
        assert_eq!(resume(&ledger, &u, None), Some(70), "{order:?}");
        let warned: Vec<_> = told.iter().filter(|(level, _)| *level == log::Level::Warn).collect();
        assert_eq!(warned.len(), usize::from(order[0] == "out.log"), "{told:?}");
        let text = "u/0 is at 70 by this file's own journal and at 3 by the journal that takes it over, and \
                    nothing shows which is later: going on at 70";
        assert!(warned.iter().all(|(_, told)| told.ends_with(text)), "{warned:?}");
    }
}

/// A file may be opened while others are written. Positions that are in use stay.
#[test]
fn a_partition_that_is_read_at_present_stays_where_it_is() {
    let (dir, _) = with_old();
    let ledger = open_shared(&dir);
    ledger.set_position(&partition(), 1).unwrap();
    assert!(take(&dir, &ledger));
    assert_eq!(ledger.written(&partition()).map(|(_, at)| at), Some(1));
    assert_eq!(position(&ledger), Some(1));
}

/// The file is known, and a journal that went on alone appears beside it. The file stays one.
#[test]
fn a_file_that_is_known_keeps_its_number() {
    let (dir, _) = with_old();
    let (ledger, _) = shared(&dir);
    let number = ledger.number_of(Path::new("out.log"));
    let before = fs::read(dir.0.join("{topic}.log.journal")).unwrap();
    fs::remove_file(old_journal(&dir)).unwrap();
    let mut log = with(&dir, true, 4096, Some(1));
    let token = Token { identity: ledger.identity(), epoch: ledger_epoch(&dir), offset: 5 };
    resume(&log.ledger, &partition(), Some((5, token.to_string())));
    append(&mut log, 5, 7);
    drop(log);
    assert_eq!(fs::read(dir.0.join("{topic}.log.journal")).unwrap(), before);
    assert!(take(&dir, &ledger));
    assert_eq!((ledger.number_of(Path::new("out.log")), ledger.numbered_files().len()), (number, 1));
    assert_eq!((position(&ledger), dir.content()), (Some(7), lines(7)));
    append_shared(&dir, &ledger, 7, 8);
    assert_eq!(dir.content(), lines(8));
}

/// A journal beside a known file cannot be read: it may be one that went on alone, so nothing is cut.
#[test]
fn a_file_beside_which_a_journal_cannot_be_read_is_left_as_it_is() {
    for (journal, expected) in [(None, lines(5)), (Some("no journal"), lines(6))] {
        let (dir, _) = with_old();
        let (ledger, _) = shared(&dir);
        drop(ledger);
        fs::write(dir.log(), lines(6)).unwrap();
        if let Some(journal) = journal {
            fs::write(old_journal(&dir), journal).unwrap();
        }
        drop(open_shared_at(&dir, 2));
        assert_eq!(dir.content(), expected, "{journal:?}");
    }
}
