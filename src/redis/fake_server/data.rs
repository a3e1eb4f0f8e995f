//! What the server holds, and how it carries out each command.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub(super) type Bytes = Vec<u8>;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum FakeValue {
    Text(Bytes),
    List(VecDeque<Bytes>),
    Hash(BTreeMap<Bytes, Bytes>),
    /// Members with their scores.
    Sorted(BTreeMap<Bytes, i64>),
}

/// What the server holds, and what it does wrong.
#[derive(Default)]
pub struct FakeData {
    pub keys: BTreeMap<Bytes, FakeValue>,
    /// When keys with a time to live expire.
    expires: BTreeMap<Bytes, Instant>,
    /// How often each key was changed, for WATCH.
    pub(super) changes: BTreeMap<Bytes, u64>,
    /// The commands so far, without their arguments, and with them.
    pub asked: Vec<String>,
    pub said: Vec<String>,
    /// The subscribed channels, each with its connection.
    pub(super) listeners: Vec<(Bytes, TcpStream)>,
    /// These commands are refused with this error.
    pub refuses: BTreeMap<String, String>,
    /// These commands are carried out, and the connection is closed before their answer.
    pub loses_answers: BTreeSet<String>,
    /// These commands are carried out so much later.
    pub slow: BTreeMap<String, Duration>,
    /// Whether the server says that it is a replica.
    pub is_replica: bool,
    /// The master that the server watches, if it is a Sentinel.
    pub sentinel_of: Option<String>,
    /// Somebody writes this text to this key just before the next transaction.
    pub writes_before_exec: Option<(String, String)>,
    /// Keys that have expired, and that the server has not noticed yet.
    pub unnoticed: BTreeSet<Bytes>,
    /// The server is paused before the PTTL with this number: it says of expired keys that they are gone. A
    /// write waits for the end of the pause.
    pub pauses_before: Option<usize>,
    is_paused: bool,
    /// The answer to INFO.
    pub info: String,
}

#[derive(Debug)]
pub(super) enum Reply {
    Ok,
    Nil,
    NilArray,
    Int(i64),
    Bulk(Bytes),
    Status(&'static str),
    Array(Vec<Reply>),
    Error(String),
    /// The answers are written already.
    Nothing,
}

impl FakeData {
    pub(super) fn change(&mut self, key: &[u8]) {
        *self.changes.entry(key.to_vec()).or_default() += 1;
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.change(key);
        self.expires.remove(key);
        self.keys.remove(key).is_some()
    }

    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let due = self.expires.iter().filter(|(_, at)| **at <= now);
        let due: Vec<Bytes> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.remove(&key);
        }
    }

    /// Before a command that is not in a transaction: a pause can begin there.
    pub(super) fn count_towards_pause(&mut self, name: &str) {
        if let Some(left) = self.pauses_before.as_mut().filter(|_| name == "PTTL") {
            self.is_paused |= *left == 0;
            *left = left.saturating_sub(1);
        }
    }

    pub(super) fn list(&mut self, key: &[u8]) -> Result<&mut VecDeque<Bytes>, Reply> {
        self.change(key);
        match self.keys.entry(key.to_vec()).or_insert_with(|| FakeValue::List(VecDeque::new())) {
            FakeValue::List(list) => Ok(list),
            _ => Err(wrong_type()),
        }
    }

    fn hash(&mut self, key: &[u8]) -> Result<&mut BTreeMap<Bytes, Bytes>, Reply> {
        self.change(key);
        match self.keys.entry(key.to_vec()).or_insert_with(|| FakeValue::Hash(BTreeMap::new())) {
            FakeValue::Hash(hash) => Ok(hash),
            _ => Err(wrong_type()),
        }
    }

    fn sorted(&mut self, key: &[u8]) -> Result<&mut BTreeMap<Bytes, i64>, Reply> {
        self.change(key);
        match self.keys.entry(key.to_vec()).or_insert_with(|| FakeValue::Sorted(BTreeMap::new())) {
            FakeValue::Sorted(set) => Ok(set),
            _ => Err(wrong_type()),
        }
    }

    /// Lists, hashes and sorted sets that became empty do not exist.
    fn drop_empty(&mut self) {
        self.keys.retain(|_, value| match value {
            FakeValue::Text(_) => true,
            FakeValue::List(list) => !list.is_empty(),
            FakeValue::Hash(hash) => !hash.is_empty(),
            FakeValue::Sorted(set) => !set.is_empty(),
        });
    }

    pub(super) fn answer(&mut self, name: &str, args: &[Bytes]) -> Reply {
        self.expire();
        self.is_paused &= name != "DEL";
        let done = self.carry_out(name, args).unwrap_or_else(|refusal| refusal);
        self.drop_empty();
        done
    }

    fn carry_out(&mut self, name: &str, args: &[Bytes]) -> Result<Reply, Reply> {
        let key = args.first().cloned().unwrap_or_default();
        Ok(match name {
            "PING" | "AUTH" | "SELECT" | "CLIENT" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" => Reply::Ok,
            "ROLE" if let Some(master) = &self.sentinel_of => Reply::Array(vec![
                Reply::Bulk(b"sentinel".to_vec()),
                Reply::Array(vec![Reply::Bulk(master.clone().into_bytes())]),
            ]),
            "ROLE" => Reply::Array(vec![Reply::Bulk(if self.is_replica {
                b"slave".to_vec()
            } else {
                b"master".to_vec()
            })]),
            // Nothing is set.
            "CONFIG" => Reply::Array(Vec::new()),
            "INFO" => Reply::Bulk(self.info.clone().into_bytes()),
            "COMMAND" => Reply::Array(vec![Reply::Array(vec![Reply::Bulk(b"blmove".to_vec())])]),
            "EXISTS" => Reply::Int(args.iter().filter(|key| self.keys.contains_key(*key)).count() as i64),
            "DEL" => Reply::Int(args.iter().filter(|key| self.remove(key)).count() as i64),
            "GET" | "SET" | "PTTL" | "PEXPIRE" => return self.on_text(name, key, args),
            "TYPE" => Reply::Status(match self.keys.get(&key) {
                None => "none",
                Some(FakeValue::Text(_)) => "string",
                Some(FakeValue::List(_)) => "list",
                Some(FakeValue::Hash(_)) => "hash",
                Some(FakeValue::Sorted(_)) => "zset",
            }),
            "RENAMENX" => match self.keys.contains_key(&args[1]) {
                true => Reply::Int(0),
                false => {
                    let value = self.keys.remove(&key);
                    let value = value.ok_or_else(|| Reply::Error("ERR no such key".to_owned()))?;
                    self.change(&key);
                    self.change(&args[1]);
                    self.keys.insert(args[1].clone(), value);
                    Reply::Int(1)
                }
            },
            "HSET" => {
                let hash = self.hash(&key)?;
                let new = args[1..]
                    .chunks(2)
                    .filter(|pair| hash.insert(pair[0].clone(), pair[1].clone()).is_none());
                Reply::Int(new.count() as i64)
            }
            "HDEL" => {
                let hash = self.hash(&key)?;
                Reply::Int(args[1..].iter().filter(|field| hash.remove(*field).is_some()).count() as i64)
            }
            "HGETALL" => {
                let all = self.hash(&key)?.iter().flat_map(|(field, value)| [field.clone(), value.clone()]);
                Reply::Array(all.map(Reply::Bulk).collect())
            }
            "ZADD" | "ZREM" | "ZSCORE" | "ZRANGEBYSCORE" => return self.on_sorted(name, &key, args),
            _ => return self.on_list(name, &key, args),
        })
    }

    fn on_text(&mut self, name: &str, key: Bytes, args: &[Bytes]) -> Result<Reply, Reply> {
        Ok(match name {
            "GET" => match self.keys.get(&key) {
                None => Reply::Nil,
                Some(FakeValue::Text(text)) => Reply::Bulk(text.clone()),
                Some(_) => return Err(wrong_type()),
            },
            "SET" if args.last().is_some_and(|last| last == b"NX") && self.keys.contains_key(&key) => {
                Reply::Nil
            }
            "SET" => {
                self.remove(&key);
                self.keys.insert(key.clone(), FakeValue::Text(args[1].clone()));
                if let Some(place) = args.iter().position(|arg| arg == b"PX") {
                    let ttl = Duration::from_millis(number(&args[place + 1]) as u64);
                    self.expires.insert(key, Instant::now() + ttl);
                }
                Reply::Ok
            }
            "PTTL" if self.unnoticed.contains(&key) => {
                if !self.is_paused {
                    self.unnoticed.remove(&key);
                }
                Reply::Int(-2)
            }
            "PTTL" => Reply::Int(match (self.keys.contains_key(&key), self.expires.get(&key)) {
                (false, _) => -2,
                (true, None) => -1,
                (true, Some(at)) => at.saturating_duration_since(Instant::now()).as_millis() as i64,
            }),
            _ => match self.keys.contains_key(&key) {
                true => {
                    let life = Duration::from_millis(number(&args[1]) as u64);
                    self.expires.insert(key, Instant::now() + life);
                    Reply::Int(1)
                }
                false => Reply::Int(0),
            },
        })
    }

    fn on_sorted(&mut self, name: &str, key: &[u8], args: &[Bytes]) -> Result<Reply, Reply> {
        let set = self.sorted(key)?;
        Ok(match name {
            "ZADD" => {
                let pairs = args[1..].chunks(2).map(|pair| (pair[1].clone(), number(&pair[0])));
                Reply::Int(
                    pairs.filter(|(member, score)| set.insert(member.clone(), *score).is_none()).count()
                        as i64,
                )
            }
            "ZREM" => {
                Reply::Int(args[1..].iter().filter(|member| set.remove(*member).is_some()).count() as i64)
            }
            "ZSCORE" => match set.get(&args[1]) {
                Some(score) => Reply::Bulk(score.to_string().into_bytes()),
                None => Reply::Nil,
            },
            _ => {
                let most = number(&args[2]);
                let mut found: Vec<_> = set.iter().filter(|(_, score)| **score <= most).collect();
                found.sort_by_key(|(_, score)| **score);
                let (skipped, count) = (number(&args[4]) as usize, number(&args[5]) as usize);
                let members = found.into_iter().skip(skipped).take(count);
                Reply::Array(members.map(|(member, _)| Reply::Bulk(member.clone())).collect())
            }
        })
    }

    fn on_list(&mut self, name: &str, key: &[u8], args: &[Bytes]) -> Result<Reply, Reply> {
        let list = self.list(key)?;
        let range = |from: &[u8], to: &[u8]| {
            let place = |at: i64| (if at < 0 { at + list.len() as i64 } else { at }).max(0) as usize;
            let end = if number(to) < -(list.len() as i64) { 0 } else { place(number(to)) + 1 };
            (place(number(from)), end.min(list.len()))
        };
        Ok(match name {
            "LLEN" => Reply::Int(list.len() as i64),
            "LPUSH" => {
                args[1..].iter().for_each(|item| list.push_front(item.clone()));
                Reply::Int(list.len() as i64)
            }
            "LRANGE" => {
                let (from, end) = range(&args[1], &args[2]);
                let items = list.iter().take(end).skip(from).cloned();
                Reply::Array(items.map(Reply::Bulk).collect())
            }
            "LTRIM" => {
                let (from, end) = range(&args[1], &args[2]);
                *list = list.iter().take(end).skip(from).cloned().collect();
                Reply::Ok
            }
            "LREM" => {
                assert_eq!(number(&args[1]), -1, "only the last one is removed");
                let place = list.iter().rposition(|item| *item == args[2]);
                Reply::Int(place.and_then(|place| list.remove(place)).map_or(0, |_| 1))
            }
            "LMOVE" | "BLMOVE" => self.move_item(key, &args[1], &args[2], &args[3])?,
            "RPOPLPUSH" | "BRPOPLPUSH" => self.move_item(key, &args[1], b"RIGHT", b"LEFT")?,
            other => panic!("the fake server does not know {other}"),
        })
    }

    fn move_item(&mut self, from: &[u8], to: &[u8], end: &[u8], start: &[u8]) -> Result<Reply, Reply> {
        let list = self.list(from)?;
        let item = if end == b"LEFT" { list.pop_front() } else { list.pop_back() };
        let Some(item) = item else { return Ok(Reply::Nil) };
        let list = self.list(to)?;
        if start == b"LEFT" {
            list.push_front(item.clone())
        } else {
            list.push_back(item.clone())
        }
        Ok(Reply::Bulk(item))
    }
}

fn wrong_type() -> Reply {
    Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
}

pub(super) fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

pub(super) fn encode(reply: &Reply, out: &mut Bytes) {
    match reply {
        Reply::Nothing => {}
        Reply::Ok => out.extend_from_slice(b"+OK\r\n"),
        Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
        Reply::NilArray => out.extend_from_slice(b"*-1\r\n"),
        Reply::Status(word) => out.extend_from_slice(format!("+{word}\r\n").as_bytes()),
        Reply::Int(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
        Reply::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
        Reply::Bulk(bytes) => {
            out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Reply::Array(all) => {
            out.extend_from_slice(format!("*{}\r\n", all.len()).as_bytes());
            all.iter().for_each(|one| encode(one, out));
        }
    }
}
