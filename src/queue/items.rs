//! Many items in one buffer, which is reused. With a separate allocation for each item, allocating would
//! cost more than all other work on the item.

/// A buffer larger than this, in bytes, is not kept for the next batch.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Items, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Items {
    bytes: Vec<u8>,
    /// Where each item ends in `bytes`.
    ends: Vec<usize>,
    largest: usize,
}

impl Items {
    /// Adds an item at the end.
    pub fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.ends.push(self.bytes.len());
        self.largest = self.largest.max(item.len());
    }

    /// Removes all items and keeps the memory.
    pub fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.ends.clear();
        self.largest = 0;
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The size of all items, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The size of the largest item, in bytes.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// The items in their order.
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
