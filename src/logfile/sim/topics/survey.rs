//! What is in the files, and what is wrong with that.

use std::collections::BTreeMap;

use super::run::Run;
use super::{FOREIGN, PARTITIONS, RECORDS, TOPICS, World, path_of, topic_of};
use crate::logfile::sim::many::read_line;

impl World {
    /// What is wrong in the end.
    pub(super) fn all_faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        (0..TOPICS.len()).for_each(|topic| faults.extend(self.faults_of(topic)));
        faults
    }

    /// The run has come to its end: checks the topics whose files are not in trouble.
    pub(super) fn check_others(&mut self, run: &Run) {
        // A planned failure at the start may have left any file.
        let is_left = |topic| self.disk.has_failed_as_planned() && !run.is_open(topic);
        let (troubled, others): (Vec<usize>, Vec<usize>) =
            (0..TOPICS.len()).partition(|topic| self.is_in_trouble(*topic) || is_left(*topic));
        let mut faults = Vec::new();
        if !run.has_settled_but(&troubled) {
            faults.push("not all has settled".to_owned());
        }
        for topic in others {
            if !run.has_written(topic) {
                faults.push(format!("{} waits for another topic", TOPICS[topic]));
            }
            faults.extend(self.faults_of(topic));
            for number in (0..PARTITIONS.len()).filter(|number| topic_of(*number) == topic) {
                let committed = self.group[number].as_ref().map(|(offset, _)| *offset);
                if committed != Some(RECORDS) {
                    faults.push(format!("the group has {committed:?} of {number}"));
                }
            }
        }
        let troubled: Vec<&str> = troubled.into_iter().map(|topic| TOPICS[topic]).collect();
        self.faults.extend(faults.into_iter().map(|fault| format!("while {troubled:?} waits: {fault}")));
    }

    /// What is wrong with the files of one topic.
    fn faults_of(&self, topic: usize) -> Vec<String> {
        let (mut faults, mut seen) = (Vec::new(), BTreeMap::<(usize, i64), usize>::new());
        let mut of_files: Vec<(String, [Vec<i64>; PARTITIONS.len()])> = Vec::new();
        for (name, bytes) in self.disk.contents(path_of(topic).to_str().unwrap()) {
            let mut records = [const { Vec::new() }; PARTITIONS.len()];
            for line in String::from_utf8_lossy(&bytes)
                .split_inclusive('\n')
                .filter(|line| !line.starts_with(FOREIGN))
            {
                match read_line(line).filter(|(number, _)| topic_of(*number) == topic) {
                    Some((number, record)) => {
                        *seen.entry((number, record)).or_default() += 1;
                        records[number].push(record);
                    }
                    None => faults.push(format!("{name}: torn: {line:?}")),
                }
            }
            of_files.push((name, records));
        }
        for number in (0..PARTITIONS.len()).filter(|number| topic_of(*number) == topic) {
            let mut files: Vec<(&str, &[i64])> =
                of_files.iter().map(|(name, records)| (name.as_str(), &records[number][..])).collect();
            files.retain(|(_, records)| !records.is_empty());
            // The file that is at the path was begun last.
            files.sort_by_key(|(name, records)| (path_of(topic).to_str() == Some(name), records[0]));
            let in_order: Vec<i64> = files.iter().flat_map(|(_, records)| records.iter().copied()).collect();
            if !in_order.is_sorted() {
                faults.push(format!("{number} is out of order: {files:?}"));
            }
            for record in 0..RECORDS {
                match seen.get(&(number, record)) {
                    Some(1) => {}
                    Some(count) => faults.push(format!("{number}/{record} is there {count} times")),
                    None => faults.push(format!("{number}/{record} is missing")),
                }
            }
        }
        faults
    }
}
