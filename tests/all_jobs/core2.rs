//! Goal: the binary runs on a processor of 2006, an Intel Core 2, whose instructions end with SSSE3.
//! Method: QEMU emulates one for this process alone.

use crate::support::all_jobs::AllJobs;
use crate::support::daemon::{Daemon, LISTENING};
use crate::support::directory;
use crate::support::produce::Produce;
use crate::support::servers::binary;
use crate::support::wait::seconds;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

const EMULATOR: &str = "qemu-x86_64";

/// Runs a program by the emulated processor.
#[track_caller]
fn emulated(processor: &str, program: &Path, arguments: &[&str]) -> Output {
    Command::new(EMULATOR).args(["-cpu", processor]).arg(program).args(arguments).output().unwrap()
}

/// The bytes of a program that computes a CRC by an instruction of SSE 4.2 and exits with 0.
fn newer_program() -> Vec<u8> {
    let code = [
        0xf2, 0x0f, 0x38, 0xf1, 0xc1, // crc32 eax, ecx
        0x31, 0xff, // xor edi, edi
        0xb8, 0x3c, 0, 0, 0, // mov eax, 60: exit
        0x0f, 0x05, // syscall
    ];
    let (base, headers) = (0x40_0000_u64, 64 + 56_u64);
    let size = headers + code.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // The ELF header: executable, x86-64, version 1, entry, program headers, no sections, flags, sizes.
    bytes.extend([2_u16, 62].iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([base + headers, 64, 0].iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend([64_u16, 56, 1, 64, 0, 0].iter().flat_map(|field| field.to_le_bytes()));
    // One program header: loaded, readable and executable, the whole file.
    bytes.extend([1_u32, 5].iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend([0, base, base, size, size, 0x1000].iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend(code);
    bytes
}

/// The emulated processor refuses what a Core 2 does not have. Otherwise the run would say nothing.
#[track_caller]
fn assert_emulation_is_strict() {
    let dir = directory("core2");
    let program = dir.join("newer");
    std::fs::write(&program, newer_program()).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(emulated("max", &program, &[]).status.code(), Some(0));
    let status = emulated("core2duo", &program, &[]).status;
    assert_eq!(status.signal(), Some(4), "an illegal instruction is expected: {status}");
    std::fs::remove_dir_all(dir).unwrap();
}

/// Every codec and checksum, the three jobs, and the commands.
#[test]
fn all_jobs_work_on_a_core_2() {
    if Command::new(EMULATOR).arg("--version").output().is_err() || !cfg!(target_arch = "x86_64") {
        println!("NO QEMU HERE: no run on an emulated Core 2; Debian's package qemu-user has {EMULATOR}");
        return;
    }
    assert_emulation_is_strict();
    let mut jobs = AllJobs::new();
    let tested = jobs.kafka.tested("an emulated Intel Core 2");
    let mut daemon = Daemon::new(&jobs.inv).behind([EMULATOR, "-cpu", "core2duo"].map(str::to_owned).into());
    let inv = daemon.dir.join("test.inv").display().to_string();
    for words in [["-V"].as_slice(), &["-t", &inv], &["-T", &inv]] {
        let ran = emulated("core2duo", &binary(), words);
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }
    daemon.start_and_wait();
    daemon.wait_log(LISTENING, seconds(30));
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let produce = Produce::seq(&jobs.kafka, &jobs.topic, 1000).with("--partitions", 2);
        produce.with("--first", jobs.records).with("--codec", codec).with("--linger", 20).run();
        jobs.records += 500;
    }
    jobs.give_work();
    jobs.finish(&mut daemon);
    tested.passed(format!("{} records, {} items and keys", 2 * jobs.records, jobs.users));
}
