import re
D={}
D['support/network.rs']='''
A bad network between pandad and a Kafka broker. The broker advertises its second listener
at the address of this proxy, so pandad reaches the broker only through it.

Fault model. The proxy may, for each answer and by a seed: cut the connection after some
bytes of the answer, delay the answer by up to 0.8 s, send part of it and then nothing more
while the connection stays open, or send random bytes in its place. It may cut a connection
in the middle of a request, and close new connections at once. It never changes bytes within
an answer, never reorders or repeats answers, and never loses a request without a cut.'''
D['support/proxy.rs']='''
A proxy between pandad and a Redis server.

Fault model. It delays every answer by a fixed time, as a distant server does. It can cut all
connections, so that answers on their way are lost although the server has carried out the
commands, and it can forward new connections to another server or to none, as an address does
that moves to a new master. It never changes, reorders or repeats bytes.'''
D['support/disk.rs']='''
Disks of a test's own that can be full, fail, be over quota or read-only.

Each disk is mounted in a mount namespace of its own, so that only the daemon sees it and it
ends with the process that holds the namespace. A tmpfs needs no root where user namespaces
are allowed; a file system on a loop device needs root, and the test reports where there is none.

Fault model. A tmpfs refuses writes when somebody else has filled it, and can be remounted
read-only. A device behind ext4 takes no more blocks: the kernel learns of it at write-back,
one fsync fails, and the bytes are lost (`Plain`), or the file system goes read-only
(`Journalled`). btrfs refuses writes over its quota. No disk here returns wrong bytes on
reading or loses power; `src/logfile` simulates power loss.'''
D['support/segment.rs']='''
The file in which a broker keeps a partition's records. While the broker is stopped, a test
may damage one entry in it and repair it later.

Fault model. One entry in the middle of the partition: wrong bytes among its records, which
its checksum reveals, or another codec number with a checksum that fits.'''
D['support/cluster.rs']='''
Several brokers of a test's own, which the test may stop, kill (SIGKILL) and hang (SIGSTOP)
one by one. A killed broker keeps its files: the machine under it never fails.'''
D['support/servers.rs']='''
The real brokers that scripts/test brought up, handed over in environment variables. If one
is missing, the test that needs it fails: a test that is skipped in silence proves nothing.'''
D['support/check.rs']='''
Reads log files that hold test records and reports which records are missing, doubled, torn
or out of order. Each test record names its partition and its place in the partition and
carries a CRC, so a cut or spliced line cannot pass for a whole one.'''
D['support/content.rs']='''
Every kind of record that a broker can hold: which versions have it, how it is produced, and
whether a file of json lines holds exactly the produced records, byte for byte.'''
D['support/daemon.rs']='''
The real binary, run from outside as people run it: an .inv in a directory of its own,
signals, its log, its exit status and what /proc says of it. A failing test prints all of that.'''
D['support/expiry.rs']='''
One server on which keys expire and another one with the work list, and the state that the
tests of expired_to_list compare.'''
D['support/groups.rs']='''
What others than pandad do with a consumer group: read and set its offsets, and be members.'''
D['support/inv.rs']='''
The text of an .inv, built key by key.'''
D['support/pandads.rs']='''
Several pandads of one group, each with a file of its own, and which records may be written
twice when one of them is killed.'''
D['support/produce.rs']='''
Runs tests/tools/produce.py, in the foreground or beside the test as a paced stream. The
producer checks each record's acknowledgement and offset; if a check fails, so does the test.'''
D['support/queue.rs']='''
A work list on one server and the hashes on another, filled with users, and the state that
the tests of list_to_hash compare.'''
D['support/redis.rs']='''
Redis servers of a test's own: real ones of any version, each in a directory of its own, to
be stopped, killed, hung and started again. One takes a few hundredths of a second to start,
so tests share none.'''
D['support/run.rs']='''
Runs the binary to its end, for commands that need no running job.'''
D['support/tail.rs']='''
Follows a log file while it grows and is rotated, and reports how far each partition has come.
It only counts; the checker decides whether the files are whole.'''
D['support/together.rs']='''
Checks the files of several pandads of one group: each record must be in one of them. A record
in the files of two must have been in the settle batch of one that was killed or paused: in its
file, and not yet in the group's offsets.'''
D['support/wait.rs']='''
Waiting with a deadline. If what a test waits for does not come, the failure names it.
No test sleeps in the hope that the time was long enough.'''
D['support/mod.rs']='''
What the integration tests stand on: the real daemon, real servers, real producers, disks
that fail, bad networks, and the checker.'''

D['cli/configuration.rs']='''
What a person meets first: help, the check of a configuration, and exit statuses. None of it
needs a broker. Method: run the binary to its end and compare status and output.'''
D['cli/static_binary.rs']='''
Goal: the released binary is static and does its job. Method: readelf finds neither
interpreter nor libraries, and the binary copies one topic.'''
D['cli/dead_list.rs']='''
`pandad dead FILE list|retry|drop`: items that could not be done are shown, put back or
deleted, whether pandad runs or not.'''
D['cli/group_check.rs']='''
`pandad -t` reports members of the Kafka group with whom pandad cannot share it. Method:
librdkafka is such a member, by each assignor and by the protocol of KIP-848.'''

D['kafka_to_file/bad_network.rs']='''
Goal: over a bad network no record is missing or doubled. Method: a stream of records, read
through support/network.rs with random faults by a seed, then through a good network.'''
D['kafka_to_file/blocked_partitions.rs']='''
Goal: a partition that cannot be read blocks no other. It is corrupt on the broker's disk,
compressed by an unknown codec, without a leader, denied, or behind a transaction that hangs.
Method: the other partitions go on; one line is logged when the partition is blocked and one
when it is read again, and then none of its records is missing.'''
D['kafka_to_file/broker_outages.rs']='''
Goal: a broker that is down, restarts, hangs or does not have the topic yet is waited for.
Method: one line is logged when the outage begins and one when it ends, with its duration,
and no record is missing or doubled.'''
D['kafka_to_file/client_switch.rs']='''
Goal: a group can change between the two clients and keeps its position. Method: the clients
take turns, with one journal throughout or with a new file each turn, so that only the group's
offsets carry the position; no record is missing or doubled.'''
D['kafka_to_file/commits.rs']='''
Goal: pandad's own commits on real brokers of every version, with metadata beside each offset,
are read back by pandad and by others, and refusals name their partition.'''
D['kafka_to_file/content.rs']='''
Goal: every kind of record on every version of Kafka comes out as it was produced: key, value,
headers and time, each record once. Method: content.py produces and notes what it produced;
both clients read, where both can.'''
D['kafka_to_file/coordinator.rs']='''
Goal: when the broker that coordinates a group dies or hangs, pandad finds the next
coordinator and loses no offset. Method: three brokers, the coordinator killed and hung in turn.'''
D['kafka_to_file/damaged_files.rs']='''
Goal: pandad never cuts whole lines, ends torn ones, and two pandads never write one file.
Method: log file or journal are damaged while pandad is stopped.'''
D['kafka_to_file/delivery.rs']='''
Goal: every record arrives, whatever the codec, the line format, the broker's version and the
place of the offsets, and new partitions are found. The two hardest cases are batches of
different codecs side by side.'''
D['kafka_to_file/disk_faults.rs']='''
Goal: a limit on the size of files and a log directory that disappears are waited out.
Method: one line is logged when the fault begins and one when it ends, and the file is whole.'''
D['kafka_to_file/failing_disk.rs']='''
Goal: a disk that is over quota, fails or is read-only is waited out, and the file is whole.
Method: real file systems (support/disk.rs). Where one cannot be had, the test reports that;
`src/logfile` simulates the same faults at every operation.'''
D['kafka_to_file/full_disk.rs']='''
Goal: a full disk is waited out. Method: somebody else fills the disk and frees it later;
pandad logs one line when it must wait and one when it goes on, uses next to no CPU in
between, and the file is whole.'''
D['kafka_to_file/kill9.rs']='''
Goal: kill -9 at any moment leaves no record out, none doubled, none torn, and keeps the order.
Method: a paced stream, random kills of which at least half fall between a write and its
commit, and restarts of the broker.'''
D['kafka_to_file/leaders.rs']='''
Goal: no record is missing or doubled when leaders change. Method: clusters of three whose
leaders are killed, hung and moved while records come in.'''
D['kafka_to_file/recreated_topic.rs']='''
Goal: a topic that was deleted and recreated has new records at old offsets, and all of them
are read. Method: the new topic is longer than the old one was.'''
D['kafka_to_file/offset_resets.rs']='''
Goal: an operator sets the group's offset while pandad is down, and reading goes on exactly
there. Method: back, forward, and to values that pandad itself had committed, by the tools of
each version.'''
D['kafka_to_file/original_format.rs']=None
D['kafka_to_file/restart.rs']='''
Goal: a stopped pandad goes on where it was. Method: after each run the group's offsets are
exactly the ends of what is in the file.'''
D['kafka_to_file/rotation.rs']='''
Goal: rotation by pandad or by others loses no line and puts none into two files, and
`pandad reopen` returns when the file that was moved away is complete.'''
D['kafka_to_file/signals.rs']='''
Goal: TERM, INT and QUIT end pandad cleanly within its deadline, a second signal ends it at
once, and a broker that hangs delays neither.'''

D['group/restarts.rs']='''
Goal: several pandads, each with a file of its own, share one topic across restarts, offset
resets, kills and pauses, and after a change from standalone. Random sequences of many faults
are in chaos.rs.'''
D['group/chaos.rs']='''
Goal: no record is missing and none is twice in one file, whatever happens to the members; a
record in two files was in the settle batch of one that was killed or paused. Method: three
pandads share one topic; every few seconds one is killed, stopped, or paused for longer than
its session, with and without an operator who stops all of them and resets the offsets.'''
D['group/clusters.rs']='''
Goal: a group on three brokers loses no record. Method: members join and leave, partitions are
added, and the broker that coordinates the group is killed and hung, all in mid-stream.'''
D['group/members.rs']='''
Goal: pandad's group member and librdkafka's share one group on real brokers of every version.
Method: compare what each member is assigned and has revoked, and what remains after a kill.'''

D['expired_to_list/canary.rs']='''
Goal: pandad notices when it receives no events though the connection holds, logs it once, and
restores the setting. Method: notifications are turned off, or the master is demoted, under a
live subscription.'''
D['expired_to_list/delivery.rs']='''
Goal: every key that expires while pandad listens comes onto the list on the other server,
once, and no other key does.'''
D['expired_to_list/on_time.rs']='''
Goal: keys expire on time among many others, by whatever command and whenever they got their
deadline, at a bounded cost on the server. Method: so many other keys that Redis by itself
would take minutes to notice.'''
D['expired_to_list/reconcile.rs']='''
Goal: keys that expire while nobody listens are found by their stored deadlines, and of several
pandads one pushes. Method: kills, cut connections and pauses while keys expire.'''

D['list_to_hash/delivery.rs']='''
Goal: every item's field is deleted from every hash and no other field is, unreadable items go
to the dead list, and an empty list costs no polling.'''
D['list_to_hash/came_back.rs']='''
Goal: users who came back keep their fields: their marker key exists again, so their fields
are new.'''
D['list_to_hash/failover.rs']='''
Goal: a failover of the list's or the hashes' server loses no item and leaves nothing behind.
Method: a replica is promoted in mid-stream and the address then leads to it.'''
D['list_to_hash/kill9.rs']='''
Goal: kill -9 leaves no item undone and nothing on any list. Method: a stream of items, random
kills of which at least half fall between an item's move off the list and its acknowledgement;
other instances take over what a killed one held.'''
D['list_to_hash/refusals.rs']='''
Goal: a server that carries out one command and refuses the next loses no item between two
lists, and no log line shows a password.'''
D['list_to_hash/stalled.rs']='''
Goal: an instance that was paused for longer than its heartbeat lasts leaves alone what another
instance has taken over since. Method: SIGSTOP with a batch in flight, alone and among many
kills.'''
D['all_jobs/redis_connections.rs']='''
Goal: Redis is reached by TCP or socket, with a password or as a user of an access list, and
the original's configuration works as it stands, against three servers with passwords and a
real Kafka.'''
D['all_jobs/redis_outages.rs']='''
Goal: a Redis server that is down, hangs, refuses or is no master is waited for, and nothing is
lost. Method: one line is logged when the outage begins and one when it ends.'''
D['all_jobs/one_server_down.rs']='''
Goal: a server that is down stops only the jobs that need it.'''
D['tools/checker.rs']='''
`checker --partitions N --each M[,M..] [--together] FILE...`: reads log files of test records,
prints what is missing, doubled, torn and out of order, and exits with 1 if anything is. Its
tests show that it fails on each kind of damage.'''
for p,t in D.items():
    if t is None: continue
    path='tests/'+p; s=open(path).read()
    m=re.match(r'(//![^\n]*\n)+',s); assert m,p
    doc=''.join(('//! '+l).rstrip()+'\n' for l in t.strip().split('\n'))
    for l in doc.split('\n'): assert len(l)<=105,(p,len(l),l)
    open(path,'w').write(doc+s[m.end():])
