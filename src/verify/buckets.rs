//! Two multisets of lines are compared in bounded memory: each line goes to one of 65,536 buckets by its
//! hash, and a bucket keeps the number of its lines and the sum of their hashes. The topics add, the files
//! subtract. Where all buckets are zero in the end, both sides have the same lines the same number of times,
//! except with a probability of about 1 in 2^128.

/// How many buckets there are.
pub(super) const BUCKETS: usize = 1 << 16;

/// The bucket of a line.
pub(super) fn bucket_of(hash: u128) -> usize {
    (hash & (BUCKETS as u128 - 1)) as usize
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    lines: i64,
    sum: u128,
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self { buckets: vec![Bucket::default(); BUCKETS] }
    }

    /// Adds a line so many times; a negative number subtracts it.
    pub(super) fn add(&mut self, hash: u128, times: i64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(hash)) {
            bucket.lines += times;
            bucket.sum = bucket.sum.wrapping_add(hash.wrapping_mul(i128::from(times).cast_unsigned()));
        }
    }

    /// Adds what another thread has counted.
    pub(super) fn add_all(&mut self, other: &Buckets) {
        for (bucket, other) in self.buckets.iter_mut().zip(&other.buckets) {
            bucket.lines += other.lines;
            bucket.sum = bucket.sum.wrapping_add(other.sum);
        }
    }

    /// The buckets in which both sides differ, in order, each with how many more lines the
    /// topics have there.
    pub(super) fn differing(&self) -> Vec<(usize, i64)> {
        let differing = self.buckets.iter().enumerate().filter(|(_, bucket)| **bucket != Bucket::default());
        differing.map(|(at, bucket)| (at, bucket.lines)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::lines::hash_of;

    #[test]
    fn equal_multisets_leave_nothing_whatever_their_order() {
        let lines: Vec<u128> = (0..5000_u32).map(|n| hash_of(1, &(n % 4000).to_be_bytes())).collect();
        let (mut topics, mut files) = (Buckets::new(), Buckets::new());
        lines.iter().for_each(|hash| topics.add(*hash, 1));
        lines.iter().rev().for_each(|hash| files.add(*hash, -1));
        let mut all = topics.clone();
        all.add_all(&files);
        assert_eq!(all.differing(), []);
        // One line more, one line less, another line in its place.
        for (added, removed, more) in [(Some(hash_of(1, b"x")), None, -1), (None, Some(lines[7]), 1)] {
            let mut other = all.clone();
            added.iter().for_each(|hash| other.add(*hash, -1));
            removed.iter().for_each(|hash| other.add(*hash, 1));
            let bucket = added.or(removed).map(bucket_of).unwrap();
            assert_eq!(other.differing(), [(bucket, more)]);
        }
        // The same number of lines in the same bucket, of which one is another.
        all.add(lines[7], 1);
        all.add(lines[7] ^ 1 << 90, -1);
        assert_eq!(all.differing(), [(bucket_of(lines[7]), 0)]);
    }
}
