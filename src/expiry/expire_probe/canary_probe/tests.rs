use super::*;

struct CanaryRun {
    canary: Canary,
    probe: CanaryProbe,
    now: Instant,
}

impl CanaryRun {
    fn new() -> Self {
        let (canary, now) = (Canary::new("pandad:c:"), Instant::now());
        Self { probe: CanaryProbe::new(canary.clone(), now), canary, now }
    }

    /// One life of the canary, up to its deletion by the server.
    fn live(&mut self) {
        assert!(self.probe.is_due_to_set(self.now));
        self.canary.begin_next();
        self.now = self.probe.record_set(self.now);
        self.probe.record_deleted(self.now, 7);
    }

    /// Checks until there is something to report, or the canary is to be set again.
    fn checks(&mut self, announced: u64) -> CanaryReport {
        for _ in 0..CHECKS_PER_SILENCE {
            self.now += CHECK_INTERVAL;
            match self.probe.check(self.now, announced) {
                CanaryReport::Nothing => {}
                report => return report,
            }
        }
        CanaryReport::Nothing
    }
}

#[test]
fn a_second_silence_is_reported_once() {
    let mut run = CanaryRun::new();
    run.live();
    assert_eq!(run.checks(7), CanaryReport::Nothing);
    run.live();
    assert_eq!(run.checks(7), CanaryReport::Silent);
    let mut reports = Vec::new();
    for _ in 0..10 {
        run.live();
        reports.push(run.checks(7));
    }
    assert!(
        !reports.contains(&CanaryReport::Silent) && reports.contains(&CanaryReport::StillSilent),
        "{reports:?}"
    );
    run.live();
    run.canary.record_event(&run.canary.name(run.canary.number()), run.now);
    assert!(matches!(run.checks(7), CanaryReport::ReceivedAgain(_)));
    run.live();
    run.canary.record_event(&run.canary.name(run.canary.number()), run.now);
    assert!(matches!(run.checks(7), CanaryReport::Received(_)));
}

#[test]
fn while_other_events_come_it_is_only_late() {
    let mut run = CanaryRun::new();
    run.live();
    for announced in 8..100 {
        run.now += CHECK_INTERVAL;
        assert_eq!(run.probe.check(run.now, announced), CanaryReport::Nothing);
    }
    assert!(run.probe.lateness(run.now) > CANARY_LIFE && !run.probe.is_due_to_set(run.now));
}

/// If much time passes between two checks, pandad itself was halted.
#[test]
fn a_halt_is_no_silence() {
    let mut run = CanaryRun::new();
    for _ in 0..5 {
        run.live();
        run.now += Duration::from_secs(60);
        assert_eq!(run.probe.check(run.now, 7), CanaryReport::Nothing);
        run.canary.record_event(&run.canary.name(run.canary.number()), run.now);
        assert!(matches!(run.checks(7), CanaryReport::Received(_)));
    }
}

/// The next look is known in each state, and a server that refuses the canary is not asked all the time.
#[test]
fn the_next_look_follows_from_the_state() {
    let CanaryRun { mut probe, now, .. } = CanaryRun::new();
    assert_eq!(probe.next_check(), Some(now));
    let due = probe.record_set(now);
    assert_eq!(probe.next_check(), None, "it is probed at its deadline");
    probe.record_deleted(due, 7);
    assert_eq!(probe.next_check(), Some(due + CHECK_INTERVAL));
    probe.record_denied(due);
    assert_eq!(probe.next_check(), Some(due + DENIED_RETRY_INTERVAL));
    assert!(!probe.is_due_to_set(due) && probe.is_due_to_set(due + DENIED_RETRY_INTERVAL));
}

/// Of a canary that was evicted no event comes, and that says nothing about the subscription.
#[test]
fn an_evicted_canary_is_no_silence() {
    let mut run = CanaryRun::new();
    for _ in 0..10 {
        run.live();
        assert!(run.canary.record_evicted(&run.canary.name(run.canary.number())));
        assert_eq!(run.probe.check(run.now, 7), CanaryReport::Nothing);
        assert!(!run.probe.is_due_to_set(run.now) && run.probe.life() == CANARY_LIFE_EVICTED);
        run.now += EVICTED_PAUSE;
    }
    run.live();
    run.canary.record_event(&run.canary.name(run.canary.number()), run.now);
    assert!(matches!(run.checks(7), CanaryReport::Received(_)));
    assert_eq!(run.probe.life(), CANARY_LIFE);
    // The server says nothing about what it evicts.
    run.canary.set_unseen_evictions(true);
    for _ in 1..UNSEEN_SILENCES_BEFORE_ALARM {
        run.live();
        assert_eq!(run.checks(7), CanaryReport::Nothing);
    }
    // So many in a row are no evictions.
    run.live();
    assert_eq!(run.checks(7), CanaryReport::Silent);
}
