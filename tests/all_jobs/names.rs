//! Goal: a server whose name has an IPv4 address is reached by that name, whatever answer the question for
//! IPv6 addresses gets. Method: the daemon sees a resolv.conf of the test with a name server that refuses,
//! denies or ignores this question; Kafka and Redis are real.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::name_server::{Ipv6, NAME, NameServer};
use crate::support::produce::Produce;
use crate::support::queue::Queue;
use crate::support::redis::NEWEST;
use crate::support::servers::kafka;
use crate::support::unique;
use crate::support::wait::seconds;

#[test]
fn name_with_an_ipv4_address_resolves() {
    let kafka = kafka("4.1.0");
    let tested = kafka.tested("names whose IPv6 addresses cannot be asked for");
    let topic = unique("names");
    kafka.create(&topic, 1);
    Produce::seq(&kafka, &topic, 100).run();
    for ipv6 in [Ipv6::NoSuchName, Ipv6::ServerFailure, Ipv6::Silence] {
        println!("IPv6: {ipv6:?}");
        let names = NameServer::up(ipv6);
        let queue = Queue::up(NEWEST, 100);
        let (_, port) = kafka.address.rsplit_once(':').unwrap();
        let inv = Inv::log(&kafka, &topic, &unique("names"))
            .set("log_section", "broker_list", &format!("{NAME}:{port}"))
            .and(queue.inv())
            .server("redis_list", "host", NAME)
            .server("redis_ar", "host", NAME);
        let mut daemon = Daemon::new(&inv).behind(names.prefix());
        daemon.start_and_wait();
        queue.push(0..100);
        daemon.wait_written(&[100], seconds(30));
        queue.wait_done(&mut daemon, seconds(30));
        daemon.finish(&[100], seconds(30));
        queue.assert_clean();
    }
    tested.passed("100 records, 100 items");
}
