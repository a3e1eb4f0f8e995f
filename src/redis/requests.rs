//! Commands packed one after the other, to be sent at once. The buffer is reused, because with musl an
//! allocation costs more than filling the buffer.

use redis_crate::Cmd;

/// A buffer larger than this, in bytes, is not kept.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Packed commands, and how many answers they get.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    len: usize,
}

impl Requests {
    /// Adds a command.
    pub fn add(&mut self, command: &Cmd) -> &mut Self {
        command.write_packed_command(&mut self.bytes);
        self.len += 1;
        self
    }

    /// Adds a command made of `words` and of arguments that were packed before.
    pub fn add_with(&mut self, words: &[&[u8]], args: &Args) -> &mut Self {
        header(&mut self.bytes, b'*', words.len() + args.len);
        for word in words {
            argument(&mut self.bytes, word);
        }
        self.bytes.extend_from_slice(&args.bytes);
        self.len += 1;
        self
    }

    /// Adds the same command `times` times.
    pub fn repeat(&mut self, command: &Cmd, times: usize) -> &mut Self {
        if times == 0 {
            return self;
        }
        let from = self.bytes.len();
        command.write_packed_command(&mut self.bytes);
        let one = self.bytes.len() - from;
        let mut left = (times - 1).saturating_mul(one);
        self.bytes.reserve(left);
        // The copied part is doubled each time: few long copies are faster than many short ones.
        while left > 0 {
            let there = self.bytes.len() - from;
            let part = there.min(left);
            self.bytes.extend_from_within(from..from + part);
            left -= part;
        }
        self.len += times;
        self
    }

    /// Removes all commands and keeps the memory.
    pub fn clear(&mut self) -> &mut Self {
        self.len = 0;
        keep(&mut self.bytes);
        self
    }

    /// How many answers the commands get.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Arguments that are packed once for many commands.
#[derive(Debug, Default)]
pub struct Args {
    bytes: Vec<u8>,
    len: usize,
}

impl Args {
    /// Adds an argument.
    pub fn add(&mut self, text: &[u8]) {
        argument(&mut self.bytes, text);
        self.len += 1;
    }

    /// Removes all arguments and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
        keep(&mut self.bytes);
    }

    /// The number of arguments.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The size of the packed arguments, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

fn argument(bytes: &mut Vec<u8>, text: &[u8]) {
    header(bytes, b'$', text.len());
    bytes.extend_from_slice(text);
    bytes.extend_from_slice(b"\r\n");
}

/// Appends `*` or `$`, a number, and the end of the line.
fn header(bytes: &mut Vec<u8>, kind: u8, number: usize) {
    bytes.push(kind);
    bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

fn keep(bytes: &mut Vec<u8>) {
    if bytes.capacity() > KEPT_BYTES_MAX {
        *bytes = Vec::new();
    }
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_crate::cmd;

    proptest! {
        #[test]
        fn packed_arguments_are_packed_as_the_crate_packs_them(words: Vec<Vec<u8>>, args: Vec<Vec<u8>>) {
            let mut packed = Args::default();
            args.iter().for_each(|arg| packed.add(arg));
            let mut all: Vec<&[u8]> = vec![b"HDEL"];
            all.extend(words.iter().map(Vec::as_slice));
            let mut ours = Requests::default();
            ours.add_with(&all, &packed);
            let mut theirs = Requests::default();
            theirs.add(cmd("HDEL").arg(&words).arg(&args));
            prop_assert_eq!(ours.bytes(), theirs.bytes());
            prop_assert_eq!((ours.len(), packed.len(), packed.is_empty()), (1, args.len(), args.is_empty()));
            prop_assert!(packed.bytes() >= args.iter().map(Vec::len).sum());
        }

        #[test]
        fn arguments_are_packed_anew_after_clearing(before: Vec<Vec<u8>>, args: Vec<Vec<u8>>) {
            let (mut used, mut fresh) = (Args::default(), Args::default());
            before.iter().for_each(|arg| used.add(arg));
            used.clear();
            for packed in [&mut used, &mut fresh] {
                args.iter().for_each(|arg| packed.add(arg));
            }
            prop_assert_eq!((used.len(), used.bytes), (fresh.len(), fresh.bytes));
        }

        #[test]
        fn a_repeated_command_is_there_so_many_times(times in 0usize..70, key in "[a-z]{0,9}") {
            let command = cmd("LPOP").arg(key).to_owned();
            let (mut ours, mut theirs) = (Requests::default(), Requests::default());
            ours.add(&cmd("PING")).repeat(&command, times);
            theirs.add(&cmd("PING"));
            for _ in 0..times {
                theirs.add(&command);
            }
            prop_assert_eq!(ours.bytes(), theirs.bytes());
            prop_assert_eq!(ours.len(), times + 1);
            prop_assert!(ours.clear().is_empty() && ours.bytes().is_empty());
        }
    }
}
