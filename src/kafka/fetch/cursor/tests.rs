//! What answers mean for one partition.

use super::*;

/// An answer without records: the reply was full already, or a transaction is open.
#[test]
fn the_first_answer_tells_the_lag() {
    let config = FetchConfig::default();
    let leader = (Arc::from("a:9092"), LedTopic { epoch: -1, ..LedTopic::default() });
    let at = StartOffset::At(20, Vec::new());
    let mut cursor = Cursor::new(TopicPartition::new("t", 0), at, 1, leader, &config);
    let answer = FetchedPartition {
        code: ErrorCode::NONE,
        high_watermark: 50,
        last_stable: 20,
        log_start: 0,
        aborted: Vec::new(),
        records: 0..0,
    };
    let frame = Arc::new(Frame::default());
    let mut meaning = |committed| cursor.take_answer(&answer, &frame, committed, &config);
    assert!(matches!(meaning(true), Meaning::Recovered(30)));
    assert!(matches!(meaning(true), Meaning::Nothing), "once is enough");
    cursor.pause();
    assert!(matches!(cursor.take_answer(&answer, &frame, false, &config), Meaning::Recovered(30)));
}

#[test]
fn a_log_that_grows_behind_an_open_transaction_is_news() {
    let (config, leader) =
        (FetchConfig::default(), (Arc::from("a:9092"), LedTopic { epoch: -1, ..LedTopic::default() }));
    let at = StartOffset::At(20, Vec::new());
    let mut cursor = Cursor::new(TopicPartition::new("t", 0), at, 1, leader, &config);
    let ends = |high_watermark| LogEnds { high_watermark, last_stable: 20 };
    assert!(matches!(cursor.take_no_change(ends(50), true, &config), Meaning::Recovered(30)));
    assert_eq!(cursor.news_of_lag(50), None, "the owner knows it");
    assert!(matches!(cursor.take_no_change(ends(70), true, &config), Meaning::Nothing));
    assert_eq!((cursor.news_of_lag(70), cursor.news_of_lag(70)), (Some(50), None));
}

/// The leader's log was cut below the position. If the reader went on, it would read on from there when
/// the log has grown again, and miss what is new below.
#[test]
fn a_log_that_ends_below_the_position_is_relinquished() {
    let config = FetchConfig::default();
    let leader = (Arc::from("a:9092"), LedTopic { epoch: -1, ..LedTopic::default() });
    let at = StartOffset::At(20, Vec::new());
    let mut cursor = Cursor::new(TopicPartition::new("t", 0), at, 1, leader, &config);
    let mut meaning = |high_watermark| {
        let answer = FetchedPartition {
            code: ErrorCode::NONE,
            high_watermark,
            last_stable: high_watermark,
            log_start: 0,
            aborted: Vec::new(),
            records: 0..0,
        };
        cursor.take_answer(&answer, &Arc::new(Frame::default()), false, &config)
    };
    assert!(matches!(meaning(20), Meaning::Recovered(0)), "all is read");
    let Meaning::Relinquish(why) = meaning(19) else { panic!("it reads on") };
    assert!(why.contains("ends at offset 19, below the position 20"), "{why}");
}
