//! The command line: parses the arguments, runs the command, sets the exit status. Only this file ends the
//! process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use pandad::commands::dead::{self, DeadOrder};
use pandad::commands::journal::{self, JournalAction};
use pandad::commands::seek::{self, SeekOrder};
use pandad::commands::verify::{self, VerifyOptions};
use pandad::commands::{check, reopen};
use pandad::config::Config;
use pandad::daemon;
use pandad::error::Error;
use pandad::logging::{self, ProcessLog};
use pandad::threads;
use pandad::verify::{FilesVerdict, PartitionChoice};

const HELP: &str = "\
pandad: Kafka records into a log file, expired Redis keys onto a work list, \
work items into deleted hash fields

    pandad [--only JOB[,JOB]] FILE   run the jobs whose sections are in FILE, in the foreground, for ever
    pandad -t FILE                   check FILE: OK, or every fault; \
warns of others in the Kafka group that do not fit
    pandad -T FILE                   print the configuration in effect, as a file that pandad reads again
    pandad reopen FILE               log files were moved away: return when nothing more comes there
    pandad journal LOGFILE           print what the journal of a log file knows
    pandad journal LOGFILE --forget  have the group's offsets decide at the next start
    pandad journal LOGFILE --copy DIR
                                     copy the log file and its journal, also while pandad writes them
    pandad seek FILE TOPIC[/PARTITION] earliest|latest|TIME|OFFSET [--go]
                                     set the group's offsets while nobody reads; \
without --go only say what that would do
    pandad verify FILE [--since TIME] [--partition P|TOPIC/P] [--dir DIR]... [--rate BYTES]
                                     compare the log files with the topics, also while pandad writes them
    pandad dead FILE list|reasons    show the items that could not be done, with time and reason \
| how many for each reason
    pandad dead FILE retry|drop      put them back on the work list | delete them
         [ITEM | --reason REASON]    only this item as list shows it, or those with this reason
    pandad --help | --version

Jobs: kafka_to_file, expired_to_list, list_to_hash.
Signals: TERM, INT and QUIT stop and settle; a second one leaves at once. HUP and USR1 reopen the log files.
Exit status: 0 stopped, 1 a job has failed for good or the stop was cut short, 2 wrong usage, 78 faulty
configuration.
verify: 0 whole, 1 something is missing, doubled, torn or out of order, 2 it cannot be judged whole.
";

fn main() -> ExitCode {
    logging::write_panics();
    let log = ProcessLog::new();
    let ended =
        threads::contain(|| parse(std::env::args_os().skip(1).collect()).and_then(|it| run(it, &log)));
    let ended = ended.unwrap_or_else(|panic| Err(Error::Failed(format!("internal error: {panic}"))));
    log.end(ended.as_ref().err().map(ToString::to_string).as_deref());
    match ended {
        Ok(status) => status,
        Err(Error::Usage(_)) => ExitCode::from(2),
        Err(Error::Config(_)) => ExitCode::from(78),
        Err(Error::Failed(_)) => ExitCode::from(1),
    }
}

enum Command {
    Help,
    Version,
    Check(PathBuf),
    Print(PathBuf),
    Run(PathBuf, Vec<String>),
    Dead(PathBuf, DeadOrder),
    Reopen(PathBuf),
    Journal(PathBuf, JournalAction),
    Seek(PathBuf, SeekOrder),
    Verify(PathBuf, VerifyOptions),
}

fn parse(args: Vec<OsString>) -> Result<Command, Error> {
    let usage = |text: String| Error::Usage(format!("{text}; see pandad --help"));
    let mut parser = lexopt::Parser::from_args(args);
    let (mut file, mut mode, mut only) = (None, None, Vec::new());
    while let Some(arg) = parser.next().map_err(|error| usage(error.to_string()))? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Short(flag @ ('t' | 'T')) if mode.is_none_or(|set| set == flag) => mode = Some(flag),
            Short('t' | 'T') => return Err(usage("-t and -T exclude each other".to_owned())),
            Long("only") => {
                let names = parser.value().map_err(|error| usage(error.to_string()))?;
                only.extend(names.to_string_lossy().split(',').map(str::to_owned));
            }
            Value(word) if file.is_none() && mode.is_none() && only.is_empty() && is_command(&word) => {
                let parsed = match word.to_str() {
                    Some("seek") => parse_seek(&mut parser),
                    Some("dead") => parse_dead(&mut parser),
                    Some("verify") => parse_verify(&mut parser),
                    _ => parse_command(&word, &mut parser),
                };
                return parsed.map_err(usage);
            }
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(usage(other.unexpected().to_string())),
        }
    }
    if let Some(unknown) = only.iter().find(|name| !daemon::JOBS.contains(&name.as_str())) {
        return Err(usage(format!("--only: there is no job '{unknown}', only {}", daemon::JOBS.join(", "))));
    }
    let file = file.ok_or_else(|| usage("which configuration file?".to_owned()))?;
    Ok(match mode {
        Some('t') => Command::Check(file),
        Some(_) => Command::Print(file),
        None => Command::Run(file, only),
    })
}

fn is_command(word: &OsString) -> bool {
    ["dead", "reopen", "journal", "seek", "verify"].iter().any(|name| word == name)
}

fn parse_command(name: &OsString, parser: &mut lexopt::Parser) -> Result<Command, String> {
    let (mut words, mut journal) = (Vec::new(), JournalAction::Print);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Value(word) => words.push(word),
            Long("forget") if name == "journal" && journal == JournalAction::Print => {
                journal = JournalAction::Forget;
            }
            Long("copy") if name == "journal" && journal == JournalAction::Print => {
                let directory = parser.value().map_err(|error| error.to_string())?;
                journal = JournalAction::Copy(directory.into());
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let mut words = words.into_iter();
    let (file, action, none) = (words.next().map(PathBuf::from), words.next(), words.next());
    match (name.to_str(), file, action, none) {
        (Some("reopen"), Some(file), None, None) => Ok(Command::Reopen(file)),
        (Some("journal"), Some(file), None, None) => Ok(Command::Journal(file, journal)),
        (Some("reopen"), ..) => Err("reopen: one configuration file is expected".to_owned()),
        _ => Err("journal: one log file is expected".to_owned()),
    }
}

fn parse_dead(parser: &mut lexopt::Parser) -> Result<Command, String> {
    let (mut words, mut reason) = (Vec::new(), None);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Value(word) => words.push(word),
            Long("reason") if reason.is_none() => {
                reason = Some(value_of(parser)?.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let mut words = words.into_iter();
    let (Some(file), Some(action), item, None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(
            "dead: a configuration file and one of list, reasons, retry and drop are expected".to_owned()
        );
    };
    let order = DeadOrder::new(&action.to_string_lossy(), item.map(OsString::into_encoded_bytes), reason);
    Ok(Command::Dead(file.into(), order.map_err(|why| format!("dead: {why}"))?))
}

fn parse_seek(parser: &mut lexopt::Parser) -> Result<Command, String> {
    let (mut words, mut go) = (Vec::new(), false);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Value(word) => words.push(word),
            Long("go") => go = true,
            // A time ago, as -2h.
            Short(digit) if digit.is_ascii_digit() => {
                let rest = parser.optional_value().unwrap_or_default();
                words.push(format!("-{digit}{}", rest.to_string_lossy()).into());
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let expected = "seek: a configuration file, a topic or TOPIC/PARTITION, and one of earliest, latest, a \
                    time and an offset are expected";
    let [file, subject, target] = <[OsString; 3]>::try_from(words).map_err(|_| expected.to_owned())?;
    let order = SeekOrder::parse(&subject.to_string_lossy(), &target.to_string_lossy(), go);
    Ok(Command::Seek(file.into(), order.map_err(|why| format!("seek: {why}"))?))
}

fn value_of(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|error| error.to_string())
}

fn parse_verify(parser: &mut lexopt::Parser) -> Result<Command, String> {
    let (mut files, mut options) = (Vec::new(), VerifyOptions::default());
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Value(word) => files.push(word),
            Long("partition") => {
                let choice = PartitionChoice::parse(&value_of(parser)?.to_string_lossy());
                options.choice = Some(choice.ok_or("--partition: a number or TOPIC/number is expected")?);
            }
            Long("since") => {
                options
                    .since(&value_of(parser)?.to_string_lossy())
                    .map_err(|why| format!("--since: {why}"))?;
            }
            Long("dir") => options.directories.push(value_of(parser)?.into()),
            Long("rate") => {
                let rate = value_of(parser)?.to_string_lossy().parse().ok().filter(|rate: &u64| *rate > 0);
                options.rate = Some(rate.ok_or("--rate: a number of bytes a second is expected")?);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let [file] = <[OsString; 1]>::try_from(files)
        .map_err(|_| "verify: one configuration file is expected".to_owned())?;
    Ok(Command::Verify(file.into(), options))
}

fn run(command: Command, log: &ProcessLog) -> Result<ExitCode, Error> {
    let done = match command {
        Command::Help => print(HELP),
        Command::Version => print(concat!("pandad ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Check(file) => check::run(&load(&file)?, print_line),
        Command::Print(file) => print(&load(&file)?.to_inv()),
        Command::Dead(file, order) => dead::run(&load(&file)?, &order, print_line),
        Command::Reopen(file) => reopen::run(&load(&file)?, print_line),
        Command::Journal(file, action) => journal::run(&file, &action, print_line),
        Command::Seek(file, order) => seek::run(&load(&file)?, &order, print_line),
        Command::Run(file, only) => daemon::run(&file, &only, log),
        Command::Verify(file, options) => {
            let verdict = verify::run(&load(&file)?, options, print_line)?;
            return Ok(ExitCode::from(match verdict {
                FilesVerdict::Whole => 0,
                FilesVerdict::Damaged => 1,
                FilesVerdict::NotJudged => 2,
            }));
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn load(file: &Path) -> Result<Config, Error> {
    Config::load(file)
}

fn print_line(line: &str) -> Result<(), Error> {
    print(&format!("{line}\n"))
}

fn print(text: &str) -> Result<(), Error> {
    logging::print(text).map_err(|error| Error::Failed(format!("cannot write to standard output: {error}")))
}
