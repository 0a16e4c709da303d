//! Clusters of processes on this machine: each member has an address of its own, and all have the same ports.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::binary;

/// Settings that make each part of each file a task of its own.
pub(crate) const SMALL_TASKS: &str = "\n[engine]\npartition_size = \"1 B\"\ndeadline_seconds = 60\n";

/// A scheduler and executors; killed when dropped.
#[derive(Debug)]
pub(crate) struct Members {
    folder: PathBuf,
    config: PathBuf,
    scheduler_address: String,
    pub(crate) scheduler: Child,
    pub(crate) executors: Vec<Child>,
}

/// An address that nobody else has.
fn address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    assert!(number < 60_000, "no address is left");
    format!("127.{}.{}.{}", 1 + process % 250, number / 250, 1 + number % 250)
}

impl Members {
    /// Starts them. Their logs and work lie in `folder`; executors read the export of these settings.
    pub(crate) fn start(folder: &Path, config: &Path, executors: usize) -> Self {
        fs::create_dir_all(folder).expect("a new folder");
        let scheduler_address = address();
        let scheduler = scheduler(folder, &scheduler_address);
        let (folder, config) = (folder.to_owned(), config.to_owned());
        let mut members = Self { folder, config, scheduler_address, scheduler, executors: Vec::new() };
        for _ in 0..executors {
            members.add_executor();
        }
        members
    }

    /// Where the scheduler listens.
    pub(crate) fn scheduler_url(&self) -> String {
        format!("df://{}:50050", self.scheduler_address)
    }

    pub(crate) fn add_executor(&mut self) {
        let (number, bind) = (self.executors.len(), address());
        let mut command = member(&self.folder, &format!("executor-{number}"));
        command.arg("--config").arg(&self.config).args(["executor", "--slots", "2", "--bind", &bind]);
        command.args(["--scheduler", &self.scheduler_url(), "--work-dir"]).arg(self.work());
        self.executors.push(command.spawn().expect("a started executor"));
    }

    /// Another scheduler in the place of one that is gone.
    pub(crate) fn restart_scheduler(&mut self) {
        let _gone = self.scheduler.kill();
        let _reaped = self.scheduler.wait();
        self.scheduler = scheduler(&self.folder, &self.scheduler_address);
    }

    /// The folder of the executors' files.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// What a member has logged: `scheduler`, `executor-0`, …
    pub(crate) fn log(&self, member: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{member}.log"))).unwrap_or_default()
    }

    /// Waits until a member has logged something.
    pub(crate) fn wait_for(&self, member: &str, text: &str) {
        let begun = Instant::now();
        while !self.log(member).contains(text) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{member} never said {text:?}:\n{}", self.log(member));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn member(folder: &Path, name: &str) -> Command {
    let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log"))).expect("a log");
    let mut command = Command::new(binary());
    command.env_clear().env("HOME", folder).env("TMPDIR", folder).current_dir(folder).arg("-v");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}

fn scheduler(folder: &Path, address: &str) -> Child {
    let mut command = member(folder, "scheduler");
    command.args(["scheduler", "--bind", address, "--executor-timeout", "15"]);
    command.spawn().expect("a started scheduler")
}

impl Drop for Members {
    fn drop(&mut self) {
        for member in self.executors.iter_mut().chain([&mut self.scheduler]) {
            let _gone_already = member.kill();
            let _reaped_already = member.wait();
        }
    }
}
