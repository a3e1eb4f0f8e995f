//! Goal: whoever looks sees that a server is gone, at once and on every surface, and that it is back.
//! Method: servers are killed, or never there; the page's paths, `pandad status` and USR2 are asked.

use crate::support::daemon::Daemon;
use crate::support::inv::Inv;
use crate::support::produce::Produce;
use crate::support::queue::Queue;
use crate::support::redis::NEWEST;
use crate::support::run::run;
use crate::support::servers::{kafka, victim};
use crate::support::unique;
use crate::support::wait::{self, seconds};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How soon a closed connection must show.
const SHOWN_MAX: Duration = Duration::from_secs(2);

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A daemon whose status page is served.
struct Watched {
    daemon: Daemon,
    port: u16,
}

impl Watched {
    fn start(inv: &Inv) -> Watched {
        let port = free_port();
        let http = format!("127.0.0.1:{port}");
        let mut daemon = Daemon::new(&inv.clone().set("daemon_section", "http", &http));
        daemon.start();
        daemon.wait_log(&format!("the status page is served at http://{http}/"), seconds(30));
        Watched { daemon, port }
    }

    /// The status and the body of the answer.
    fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).unwrap()
    }

    /// A connection that is refused may be reset before its answer is read.
    fn try_get(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.get("/status.json").1).unwrap()
    }

    fn inv(&self) -> String {
        self.daemon.dir.join("test.inv").display().to_string()
    }

    #[track_caller]
    fn wait_ready(&self) {
        wait::until("it is ready", seconds(30), || self.get("/ready").0 == 200);
    }

    /// Every surface says that this server of this job does not serve.
    #[track_caller]
    fn assert_shows_down(&mut self, job: &str, server: &str, limit: Duration) {
        let line = format!("{job}: waiting: {server}");
        let reason = |text: &str| text.lines().any(|one| one.starts_with(&line));
        wait::until("/ready names it", limit, || {
            let (status, text) = self.get("/ready");
            status == 503 && reason(&text)
        });
        let json = self.json();
        assert_eq!(json["well"], false);
        let of_job = |one: &&Value| one["name"] == job;
        let state = json["jobs"].as_array().unwrap().iter().find(of_job).unwrap();
        assert_eq!(state["state"], "waiting", "{state}");
        let metrics = self.get("/metrics").1;
        assert!(metrics.contains(&format!("pandad_job_up{{job_name=\"{job}\"}} 0\n")), "{metrics}");
        let ran = run(&["status", &self.inv()]).expect(1);
        assert!(ran.out.contains(&format!("{job}: waiting for ")) && ran.out.contains(server), "{}", ran.out);
        let before = self.daemon.log_lines("state: state=").len();
        self.daemon.signal(Signal::USR2);
        wait::until("the state lines are logged", seconds(10), || {
            self.daemon.log_lines("state: state=").len() > before
        });
        let line = self.daemon.log_lines(&format!("{job}: state: state=waiting "));
        assert!(line.last().is_some_and(|line| line.contains(server)), "{line:?}");
    }

    #[track_caller]
    fn assert_well(&self) {
        self.wait_ready();
        assert_eq!(self.json()["well"], true);
        run(&["status", &self.inv()]).expect(0);
    }
}

#[test]
fn killed_redis_shows_at_once() {
    let mut queue = Queue::up(NEWEST, 10);
    let tested = queue.list.tested("list_to_hash", "a killed server shows within 2 s on every surface");
    let mut watched = Watched::start(&queue.inv());
    queue.push(0..10);
    queue.wait_done(&mut watched.daemon, seconds(20));
    watched.assert_well();
    // No item comes meanwhile: nobody but the watch notices.
    queue.ar.kill();
    watched.assert_shows_down("list_to_hash", "redis_ar", SHOWN_MAX);
    queue.ar.start();
    watched.assert_well();
    queue.list.kill();
    watched.assert_shows_down("list_to_hash", "redis_list", SHOWN_MAX);
    queue.list.start();
    watched.assert_well();
    watched.daemon.stop();
    run(&["status", &watched.inv()]).expect(3).says("no pandad of");
    tested.passed("2 servers");
}

#[test]
fn killed_kafka_shows_at_once() {
    let broker = victim();
    let tested = broker.kafka.tested("a killed broker shows within 2 s on every surface");
    let (topic, group) = (unique("status"), unique("status"));
    broker.kafka.create(&topic, 2);
    Produce::seq(&broker.kafka, &topic, 1000).with("--partitions", 2).run();
    let mut watched = Watched::start(&Inv::log(&broker.kafka, &topic, &group));
    watched.daemon.wait_written(&[500; 2], seconds(30));
    watched.assert_well();
    let lag = || watched.json()["jobs"][0]["figures"]["lag"].clone();
    wait::until("the lag is known", seconds(20), || lag() == 0);
    let metrics = watched.get("/metrics").1;
    for number in [0, 1] {
        let labels = format!("{{consumergroup=\"{group}\",topic=\"{topic}\",partition=\"{number}\"}}");
        for (name, value) in [("consumergroup_lag", 0), ("partition_landed_offset", 500)] {
            assert!(metrics.contains(&format!("pandad_{name}{labels} {value}\n")), "{metrics}");
        }
    }
    broker.kill();
    wait::until("it shows", SHOWN_MAX, || watched.get("/ready").0 == 503);
    watched.assert_shows_down("kafka_to_file", &broker.kafka.address, seconds(20));
    broker.start();
    watched.assert_well();
    watched.daemon.stop();
    tested.passed("1000 records");
}

#[test]
fn servers_that_were_never_reached_show() {
    let (broker, list, ar) = (free_port(), free_port(), free_port());
    let topic = unique("status");
    let inv = Inv::log(&kafka("3.9.1"), &topic, &topic)
        .job("broker_list", &format!("127.0.0.1:{broker}"))
        .set("panda_server_section", "max_process_num", "2");
    let inv = [("redis_list", list), ("redis_ar", ar)].into_iter().fold(inv, |inv, (name, port)| {
        inv.server(name, "host", "127.0.0.1").server(name, "port", &port.to_string())
    });
    let mut watched = Watched::start(&inv);
    watched.assert_shows_down("kafka_to_file", &format!("127.0.0.1:{broker}"), seconds(10));
    watched.assert_shows_down("list_to_hash", &format!("redis_list 127.0.0.1:{list}"), seconds(10));
    watched.assert_shows_down("list_to_hash", &format!("redis_ar 127.0.0.1:{ar}"), seconds(10));
    let lines = watched.daemon.log_lines("kafka_to_file: state: ");
    assert!(lines.iter().all(|line| line.contains(" lag=unknown ")), "{lines:?}");
    watched.daemon.stop();
}

/// Both run: one serves the page, the other one says that the port is taken, and takes it over later.
#[test]
fn two_pandads_with_one_port_both_start() {
    let (queue, other) = (Queue::up(NEWEST, 10), Queue::up(NEWEST, 10));
    let mut first = Watched::start(&queue.inv());
    let http = format!("127.0.0.1:{}", first.port);
    let mut second = Daemon::new(&other.inv().set("daemon_section", "http", &http));
    second.start_and_wait();
    second.wait_log("another process has it", seconds(10));
    let inv = second.dir.join("test.inv").display().to_string();
    wait::until("it is well", seconds(20), || run(&["status", &inv]).out.contains("list_to_hash: running"));
    first.daemon.stop();
    second.wait_log("is served after", seconds(60));
    assert_eq!(first.get("/live").0, 200);
    second.stop();
}

/// A storm of requests, senders that never end and connections that nobody uses change nothing.
#[test]
fn a_storm_of_requests_leaves_no_descriptor() {
    let queue = Queue::up(NEWEST, 10);
    let mut watched = Watched::start(&queue.inv());
    watched.assert_well();
    let descriptors = format!("/proc/{}/fd", watched.daemon.id());
    let open = || std::fs::read_dir(&descriptors).unwrap().count();
    queue.push(0..5);
    wait::until("the first are done", seconds(20), || queue.fields_left() == 5 * 17);
    // Every connection that the jobs keep is open by now.
    std::thread::sleep(seconds(3));
    let before = open();
    let half_open: Vec<_> =
        (0..50).map(|_| TcpStream::connect(("127.0.0.1", watched.port)).unwrap()).collect();
    let count = if crate::support::all() { 10_000 } else { 500 };
    let mut answered = [0; 2];
    let until = wait::deadline(seconds(60));
    // Who sends nothing holds a place only for a while.
    while answered[0] < count && Instant::now() < until {
        let path = ["/status.json", "/metrics", "/ready", "/"][answered[0] % 4];
        match watched.try_get(path) {
            Ok((200, _)) => answered[0] += 1,
            Ok((503, _)) | Err(_) => answered[1] += 1,
            Ok((other, _)) => panic!("{path}: {other}"),
        }
    }
    drop(half_open);
    println!("{} answers, {} refusals", answered[0], answered[1]);
    assert_eq!(answered[0], count);
    wait::until("the descriptors are as before", seconds(20), || open() <= before);
    queue.push(5..10);
    queue.wait_done(&mut watched.daemon, seconds(20));
    watched.daemon.stop();
}
