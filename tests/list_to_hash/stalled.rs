//! Goal: an instance that was paused for longer than its heartbeat lasts leaves alone what another
//! instance has taken over since. Method: SIGSTOP with a batch in flight, alone and among many
//! kills.

use crate::list_to_hash::kill9::{DISTANCE, Run};
use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::proxy::Proxy;
use crate::support::queue::{LIST, Queue};
use crate::support::redis::{NEWEST, newest};
use crate::support::wait::{millis, seconds};
use crate::support::{all, wait};
use rustix::process::Signal;
use std::time::Duration;

/// Seconds that a heartbeat lasts here.
const LIFE: &str = "2";
/// This pause is longer than the heartbeat lasts.
const STALLED: Duration = millis(2600);

fn short_lived(inv: Inv) -> Inv {
    inv.set("panda_server_section", "queue['life']", LIFE)
}

/// The users have come back by then: their fields are new.
#[test]
fn resumed_instance_leaves_taken_batch() {
    for version in newest() {
        let queue = Queue::up(&version, 500);
        let tested = queue.list.tested("list_to_hash", "resumed after its batch was taken over");
        let proxy = Proxy::in_front_of(&queue.ar, Duration::ZERO);
        let cut_off = queue.inv().server("redis_ar", "port", &proxy.port.to_string());
        let mut still = Daemon::new(&short_lived(cut_off));
        still.start_and_wait();
        // The instance takes batches and cannot do them.
        proxy.forward_to(None);
        proxy.cut();
        queue.push(0..500);
        wait::until("the items are taken", seconds(20), || queue.list.len(LIST) == 0);
        still.signal(Signal::STOP);
        let mut other = Daemon::new(&short_lived(queue.inv()));
        other.start_and_wait();
        queue.wait_done(&mut other, seconds(30));
        queue.fill(0..500);
        let back = queue.fields_left();
        proxy.forward_to(Some(&queue.ar));
        still.signal(Signal::CONT);
        still.wait_log("another pandad took over", seconds(20));
        // The resumed instance does new items.
        other.stop();
        queue.fill(500..800);
        queue.push(500..800);
        wait::until("the new items are done", seconds(20), || {
            queue.list.len(LIST) == 0 && queue.batches().is_empty()
        });
        assert_eq!(queue.fields_left(), back, "fields of users who had come back are gone");
        still.stop();
        assert_eq!(queue.own_keys().iter().filter(|key| key.ends_with(":batch")).count(), 0);
        tested.passed("500 items");
    }
}

/// Nobody has taken over the instance's batch, so the resumed instance does it.
#[test]
fn resumed_instance_keeps_its_batch() {
    let queue = Queue::up(NEWEST, 500);
    let tested = queue.list.tested("list_to_hash", "resumed, and nobody has taken over its batch");
    let proxy = Proxy::in_front_of(&queue.ar, Duration::ZERO);
    let inv = queue.inv().server("redis_ar", "port", &proxy.port.to_string());
    let mut still = Daemon::new(&short_lived(inv));
    still.start_and_wait();
    proxy.forward_to(None);
    proxy.cut();
    queue.push(0..500);
    wait::until("the items are taken", seconds(20), || queue.list.len(LIST) == 0);
    still.signal(Signal::STOP);
    std::thread::sleep(STALLED);
    proxy.forward_to(Some(&queue.ar));
    still.signal(Signal::CONT);
    queue.wait_done(&mut still, seconds(20));
    still.stop();
    // If a move was under way at the pause, the server may carry it out later.
    queue.assert_clean_but_for_names();
    tested.passed("500 items");
}

/// Two instances share a list; one of them at a time is killed, or paused for longer than its heartbeat
/// lasts, and in the end everything is done.
#[test]
fn kills_and_pauses_of_two_lose_nothing() {
    let (kills, stalls, items, rate) = if all() { (50, 20, 500_000, 4500) } else { (6, 2, 30_000, 3000) };
    for version in newest() {
        let mut run = Run::new(&version, items);
        let tested = run.queue.list.tested("list_to_hash", "two pandads on one list, killed and paused");
        let feed = run.queue.feed_until_finished(0..items, rate);
        let mut daemons = [run.daemon(short_lived), run.daemon(short_lived)];
        let mut instances = [run.start(&mut daemons[0]), run.start(&mut daemons[1])];
        let mut faults: Vec<bool> = (0..kills + stalls).map(|fault| fault < stalls).collect();
        run.dice.shuffle(&mut faults);
        let mut held = 0;
        for stall in faults {
            let one = run.dice.usize(0..2);
            if stall {
                std::thread::sleep(millis(run.dice.u64(0..400)));
                daemons[one].signal(Signal::STOP);
                held += u64::from(run.held(&instances[one]) > 0);
                std::thread::sleep(STALLED);
                daemons[one].signal(Signal::CONT);
            } else {
                run.run_and_kill(&mut daemons[one], &instances[one], 1200);
                instances[one] = run.start(&mut daemons[one]);
            }
        }
        feed.finish();
        println!("{held} of {stalls} pauses with a batch in flight, answers {DISTANCE:?} away");
        run.finish(&mut daemons);
        tested.passed(format_args!("{items} items, {kills} kill -9, {stalls} SIGSTOP"));
    }
}
