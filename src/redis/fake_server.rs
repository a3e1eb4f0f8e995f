//! For tests: a Redis in the process, with lists, hashes, strings, WATCH and MULTI. A test sees and changes
//! what it holds, and makes commands fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::{Health, Link, RedisServer, ServerAddress};

type Bytes = Vec<u8>;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum FakeValue {
    Text(Bytes),
    List(VecDeque<Bytes>),
    Hash(BTreeMap<Bytes, Bytes>),
}

/// What the server holds, and what it does wrong.
#[derive(Default)]
pub struct FakeData {
    pub keys: BTreeMap<Bytes, FakeValue>,
    /// When keys with a time to live expire.
    expires: BTreeMap<Bytes, Instant>,
    /// How often each key was changed, for WATCH.
    changes: BTreeMap<Bytes, u64>,
    /// The commands so far, without their arguments, and with them.
    pub asked: Vec<String>,
    pub said: Vec<String>,
    /// The subscribed channels, each with its connection.
    listeners: Vec<(Bytes, TcpStream)>,
    /// These commands are refused with this error.
    pub refuses: BTreeMap<String, String>,
    /// These commands are carried out, and the connection is closed before their answer.
    pub loses_answers: BTreeSet<String>,
    /// These commands are carried out so much later.
    pub slow: BTreeMap<String, Duration>,
    /// Whether the server says that it is a replica.
    pub is_replica: bool,
}

#[derive(Debug)]
enum Reply {
    Ok,
    Nil,
    NilArray,
    Int(i64),
    Bulk(Bytes),
    Array(Vec<Reply>),
    Error(String),
    /// The answers are written already.
    Nothing,
}

/// See the module. Clones are the same server.
#[derive(Clone)]
pub struct FakeRedis {
    port: u16,
    data: Arc<Mutex<FakeData>>,
}

impl FakeRedis {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let redis = Self { port: listener.local_addr().unwrap().port(), data: Arc::default() };
        let data = Arc::clone(&redis.data);
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let data = Arc::clone(&data);
                thread::spawn(move || Session::new(stream.unwrap(), data).serve());
            }
        });
        redis
    }

    pub fn server(&self) -> Arc<RedisServer> {
        Arc::new(RedisServer {
            name: "redis_test",
            address: ServerAddress::Tcp("127.0.0.1".to_owned(), self.port),
            user: String::new(),
            password: String::new(),
            database: 0,
            connect_timeout: Duration::from_secs(10),
            client_name: String::new(),
        })
    }

    pub fn health(&self) -> Health {
        Health::new("test", &self.server())
    }

    pub fn link(&self) -> Link {
        Link::new(self.server(), self.health())
    }

    pub fn data(&self) -> MutexGuard<'_, FakeData> {
        self.data.lock().unwrap()
    }

    /// The items of a list, the leftmost first.
    pub fn list(&self, key: &str) -> Vec<String> {
        match self.data().keys.get(key.as_bytes()) {
            Some(FakeValue::List(items)) => {
                items.iter().map(|item| String::from_utf8(item.clone()).unwrap()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Pushes items at the left, as producers do.
    pub fn push(&self, key: &str, items: &[&str]) {
        let mut data = self.data();
        let list = data.list(key.as_bytes()).unwrap();
        items.iter().for_each(|item| list.push_front(item.as_bytes().to_vec()));
    }

    pub fn set(&self, key: &str, value: &str) {
        let mut data = self.data();
        data.change(key.as_bytes());
        data.keys.insert(key.as_bytes().to_vec(), FakeValue::Text(value.as_bytes().to_vec()));
    }

    pub fn set_fields(&self, key: &str, fields: &[(&str, &str)]) {
        let all = fields.iter().map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self.data().keys.insert(key.as_bytes().to_vec(), FakeValue::Hash(all.collect()));
    }

    /// The names of a hash's fields.
    pub fn fields(&self, key: &str) -> Vec<String> {
        match self.data().keys.get(key.as_bytes()) {
            Some(FakeValue::Hash(all)) => {
                all.keys().map(|field| String::from_utf8(field.clone()).unwrap()).collect()
            }
            _ => Vec::new(),
        }
    }

    pub fn remove(&self, key: &str) {
        let mut data = self.data();
        data.remove(key.as_bytes());
    }

    pub fn holds(&self, key: &str) -> bool {
        self.data().keys.contains_key(key.as_bytes())
    }

    /// Sends a message to whoever listens to the channel; their number.
    pub fn publish(&self, channel: &str, payload: &[u8]) -> usize {
        let words = [b"message".to_vec(), channel.as_bytes().to_vec(), payload.to_vec()];
        let mut bytes = Vec::new();
        encode(&Reply::Array(words.map(Reply::Bulk).into()), &mut bytes);
        let mut data = self.data();
        let listeners = data.listeners.iter_mut().filter(|(known, _)| known == channel.as_bytes());
        listeners.filter_map(|(_, stream)| stream.write_all(&bytes).ok()).count()
    }

    /// How often this command was asked for.
    pub fn count(&self, command: &str) -> usize {
        self.data().asked.iter().filter(|asked| *asked == command).count()
    }
}

impl FakeData {
    fn change(&mut self, key: &[u8]) {
        *self.changes.entry(key.to_vec()).or_default() += 1;
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.change(key);
        self.expires.remove(key);
        self.keys.remove(key).is_some()
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let due = self.expires.iter().filter(|(_, at)| **at <= now);
        let due: Vec<Bytes> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.remove(&key);
        }
    }

    fn list(&mut self, key: &[u8]) -> Result<&mut VecDeque<Bytes>, Reply> {
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

    /// Lists and hashes that became empty do not exist.
    fn drop_empty(&mut self) {
        self.keys.retain(|_, value| match value {
            FakeValue::Text(_) => true,
            FakeValue::List(list) => !list.is_empty(),
            FakeValue::Hash(hash) => !hash.is_empty(),
        });
    }

    fn answer(&mut self, name: &str, args: &[Bytes]) -> Reply {
        self.expire();
        let done = self.carry_out(name, args).unwrap_or_else(|refusal| refusal);
        self.drop_empty();
        done
    }

    fn carry_out(&mut self, name: &str, args: &[Bytes]) -> Result<Reply, Reply> {
        let key = args.first().cloned().unwrap_or_default();
        Ok(match name {
            "PING" | "AUTH" | "SELECT" | "CLIENT" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" => Reply::Ok,
            "ROLE" => Reply::Array(vec![Reply::Bulk(if self.is_replica {
                b"slave".to_vec()
            } else {
                b"master".to_vec()
            })]),
            "COMMAND" => Reply::Array(vec![Reply::Array(vec![Reply::Bulk(b"blmove".to_vec())])]),
            "EXISTS" => Reply::Int(args.iter().filter(|key| self.keys.contains_key(*key)).count() as i64),
            "DEL" => Reply::Int(args.iter().filter(|key| self.remove(key)).count() as i64),
            "GET" => match self.keys.get(&key) {
                None => Reply::Nil,
                Some(FakeValue::Text(text)) => Reply::Bulk(text.clone()),
                Some(_) => return Err(wrong_type()),
            },
            "SET" => {
                self.remove(&key);
                self.keys.insert(key.clone(), FakeValue::Text(args[1].clone()));
                if let Some(place) = args.iter().position(|arg| arg == b"PX") {
                    let ttl = Duration::from_millis(number(&args[place + 1]) as u64);
                    self.expires.insert(key, Instant::now() + ttl);
                }
                Reply::Ok
            }
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
            _ => return self.on_list(name, &key, args),
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

fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// One connection.
struct Session {
    from: BufReader<TcpStream>,
    to: TcpStream,
    data: Arc<Mutex<FakeData>>,
    /// The watched keys, with their numbers of changes.
    watched: Vec<(Bytes, u64)>,
    /// The commands since MULTI.
    queued: Option<Vec<(String, Vec<Bytes>)>>,
    /// Whether it has subscribed to a channel.
    listens: bool,
}

impl Session {
    fn new(stream: TcpStream, data: Arc<Mutex<FakeData>>) -> Self {
        let from = BufReader::new(stream.try_clone().unwrap());
        Self { from, to: stream, data, watched: Vec::new(), queued: None, listens: false }
    }

    fn serve(&mut self) {
        while let Some((name, args)) = self.read() {
            let pause = self.data.lock().unwrap().slow.get(&name).copied();
            thread::sleep(pause.unwrap_or_default());
            let reply = self.answer(&name, args);
            let is_lost = self.data.lock().unwrap().loses_answers.contains(&name);
            let mut bytes = Vec::new();
            encode(&reply, &mut bytes);
            // The client may have closed the connection.
            if is_lost || self.to.write_all(&bytes).is_err() {
                // The other half of the stream is open, too, so dropping this one would not close it.
                let _ = self.to.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }

    fn read(&mut self) -> Option<(String, Vec<Bytes>)> {
        let count = self.header(b'*')?;
        let mut words = Vec::new();
        for _ in 0..count {
            let mut word = vec![0; self.header(b'$')? + 2];
            self.from.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            words.push(word);
        }
        let name = String::from_utf8(words.remove(0)).unwrap().to_ascii_uppercase();
        Some((name, words))
    }

    fn header(&mut self, kind: u8) -> Option<usize> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line).ok().filter(|length| *length > 2)?;
        assert_eq!(line.remove(0), kind);
        Some(number(&line[..line.len() - 2]) as usize)
    }

    fn answer(&mut self, name: &str, args: Vec<Bytes>) -> Reply {
        let data = Arc::clone(&self.data);
        let mut data = data.lock().unwrap();
        data.asked.push(name.to_owned());
        let words = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned());
        data.said.push(words.fold(name.to_owned(), |line, word| format!("{line} {word}")));
        if let Some(refusal) = data.refuses.get(name) {
            return Reply::Error(refusal.clone());
        }
        match name {
            "MULTI" => self.queued = Some(Vec::new()),
            "WATCH" => {
                let changes = |key: Bytes| (data.changes.get(&key).copied().unwrap_or(0), key);
                self.watched.extend(args.into_iter().map(changes).map(|(count, key)| (key, count)));
            }
            "UNWATCH" => self.watched.clear(),
            "SUBSCRIBE" => {
                for channel in args {
                    let confirmed = [b"subscribe".to_vec(), channel.clone()].map(Reply::Bulk);
                    let confirmed = confirmed.into_iter().chain([Reply::Int(1)]).collect();
                    let mut bytes = Vec::new();
                    encode(&Reply::Array(confirmed), &mut bytes);
                    self.to.write_all(&bytes).unwrap();
                    data.listeners.push((channel, self.to.try_clone().unwrap()));
                }
                self.listens = true;
                return Reply::Nothing;
            }
            "PING" if self.listens => {
                return Reply::Array(vec![Reply::Bulk(b"pong".to_vec()), Reply::Bulk(Vec::new())]);
            }
            "EXEC" => {
                data.expire();
                let is_same =
                    |(key, count): (Bytes, u64)| data.changes.get(&key).copied().unwrap_or(0) == count;
                let holds = std::mem::take(&mut self.watched).into_iter().all(is_same);
                let queued = self.queued.take().unwrap();
                if !holds {
                    return Reply::NilArray;
                }
                let replies = queued.into_iter().map(|(name, args)| data.answer(&name, &args));
                return Reply::Array(replies.collect());
            }
            _ => match &mut self.queued {
                Some(queued) => queued.push((name.to_owned(), args)),
                None => {
                    let is_blocking = name.starts_with('B');
                    let reply = data.answer(name, &args);
                    drop(data);
                    if is_blocking && matches!(reply, Reply::Nil) {
                        // A shorter time than the one asked for.
                        thread::sleep(Duration::from_millis(20));
                    }
                    return reply;
                }
            },
        }
        Reply::Ok
    }
}

fn encode(reply: &Reply, out: &mut Bytes) {
    match reply {
        Reply::Nothing => {}
        Reply::Ok => out.extend_from_slice(b"+OK\r\n"),
        Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
        Reply::NilArray => out.extend_from_slice(b"*-1\r\n"),
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
