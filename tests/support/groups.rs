//! What other programs than pandad do with a consumer group: read and set its offsets, and be members.

use super::servers::{Kafka, variable};
use super::{unique, wait};
use serde_json::{Value, json};
use std::process::Command;

impl Kafka {
    /// The group's offsets as librdkafka reads them, with their metadata.
    #[track_caller]
    pub fn held(&self, group: &str, topic: &str, partitions: usize) -> Vec<Option<(i64, String)>> {
        let answer =
            self.ask(json!({"do": "held", "group": group, "topic": topic, "partitions": partitions}));
        serde_json::from_value(answer["held"].clone()).unwrap()
    }

    /// The metadata of the first partition's offset, as librdkafka reads it. It must end in a zero.
    #[track_caller]
    pub fn beside(&self, group: &str, topic: &str) -> String {
        let answer = self.ask(json!({"do": "beside", "group": group, "topic": topic}));
        answer["beside"].as_str().unwrap().to_owned()
    }

    /// Sets the group's offset by librdkafka, without metadata.
    #[track_caller]
    pub fn set_offset(&self, group: &str, topic: &str, partition: usize, offset: i64) {
        self.ask(
            json!({"do": "set", "group": group, "topic": topic, "partition": partition, "offset": offset}),
        );
    }

    /// A librdkafka member joins the group and is assigned the topic's partitions.
    #[track_caller]
    pub fn join(&self, group: &str, topic: &str) {
        self.ask(json!({"do": "join", "group": group, "topic": topic}));
    }

    /// The member leaves.
    #[track_caller]
    pub fn part(&self, group: &str) {
        self.ask(json!({"do": "leave", "group": group}));
    }

    /// A librdkafka member that goes on polling. Dropping the value makes it leave.
    #[track_caller]
    pub fn foreign_member(&self, group: &str, topics: &[&str], options: Value) -> ForeignMember {
        let name = unique("foreign");
        self.ask(
            json!({"do": "foreign_join", "name": name, "group": group, "topics": topics, "options": options}),
        );
        ForeignMember { kafka: self.clone(), name }
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
        tool.args(["--topic", topic, "--to-offset", &offset.to_string(), "--timeout", "60000"]);
        let mut said = String::new();
        // The tool gives up by itself if a broker is slow.
        let done = wait::within(wait::seconds(60), || {
            let ran = tool.output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            said = format!("{}\n{out}\n{err}", ran.status);
            let timed_out = out.contains("TimeoutException");
            let done = ran.status.success() && out.contains(topic) && !out.contains("Error");
            assert!(done || timed_out, "{tool:?}: {said}");
            done
        });
        assert!(done, "{tool:?}: {said}");
    }
}

/// A group member that is librdkafka.
pub struct ForeignMember {
    kafka: Kafka,
    name: String,
}

impl ForeignMember {
    /// Its assigned partitions, in order.
    #[track_caller]
    pub fn assigned(&self) -> Vec<(String, i32)> {
        let answer = self.kafka.ask(json!({"do": "foreign_assigned", "name": self.name}));
        serde_json::from_value(answer["assigned"].clone()).unwrap()
    }

    /// Makes the member leave the group.
    #[track_caller]
    pub fn leave(self) {
        drop(self);
    }
}

impl Drop for ForeignMember {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kafka.ask(json!({"do": "foreign_leave", "name": self.name}));
        }
    }
}
