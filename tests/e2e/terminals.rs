//! Readers that go away, folders where files belong, and terminals that are not there: no panic, and the right exit code.

use std::process::{Command, Stdio};

use crate::bad_input::good_input;
use crate::support::python::finish;
use crate::support::{self, SAMPLE_AS_OF, Workspace, published_sample};

const AS_OF: &str = "2026-03-31";

fn published() -> Workspace {
    let workspace = good_input();
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    workspace
}

#[test]
fn every_command_bears_a_reader_that_went_away() {
    let workspace = published();
    let out = workspace.path("out.csv").display().to_string();
    for arguments in [
        &["run"][..],
        &["queue", "--color", "always"],
        &["credits", "--format", "json"],
        &["allocations", "list", "--wide"],
        &["query", "SELECT * FROM generate_series(1, 100000)"],
        &["export", "net_cost", "--out", &out],
        &["lake", "repair"],
        &["man"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = workspace.command(AS_OF, arguments);
        let output =
            command.stdout(writer).stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
        let output = output.expect("an end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn folder_where_a_file_belongs_is_bad_input() {
    let workspace = published();
    std::fs::create_dir(workspace.path("folder")).expect("a folder");
    let folder = workspace.path("folder").display().to_string();
    for arguments in [["allocations", "import", &folder], ["query", "-f", &folder]] {
        let outcome = workspace.run(AS_OF, &arguments);
        assert_eq!(
            (outcome.exit_code, outcome.stderr),
            (Some(3), format!("error: {folder} is a folder\n")),
            "{arguments:?}"
        );
    }
    let outcome = workspace.run_with(&workspace.path("folder"), &["run"]);
    assert_eq!(outcome.exit_code, Some(3), "{}", outcome.stderr);
    for file in ["hierarchy.csv", "cost_rules.csv", "budgets.csv", "allocations.csv"] {
        let workspace = good_input();
        let path = workspace.path(&format!("reference/{file}"));
        let _was_there = std::fs::remove_file(&path);
        std::fs::create_dir(&path).expect("a folder");
        let outcome = workspace.run(AS_OF, &["run"]);
        assert_eq!(outcome.exit_code, Some(3), "{file}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(file) && outcome.stderr.contains("is a folder"), "{file}: {}", outcome.stderr);
    }
}

#[test]
fn what_would_be_asked_on_a_terminal_is_a_usage_error_without_one() {
    let workspace = published();
    for arguments in [&["allocate"][..], &["allocate", "--key", "id:1"], &["lake", "drop-period", "2026-01"]] {
        let mut command = workspace.command(AS_OF, arguments);
        let output = command.stdin(Stdio::null()).env("TERM", "xterm").output().expect("an end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    }
}

/// Runs what follows lines and columns on a terminal of that size, and prints what it is shown there.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
lines, columns, *command = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", int(lines), int(columns), 0, 0))
    os.execve(command[0], command, dict(os.environ))
shown = b""
while True:
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    if not read:
        break
    shown += read
sys.stdout.buffer.write(shown.replace(b"\r\n", b"\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// What a person sees of a command on the sample, on a terminal of so many lines and columns.
fn seen(sample: &Workspace, (lines, columns): (u32, u32), environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, &lines.to_string(), &columns.to_string()]).arg(support::binary());
    command.arg("--config").arg(sample.path("credits.toml")).args(["--as-of", SAMPLE_AS_OF]).args(arguments);
    finish(
        command
            .env("TERM", "xterm-256color")
            .env_remove("COLUMNS")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied()),
    )
}

#[test]
fn table_on_a_terminal_fits_it_and_has_colour() {
    let sample = &published_sample();
    let colored = seen(sample, (50, 80), &[("PAGER", "false")], &["credits"]);
    assert!(colored.contains("\u{1b}["), "{colored:?}");
    let plain = seen(sample, (50, 80), &[("PAGER", "false"), ("NO_COLOR", "1")], &["credits"]);
    let piped = sample.try_run(SAMPLE_AS_OF, &["credits", "--width", "80"]).expect("credits");
    assert_eq!(plain, piped);
    assert!(!seen(sample, (50, 80), &[("PAGER", "false"), ("TERM", "dumb")], &["credits"]).contains('\u{1b}'));
}

#[test]
fn what_is_taller_than_the_terminal_goes_through_the_pager() {
    let sample = &published_sample();
    let pager = [("PAGER", "sed 's/^/paged: /'"), ("NO_COLOR", "1")];
    let is_paged = |lines: u32, arguments: &[&str]| {
        let text = seen(sample, (lines, 80), &pager, arguments);
        let paged = text.lines().filter(|line| line.starts_with("paged: ")).count();
        assert!(paged == 0 || paged == text.lines().count(), "{text}");
        paged > 0
    };
    assert!(is_paged(5, &["credits"]));
    assert!(!is_paged(50, &["credits"]));
    assert!(!is_paged(5, &["credits", "--no-pager"]));
    assert!(is_paged(24, &["query", "SELECT * FROM net_cost"]));
    // A pager that is not there is no reason to show nothing.
    let text = seen(sample, (5, 80), &[("PAGER", "/no/such/pager"), ("NO_COLOR", "1")], &["credits"]);
    assert_eq!(text, sample.try_run(SAMPLE_AS_OF, &["credits", "--width", "80"]).expect("credits"));
}
