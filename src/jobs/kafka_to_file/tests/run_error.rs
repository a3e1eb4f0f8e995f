//! Runs that end with errors that only this job has.

use std::sync::atomic::Ordering::SeqCst;

use super::*;

#[test]
fn a_fenced_member_ends_with_the_groups_reason() {
    let mut member = Member::at_work();
    member.says(GroupEvent::Fenced("another pandad has this name".to_owned()));
    let ended = member.source.poll(Instant::now(), &mut Vec::new());
    assert_eq!(ended, Err(RunError::Fenced("another pandad has this name".to_owned())));
    member.source.finish(Instant::now());
    assert_eq!(
        member.world.left.load(Relaxed),
        0,
        "its id belongs to another member now, so it must not leave under that id"
    );
}

/// `kafka['full_disk_s']` is 0 s here.
#[test]
fn a_disk_that_refuses_too_long_makes_the_member_leave() {
    let mut member = Member::at_work();
    assert_eq!(member.source.idle(), Ok(()));
    member.counters.disk_refuses.store(true, SeqCst);
    assert_eq!(member.source.idle(), Err(RunError::LeftGroup));
    member.source.finish(Instant::now());
    assert_eq!(member.world.left.load(Relaxed), 1);
}

/// The entry is in the journal and the lines are not in the file yet when the group takes the
/// partition away. Another member may write these lines, so this one must not.
#[test]
fn partitions_lost_during_a_write_end_the_run() {
    let allowed = Arc::new(AtomicU32::new(1));
    let guard = Arc::clone(&allowed);
    let may = move || guard.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    let mut member = Member::with_guard(Some(Arc::new(may))).begins();
    let batch = member.fetches(0, 3);
    assert_eq!(member.writes(vec![batch]), Ok(()));
    assert!(member.sink.holds_back() && member.content().is_empty());
    member.says(GroupEvent::Lost);
    member.poll();
    allowed.store(9, Relaxed);
    let ended = member.writes(Vec::new());
    assert!(matches!(ended, Err(RunError::LostInWrite(_))), "{ended:?}");
    assert_eq!(member.content(), "");
}
