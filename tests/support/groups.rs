//! What others than pandad do with a consumer group: look, set its offsets, be a
//! member of it.

use super::servers::{Kafka, variable};
use super::unique;
use serde_json::{Value, json};
use std::process::Command;

impl Kafka {
    /// The group's offsets as librdkafka reads them, with what stands beside them.
    #[track_caller]
    pub fn held(&self, group: &str, topic: &str, partitions: usize) -> Vec<Option<(i64, String)>> {
        let answer =
            self.ask(json!({"do": "held", "group": group, "topic": topic, "partitions": partitions}));
        serde_json::from_value(answer["held"].clone()).unwrap()
    }

    /// What librdkafka finds beside the first partition's offset. It must end in a zero.
    #[track_caller]
    pub fn beside(&self, group: &str, topic: &str) -> String {
        let answer = self.ask(json!({"do": "beside", "group": group, "topic": topic}));
        answer["beside"].as_str().unwrap().to_owned()
    }

    /// Sets the group's offset by librdkafka, with nothing beside it.
    #[track_caller]
    pub fn set_offset(&self, group: &str, topic: &str, partition: usize, offset: i64) {
        self.ask(
            json!({"do": "set", "group": group, "topic": topic, "partition": partition, "offset": offset}),
        );
    }

    /// A live member of the group, assigned the topic's partitions.
    #[track_caller]
    pub fn join(&self, group: &str, topic: &str) {
        self.ask(json!({"do": "join", "group": group, "topic": topic}));
    }

    /// The member goes.
    #[track_caller]
    pub fn part(&self, group: &str) {
        self.ask(json!({"do": "leave", "group": group}));
    }

    /// A live member of the group that is librdkafka and goes on polling. Gone with the value.
    #[track_caller]
    pub fn mate(&self, group: &str, topics: &[&str], options: Value) -> Mate {
        let name = unique("mate");
        self.ask(json!({"do": "mate", "name": name, "group": group, "topics": topics, "options": options}));
        Mate { kafka: self.clone(), name }
    }

    /// `kafka-consumer-groups --reset-offsets` as this version ships it, from 1.0 on.
    #[track_caller]
    pub fn reset_by_the_tool(&self, group: &str, topic: &str, offset: i64) {
        let class = if self.at_least(3, 3) {
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        } else {
            "kafka.admin.ConsumerGroupCommand"
        };
        let libs = variable(&format!("PANDAD_KAFKA_{}_LIBS", self.version.replace('.', "_")));
        let mut tool = Command::new(variable("PANDAD_JAVA"));
        tool.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &format!("{libs}/*"), class]);
        tool.args(["--bootstrap-server", &self.address, "--group", group, "--reset-offsets", "--execute"]);
        tool.args(["--topic", topic, "--to-offset", &offset.to_string()]);
        let ran = tool.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let done = ran.status.success() && said.contains(topic) && !said.contains("Error");
        assert!(done, "{tool:?}: {}\n{said}\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    }
}

/// A member of a group that is librdkafka.
pub struct Mate {
    kafka: Kafka,
    name: String,
}

impl Mate {
    /// What it was given, in order.
    #[track_caller]
    pub fn has(&self) -> Vec<(String, i32)> {
        let answer = self.kafka.ask(json!({"do": "mate_has", "name": self.name}));
        serde_json::from_value(answer["has"].clone()).unwrap()
    }

    /// It leaves the group.
    #[track_caller]
    pub fn go(self) {
        drop(self);
    }
}

impl Drop for Mate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kafka.ask(json!({"do": "mate_goes", "name": self.name}));
        }
    }
}
