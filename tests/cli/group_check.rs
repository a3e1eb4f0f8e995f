//! `pandad -t` reports members of the Kafka group with whom pandad cannot share it. Method:
//! librdkafka is such a member, by each assignor and by the protocol of KIP-848.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::pandads::partitions_of;
use crate::support::produce::Produce;
use crate::support::run::run;
use crate::support::servers::{Store, brokers, kafka};
use crate::support::{directory, unique, wait};

/// `pandad -t` names the members of the group with whom this pandad cannot share it.
#[test]
fn check_reports_foreign_members() {
    for kafka in brokers() {
        let tested = kafka.tested("pandad -t reports foreign group members");
        let (topic, group) = (unique("check"), unique("check"));
        kafka.create(&topic, 1);
        let (member, alone) = (Inv::member(&kafka, &topic, &group), Inv::log(&kafka, &topic, &group));
        let said = |inv: &Inv| {
            let dir = directory("check");
            std::fs::write(dir.join("test.inv"), inv.text()).unwrap();
            let ran = run(&["-t", dir.join("test.inv").to_str().unwrap()]).expect(0);
            std::fs::remove_dir_all(dir).unwrap();
            ran.out
        };
        let with = |options: serde_json::Value| {
            let foreign = kafka.foreign_member(&group, &[&topic], options);
            wait::until("librdkafka is assigned the partition", wait::seconds(60), || {
                foreign.assigned().len() == 1
            });
            foreign
        };
        // A new cluster creates the offsets topic only with the first question about a group.
        kafka.committed(Store::Kafka, &group, &topic, 1);
        assert_eq!((said(&member).as_str(), said(&alone).as_str()), ("OK\n", "OK\n"), "nobody is there");
        let foreign = with(serde_json::json!({"client.id": "the-other"}));
        assert_eq!(said(&member), "OK\n", "it shares out by range");
        let warned = said(&alone);
        assert!(warned.contains("1 live member ('the-other' at /127.0.0.1)"), "{warned}");
        foreign.leave();
        let foreign = with(serde_json::json!({"partition.assignment.strategy": "roundrobin"}));
        let warned = said(&member);
        assert!(warned.contains("the assignor 'roundrobin'") && warned.ends_with("OK\n"), "{warned}");
        foreign.leave();
        tested.passed("range, roundrobin");
    }
}

/// Brokers do not describe a group of the KIP-848 protocol in answers of the older version. pandad reports
/// such a group all the same, and the broker lets pandad share it.
#[test]
fn kip_848_group_is_reported_and_shared() {
    let kafka = kafka("4.1.0");
    let tested = kafka.tested("a group of the KIP-848 protocol: reported by pandad -t, and joined");
    let (topic, group) = (unique("later"), unique("later"));
    kafka.create(&topic, 4);
    let foreign = kafka.foreign_member(&group, &[&topic], serde_json::json!({"group.protocol": "consumer"}));
    wait::until("librdkafka is assigned all", wait::seconds(60), || foreign.assigned().len() == 4);
    let check = |inv: &Inv| {
        let daemon = Daemon::new(inv);
        run(&["-t", daemon.dir.join("test.inv").to_str().unwrap()]).expect(0).says("later protocol");
    };
    check(&Inv::member(&kafka, &topic, &group));
    check(&Inv::log(&kafka, &topic, &group));
    let mut daemon = Daemon::new(&Inv::member(&kafka, &topic, &group));
    daemon.start_and_wait();
    wait::until("they share", wait::seconds(60), || {
        partitions_of(&daemon) == 2 && foreign.assigned().len() == 2
    });
    foreign.leave();
    wait::until("pandad is assigned all", wait::seconds(60), || partitions_of(&daemon) == 4);
    Produce::seq(&kafka, &topic, 400).with("--partitions", 4).run();
    daemon.finish(&[100; 4], wait::seconds(60));
    tested.passed("400 records, 4 partitions");
}
