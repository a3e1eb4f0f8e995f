//! Takes the fields of a journal's entry off its bytes. All numbers are big-endian.

/// Takes fields off the front. Returns `None` if there are not enough bytes.
pub(super) struct EntryReader<'a>(pub(super) &'a [u8]);

impl<'a> EntryReader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text with its length in front.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A list with its count in front. Each item takes 8 bytes at least, so a wrong count allocates
    /// no more than the entry itself.
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        let mut list = Vec::with_capacity((count as usize).min(self.0.len() / 8));
        for _ in 0..count {
            list.push(item(self)?);
        }
        Some(list)
    }

    /// Passes over the tagged fields that are left.
    pub(super) fn skip_tags(&mut self) -> Option<()> {
        while self.next_tag()?.is_some() {}
        Some(())
    }

    /// The next tagged field. The inner `None`: there is none any more.
    pub(super) fn next_tag(&mut self) -> Option<Option<(u8, &'a [u8])>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let (tag, length) = (self.u8()?, self.u32()? as usize);
        Some(Some((tag, self.bytes(length)?)))
    }
}
