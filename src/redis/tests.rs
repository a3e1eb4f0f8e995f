//! Connections and links, beside a server in the process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fake_server::{FakeRedis, FakeValue};
use super::*;
use crate::error::Fault;

fn open(redis: &FakeRedis) -> RedisConnection {
    RedisConnection::open(&redis.server()).unwrap()
}

fn get(key: &str) -> Cmd {
    cmd("GET").arg(key).to_owned()
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

#[test]
fn a_connection_logs_in_as_configured() {
    let redis = FakeRedis::start();
    let plain = redis.server();
    let of = |user: &str, password: &str, database, name: &str| RedisServer {
        user: user.to_owned(),
        password: password.to_owned(),
        database,
        client_name: name.to_owned(),
        ..(*plain).clone()
    };
    for (server, expected) in [
        (of("", "", 0, ""), vec!["PING"]),
        (of("", "secret", 0, ""), vec!["AUTH secret", "PING"]),
        (of("me", "secret", 3, "a:b"), vec!["AUTH me secret", "SELECT 3", "PING", "CLIENT SETNAME a:b"]),
        // The server allows no blanks in it.
        (of("", "", 0, "a b"), vec!["PING"]),
    ] {
        redis.data().said.clear();
        assert!(RedisConnection::open(&server).is_ok());
        assert_eq!(redis.data().said, expected);
    }
    redis.data().refuses.insert("CLIENT".to_owned(), "NOPERM no permission".to_owned());
    assert!(RedisConnection::open(&of("", "", 0, "a:b")).is_ok(), "the name is only for people");
    redis.data().refuses.insert("PING".to_owned(), "NOAUTH Authentication required.".to_owned());
    assert!(RedisConnection::open(&plain).is_err_and(|error| error.has_code("NOAUTH")));
}

/// A server that does not know AUTH repeats its arguments. Any other refusal is the server's own words.
#[test]
fn no_error_shows_the_password() {
    let redis = FakeRedis::start();
    let server = RedisServer { password: "secret".to_owned(), ..(*redis.server()).clone() };
    let refused = |text: &str| {
        redis.data().refuses.insert("AUTH".to_owned(), text.to_owned());
        RedisConnection::open(&server).err().unwrap().to_string()
    };
    let unknown = refused("ERR unknown command `AUTH`, with args beginning with: `secret`");
    assert!(unknown.contains("it does not know AUTH") && !unknown.contains("secret"), "{unknown}");
    assert!(refused("WRONGPASS invalid username-password pair").contains("invalid username-password"));
}

#[test]
fn answers_come_in_their_order() {
    let redis = FakeRedis::start();
    redis.set("a", "1");
    redis.set("b", "2");
    redis.data().keys.insert(b"list".to_vec(), FakeValue::List([b"x".to_vec()].into()));
    let mut connection = open(&redis);
    assert_eq!(connection.ask(&get("a")), Ok(text("1")));
    assert!(connection.ask(&get("list")).is_err_and(|error| error.has_code("WRONGTYPE")));
    let mut requests = Requests::default();
    requests.add(&get("a")).add(&get("list")).add(&get("b"));
    let answers = connection.ask_all(&requests).unwrap();
    assert_eq!((answers.len(), &answers[0], &answers[2]), (3, &text("1"), &text("2")));
    assert!(connection.demand_all(&requests).is_err_and(|error| error.has_code("WRONGTYPE")));
    requests.clear().add(&get("b")).add(&get("a"));
    assert_eq!(connection.demand_all(&requests), Ok(vec![text("2"), text("1")]));
    assert_eq!(connection.ask_all(&Requests::default()), Ok(Vec::new()));
    // A refusal inside a transaction stands among the answers of EXEC.
    requests.clear().add(&cmd("MULTI")).add(&get("list")).add(&cmd("EXEC"));
    assert!(connection.demand_all(&requests).is_err_and(|error| error.has_code("WRONGTYPE")));
}

#[test]
fn a_replica_is_recognized() {
    let redis = FakeRedis::start();
    redis.data().is_replica = true;
    let mut connection = open(&redis);
    for _ in 0..2 {
        assert!(connection.demand_master().is_err_and(|error| error.has_code("READONLY")));
    }
    redis.data().is_replica = false;
    assert_eq!((connection.demand_master(), connection.demand_master()), (Ok(()), Ok(())));
    assert_eq!(redis.count("ROLE"), 3, "a master is asked once");
    redis.data().refuses.insert("ROLE".to_owned(), "NOPERM no permission".to_owned());
    assert_eq!(open(&redis).demand_master(), Ok(()), "whoever may not ask takes it for one");
}

#[test]
fn a_lost_connection_is_named() {
    let redis = FakeRedis::start();
    redis.data().loses_answers.insert("GET".to_owned());
    let lost = open(&redis).ask(&get("a")).unwrap_err();
    assert_eq!(lost, RedisError::Lost("the connection was closed".to_owned()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = ServerAddress::Tcp("127.0.0.1".to_owned(), port);
    let nowhere = RedisServer { address, ..(*redis.server()).clone() };
    let refused = RedisConnection::open(&nowhere).err().unwrap().to_string();
    assert!(refused.contains("refused"), "{refused}");
}

/// A server that answers PING by `answer`, and how to connect to it.
fn slow_server(answer: impl FnOnce(TcpStream) + Send + 'static) -> RedisServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut ping = [0; 14];
        stream.read_exact(&mut ping).unwrap();
        assert_eq!(&ping, b"*1\r\n$4\r\nPING\r\n");
        answer(stream);
    });
    let address = ServerAddress::Tcp("127.0.0.1".to_owned(), port);
    let connect_timeout = Duration::from_secs(1);
    RedisServer { address, connect_timeout, ..(*FakeRedis::start().server()).clone() }
}

/// Each byte comes long before the time limit, and all of these together long after it.
#[test]
fn an_answer_that_drips_has_a_time_limit() {
    let server = slow_server(|mut stream| {
        let _gone = [b'+'; 600].into_iter().try_for_each(|byte| {
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(&[byte])
        });
    });
    let began = Instant::now();
    let late = RedisConnection::open(&server).err();
    assert_eq!(late, Some(RedisError::Lost("no answer in time".to_owned())));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// An item of many megabytes over a slow line.
#[test]
fn a_long_answer_has_more_time() {
    let server = slow_server(|mut stream| {
        let answer = [b"$1000000\r\n".as_slice(), &[b'x'; 1_000_000], b"\r\n"].concat();
        stream.write_all(&answer[..900_000]).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        stream.write_all(&answer[900_000..]).unwrap();
    });
    assert_eq!(RedisConnection::open(&server).err(), None);
}

/// A connection that was open may have ended for any reason, so what may be repeated is repeated on a new
/// one; what may not be is not, and neither is an outage.
#[test]
fn a_link_repeats_only_what_it_may() {
    let redis = FakeRedis::start();
    redis.set("a", "1");
    let health = redis.health();
    let mut link = Link::new(redis.server(), health.role("test"));
    let loses = || assert!(redis.data().loses_answers.insert("GET".to_owned()));
    let mut tries = 0;
    let mut second_succeeds = |connection: &mut RedisConnection| {
        tries += 1;
        if tries % 2 == 0 {
            redis.data().loses_answers.clear();
        }
        connection.ask(&get("a"))
    };
    assert_eq!(link.with_retry(|connection| connection.ask(&cmd("PING")).map(drop)), Ok(()));
    loses();
    assert_eq!(link.with_retry(&mut second_succeeds), Ok(text("1")));
    // The connection is open, so this is no outage yet.
    loses();
    assert_eq!(link.once(|connection| connection.ask(&get("a"))), Err(Fault::RetryLogged));
    assert!(!health.role("test").up(), "nothing was down");
    // This connection is new.
    assert_eq!(link.with_retry(|connection| connection.ask(&get("a"))), Err(Fault::RetryLogged));
    assert_eq!((redis.count("GET"), health.role("test").up()), (4, true));
}

/// A caller may do without an answer that does not come in time. That answer must not be taken for the answer
/// to the next command, neither on the connection nor by the link.
#[test]
fn a_late_answer_is_taken_for_no_other() {
    let redis = FakeRedis::start();
    redis.set("a", "late");
    redis.set("b", "right");
    redis.data().slow.insert("GET".to_owned(), Duration::from_millis(200));
    let give_up_after = |connection: &mut RedisConnection, requests: &Requests| {
        connection.set_answer_timeout(Duration::from_millis(20));
        assert!(matches!(connection.ask_all(requests), Err(RedisError::Lost(_))));
        connection.set_answer_timeout(Duration::from_secs(10));
        redis.data().slow.clear();
    };
    let mut late = Requests::default();
    late.add(&cmd("PING")).add(&get("a"));
    let mut connection = open(&redis);
    give_up_after(&mut connection, &late);
    for _ in 0..2 {
        assert!(matches!(connection.ask(&get("b")), Err(RedisError::Lost(_))));
        assert!(matches!(connection.ask_all(&late), Err(RedisError::Lost(_))));
    }
    redis.data().slow.insert("GET".to_owned(), Duration::from_millis(200));
    let mut link = redis.link();
    assert_eq!(
        link.once(|connection| {
            give_up_after(connection, &late);
            Ok(())
        }),
        Ok(())
    );
    assert_eq!(link.once(|connection| connection.ask(&get("b"))), Ok(text("right")));
}

/// A Sentinel knows PING, AUTH and ROLE, and refuses almost everything else.
#[test]
fn a_sentinel_is_named() {
    let redis = FakeRedis::start();
    redis.data().sentinel_of = Some("mymaster".to_owned());
    for name in ["SET", "SELECT"] {
        redis.data().refuses.insert(name.to_owned(), format!("ERR unknown command '{name}'"));
    }
    let expected = "this is a Redis Sentinel, which holds no keys: set host and port of the master that it \
                    watches (\"mymaster\") in the .inv";
    let named = |error: RedisError| assert_eq!(error, RedisError::Lost(expected.to_owned()));
    named(open(&redis).demand_master().unwrap_err());
    named(RedisConnection::open(&RedisServer { database: 3, ..(*redis.server()).clone() }).err().unwrap());
    let mut link = redis.link();
    assert!(link.once(|connection| connection.ask(cmd("SET").arg("a").arg("b"))).is_err());
    assert_eq!(redis.count("ROLE"), 3, "a refusal is explained");
    let mut connection = open(&redis);
    redis.data().sentinel_of = None;
    let refusal = connection.ask(cmd("SET").arg("a").arg("b")).unwrap_err();
    assert_eq!(connection.explain(refusal.clone()), refusal);
}

/// One role can fail while another works.
#[test]
fn a_server_is_back_when_every_role_is() {
    let redis = FakeRedis::start();
    let health = redis.health();
    let (reads, writes) = (health.role("read"), health.role("write"));
    reads.down("away");
    assert!(!writes.up() && reads.up() && !reads.up());
}

#[test]
fn messages_are_heard_until_the_listener_has_enough() {
    let redis = FakeRedis::start();
    let channels = ["a", "b"].map(str::to_owned);
    let quiet = Duration::from_millis(200);
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (sends, began) = (redis.clone(), Instant::now());
    let sender = std::thread::spawn(move || {
        while sends.publish("a", b"one") == 0 || sends.publish("b", b"two") == 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "nobody listens");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut is_subscribed = false;
    let ended = open(&redis).listen(
        &channels,
        quiet,
        || is_subscribed = true,
        |message| {
            let message = message.map(|(channel, payload)| (channel.to_owned(), payload.to_vec()));
            heard.lock().unwrap().push(message.clone());
            message.is_some() || !heard.lock().unwrap().iter().any(Option::is_some)
        },
    );
    sender.join().unwrap();
    assert_eq!((ended, is_subscribed), (Ok(()), true));
    let heard = heard.lock().unwrap();
    for (channel, payload) in [("a", b"one"), ("b", b"two")] {
        assert!(heard.contains(&Some((channel.to_owned(), payload.to_vec()))), "{heard:?}");
    }
    assert_eq!(heard.last(), Some(&None), "silence is told, too");
    redis.data().refuses.insert("SUBSCRIBE".to_owned(), "NOPERM no permission".to_owned());
    let refused = open(&redis).listen(&channels, quiet, || panic!("it is not subscribed"), |_| true);
    assert!(refused.is_err_and(|error| error.has_code("NOPERM")));
}

/// Proxies close the connection at commands that they do not know.
#[test]
fn a_command_that_ends_the_connection_is_left_out() {
    let redis = FakeRedis::start();
    for name in ["CLIENT", "ROLE", "CONFIG", "INFO"] {
        redis.data().loses_answers.insert(name.to_owned());
    }
    let server = RedisServer { client_name: "a:b".to_owned(), ..(*redis.server()).clone() };
    let mut link = Link::new(Arc::new(server), redis.health());
    let mut check = EvictionCheck::new("test".to_owned());
    let mut ask = |connection: &mut RedisConnection| {
        connection.demand_master()?;
        let evicts = check.evicts(connection)?;
        Ok((evicts, connection.ask(&get("key"))?))
    };
    let tries = (0..12).take_while(|_| link.with_retry(&mut ask).is_err()).count();
    assert!(tries < 12, "it never worked");
    assert_eq!(link.with_retry(&mut ask), Ok((false, Value::Nil)));
    let asked = ["CLIENT", "ROLE", "CONFIG", "INFO"].map(|name| redis.count(name));
    assert_eq!(asked, [2, 2, 2, 2]);
}

/// A server that has answered before is asked again, however often it is lost at the same command.
#[test]
fn what_was_answered_before_is_asked_again() {
    let redis = FakeRedis::start();
    let mut link = redis.link();
    let demand = |connection: &mut RedisConnection| connection.ask_optional("ROLE", &cmd("ROLE")).map(drop);
    assert!(link.once(demand).is_ok());
    redis.data().loses_answers.insert("ROLE".to_owned());
    assert!((0..5).all(|_| link.once(demand).is_err()));
    redis.data().loses_answers.clear();
    assert!(link.once(demand).is_ok());
}

/// Services that others run refuse CONFIG, or answer it with nothing.
#[test]
fn info_tells_the_policy_where_config_does_not() {
    let redis = FakeRedis::start();
    redis.data().info = "maxmemory:7\r\nmaxmemory_policy:volatile-ttl\r\n".to_owned();
    let mut check = EvictionCheck::new("test".to_owned());
    assert_eq!(check.evicts(&mut open(&redis)), Ok(true), "the answer to CONFIG is empty");
    redis.data().refuses.insert("CONFIG".to_owned(), "NOPERM no permission".to_owned());
    assert_eq!(check.evicts(&mut open(&redis)), Ok(true));
    redis.data().info.clear();
    assert_eq!(check.evicts(&mut open(&redis)), Ok(false));
}
