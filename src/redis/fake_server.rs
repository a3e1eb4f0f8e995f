//! For tests: a Redis in the process, with lists, hashes, strings, WATCH and MULTI. A test sees and changes
//! what it holds, and makes commands fail.

mod data;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub use data::{FakeData, FakeValue};

use data::{Bytes, Reply, encode, number};

use super::{Health, LeftOutCommands, Link, RedisServer, ServerAddress};
use crate::report::Conditions;

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

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
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
            left_out: LeftOutCommands::default(),
            tls: None,
        })
    }

    pub fn health(&self) -> Health {
        Health::new("test", &self.server(), &Conditions::default())
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

/// One connection.
struct Session {
    from: BufReader<TcpStream>,
    to: TcpStream,
    data: Arc<Mutex<FakeData>>,
    /// The watched keys, with their numbers of changes.
    watched: Vec<(Bytes, u64)>,
    /// The commands since MULTI.
    queued: Option<Vec<(String, Vec<Bytes>)>>,
    /// Whether one of these was refused.
    is_aborted: bool,
    /// Whether it has subscribed to a channel.
    listens: bool,
}

impl Session {
    fn new(stream: TcpStream, data: Arc<Mutex<FakeData>>) -> Self {
        let from = BufReader::new(stream.try_clone().unwrap());
        Self { from, to: stream, data, watched: Vec::new(), queued: None, is_aborted: false, listens: false }
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
            self.is_aborted |= self.queued.is_some() && name != "EXEC";
            return Reply::Error(refusal.clone());
        }
        match name {
            "MULTI" => self.queued = Some(Vec::new()),
            "WATCH" => {
                let changes = |key: Bytes| (data.changes.get(&key).copied().unwrap_or(0), key);
                self.watched.extend(args.into_iter().map(changes).map(|(count, key)| (key, count)));
            }
            "UNWATCH" => self.watched.clear(),
            "DISCARD" => self.queued = None,
            "EXEC" if self.queued.is_none() => return Reply::Error("ERR EXEC without MULTI".to_owned()),
            "EXEC" if self.is_aborted => {
                (self.is_aborted, self.queued) = (false, None);
                let why = "EXECABORT Transaction discarded because of previous errors.";
                return Reply::Error(why.to_owned());
            }
            "SUBSCRIBE" if data.loses_answers.contains(name) => return Reply::Nothing,
            "SUBSCRIBE" => return self.subscribe(&mut data, args),
            "PING" if self.listens => {
                return Reply::Array(vec![Reply::Bulk(b"pong".to_vec()), Reply::Bulk(Vec::new())]);
            }
            "EXEC" => {
                data.expire();
                if let Some((key, text)) = data.writes_before_exec.take() {
                    data.change(key.as_bytes());
                    data.keys.insert(key.into_bytes(), FakeValue::Text(text.into_bytes()));
                }
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
                    data.count_towards_pause(name);
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

    fn subscribe(&mut self, data: &mut FakeData, channels: Vec<Bytes>) -> Reply {
        for channel in channels {
            let confirmed = [b"subscribe".to_vec(), channel.clone()].map(Reply::Bulk);
            let confirmed = confirmed.into_iter().chain([Reply::Int(1)]).collect();
            let mut bytes = Vec::new();
            encode(&Reply::Array(confirmed), &mut bytes);
            self.to.write_all(&bytes).unwrap();
            data.listeners.push((channel, self.to.try_clone().unwrap()));
        }
        self.listens = true;
        Reply::Nothing
    }
}
