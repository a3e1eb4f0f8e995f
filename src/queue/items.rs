//! Many items in one piece of memory, which is used again and again: an allocation for
//! each item costs more than everything else that is done for it.

/// Memory beyond this, in bytes, is not kept for the next batch.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Items, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Items {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    largest: usize,
}

impl Items {
    /// Adds one at the end.
    pub fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.ends.push(self.bytes.len());
        self.largest = self.largest.max(item.len());
    }

    /// Empty again, the memory kept.
    pub fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.ends.clear();
        self.largest = 0;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What all of them take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What the largest takes, in bytes.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// Each, the first pushed first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let item = self.bytes.get(from..*end).unwrap_or_default();
            from = *end;
            item
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_come_back_as_they_were(first: Vec<Vec<u8>>, then: Vec<Vec<u8>>) {
            let mut items = Items::default();
            for pushed in [first, then] {
                items.clear();
                pushed.iter().for_each(|item| items.push(item));
                prop_assert_eq!(items.iter().collect::<Vec<_>>(), pushed.iter().collect::<Vec<_>>());
                prop_assert_eq!(items.len(), pushed.len());
                prop_assert_eq!(items.largest(), pushed.iter().map(Vec::len).max().unwrap_or(0));
            }
        }
    }
}
