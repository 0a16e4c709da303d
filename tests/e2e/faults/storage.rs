//! Disks that are full or read-only.
//!
//! A lake of its own on a small disk needs a mount namespace, which some machines do not give; then a limit on the
//! size of files stands in for the full disk, and permissions for the read-only one. Nothing is skipped.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::shop::{AS_OF, Published, Shop, assert_same, files};
use crate::support::{Outcome, binary, comparable};

/// How this machine makes a mount namespace, if it does.
pub(super) fn namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["-m"], &["-Urm"]];
    ways.into_iter().find(|way| {
        let mount = "mount -t tmpfs -o size=64k tmpfs /mnt && mount -o remount,size=128k tmpfs /mnt";
        let tried = Command::new("unshare").args(*way).args(["sh", "-c", mount]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// Runs a shell script with `$LAKE`, `$SHOP` and the function `finops`, which is the binary with its settings.
pub(super) fn script(shop: &Shop, wrapper: &[&str], text: &str) -> Outcome {
    let dated = shop.0.command(AS_OF, &["queue"]).get_args().nth(1).map(PathBuf::from).expect("settings with the date");
    let function = "finops() { (cd \"$SHOP/elsewhere/cwd\" && env -i HOME=\"$SHOP/elsewhere/home\" \
                    TMPDIR=\"$SHOP/elsewhere/tmp\" \"$BINARY\" --config \"$DATED\" \"$@\"); }";
    let whole = format!("set -eu\n{function}\n{text}");
    let arguments: Vec<&str> = wrapper.iter().copied().chain(["bash", "-c", &whole]).collect();
    let output = Command::new(arguments[0])
        .args(&arguments[1..])
        .env("BINARY", binary())
        .env("SHOP", shop.0.path(""))
        .env("LAKE", shop.0.path("lake"))
        .env("AS_OF", AS_OF)
        .env("DATED", dated)
        .output()
        .expect("a started shell");
    Outcome {
        exit_code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// One clear error and exit code 6.
fn assert_storage_failure(context: &str, failed: &Outcome, reasons: &[&str]) {
    assert_eq!(failed.exit_code, Some(6), "{context}: {failed:?}");
    let lines: Vec<&str> = failed.stderr.lines().collect();
    let [line] = lines[..] else { panic!("{context}: one error on one line: {failed:?}") };
    assert!(line.starts_with("error: "), "{context}: {line}");
    assert!(reasons.iter().any(|reason| line.contains(reason)), "{context}: says what is wrong: {line}");
}

/// The files of a folder with their content, as [`crate::support::Workspace::published`] reads them.
fn content(folder: &Path) -> Published {
    files(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).expect("a file"))).collect()
}

/// A night on a disk of its own; the next night finds more room with every attempt, from none to enough. Keeps beside
/// the lake, per attempt: exit code, error and published files.
const FULL_DISK: &str = r#"
mkdir -p "$LAKE" "$SHOP/kept"
mount -t tmpfs -o size=64m tmpfs "$LAKE"
finops run >/dev/null
cp -rL "$LAKE/published" "$SHOP/kept/before"
cp "$SHOP/second.csv" "$SHOP/cur/cur-2026-03.csv"
room=0
while :; do
    used=$(df --output=used -k "$LAKE" | tail -1)
    mount -o "remount,size=$((used + room))k" tmpfs "$LAKE"
    code=0
    finops --run-id "full-$room" run >/dev/null 2>"$SHOP/kept/$room.error" || code=$?
    mount -o remount,size=64m tmpfs "$LAKE"
    cp -rL "$LAKE/published" "$SHOP/kept/$room.published"
    echo "$room $code"
    [ "$code" != 0 ] || break
    [ "$room" -lt 4096 ] || exit 99
    if [ "$room" -lt 28 ]; then room=$((room + 4)); else room=$((room + room / 3)); fi
done
finops run >/dev/null
cp -rL "$LAKE/published" "$SHOP/kept/after"
"#;

/// What the errors of a disk that is full name: a generation, the data of a log, the catalogue, what jobs hand each
/// other, the staged run.
const STAGES: [&str; 5] = ["/lake/generations/", "/lake/warehouse/", "/lake/catalog.db", "/lake/work/", "/lake/runs/"];

/// The first and the second night, without an allocation between.
fn two_nights() -> (Shop, [Published; 2]) {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    let first = shop.0.published();
    shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
    shop.succeed(&["run"]);
    let second = shop.0.published();
    (shop, [first, second])
}

fn full_disk_at_every_stage(way: &[&str]) {
    let (_, [first, second]) = two_nights();
    let shop = Shop::new();
    shop.0.write("second.csv", shop.second_delivery());
    let played = script(&shop, &[&["unshare"], way].concat(), FULL_DISK);
    assert_eq!(played.exit_code, Some(0), "{played:?}");
    let kept = |name: &str| {
        let mut files = content(&shop.0.path(&format!("kept/{name}")));
        comparable(&mut files);
        files
    };
    assert_same("before the disk was full", &kept("before"), &first);
    let mut stages: BTreeSet<&str> = BTreeSet::new();
    for attempt in played.stdout.lines() {
        let (room, code) = attempt.split_once(' ').expect("room and exit code");
        let seen = kept(&format!("{room}.published"));
        if code == "0" {
            assert_same("room enough", &seen, &second);
            continue;
        }
        let stderr = fs::read_to_string(shop.0.path(&format!("kept/{room}.error"))).expect("an error");
        let failed = Outcome { exit_code: code.parse().ok(), stdout: String::new(), stderr };
        let context = format!("{room} KiB of room");
        assert_storage_failure(
            &context,
            &failed,
            &["No space left on device", "database or disk is full", "its disk is full"],
        );
        if seen != first {
            assert_same(&context, &seen, &second);
        }
        stages.extend(STAGES.iter().filter(|stage| failed.stderr.contains(**stage)));
    }
    assert_eq!(stages, STAGES.into(), "the disk was full at each of these: {}", played.stdout);
    assert_same("after the disk was full", &kept("after"), &second);
}

/// The night again with no file allowed to grow beyond so many KiB: what a full disk does to a write, at different
/// stages, on any machine.
fn files_that_cannot_grow() {
    let (_, [first, second]) = two_nights();
    let mut stages: BTreeSet<&str> = BTreeSet::new();
    for limit_kib in [0, 4, 5, 6, 7, 8, 16] {
        let shop = Shop::new();
        shop.succeed(&["run"]);
        shop.0.write("cur/cur-2026-03.csv", shop.second_delivery());
        let limited = format!("trap '' XFSZ\nulimit -f {limit_kib}\nfinops --run-id limited run");
        let failed = script(&shop, &[], &limited);
        if failed.exit_code == Some(0) {
            assert_same("limit high enough", &shop.0.published(), &second);
            continue;
        }
        let context = format!("files of {limit_kib} KiB at most");
        assert_storage_failure(
            &context,
            &failed,
            &["File too large", "database or disk is full", "disk I/O error", "its disk is full"],
        );
        stages.extend(STAGES.iter().filter(|stage| failed.stderr.contains(**stage)));
        assert_same(&context, &shop.0.published(), &first);
        shop.succeed(&["run"]);
        assert_same(&format!("{context}, then without a limit"), &shop.0.published(), &second);
        shop.assert_tidy();
    }
    assert!(stages.len() >= 2, "the limit was met at too few stages: {stages:?}");
}

#[test]
fn full_disk_at_any_stage_is_one_error_and_the_published_run_stays() {
    match namespace() {
        Some(way) => full_disk_at_every_stage(way),
        None => files_that_cannot_grow(),
    }
}

#[test]
fn write_that_fails_at_any_stage_is_one_error_and_the_published_run_stays() {
    files_that_cannot_grow();
}

/// Runs a command on a lake that cannot be written; `None` where nothing stops this user from writing.
fn on_a_read_only_lake(shop: &Shop, command: &str) -> Option<Outcome> {
    if let Some(way) = namespace() {
        let text = format!("mount --bind \"$LAKE\" \"$LAKE\"\nmount -o remount,ro,bind \"$LAKE\"\nfinops {command}");
        return Some(script(shop, &[&["unshare"], way].concat(), &text));
    }
    let is_root = fs::metadata("/proc/self").expect("this process").uid() == 0;
    if is_root {
        return None;
    }
    set_mode(&shop.0.path("lake"), 0o555, 0o444);
    let outcome = script(shop, &[], &format!("finops {command}"));
    set_mode(&shop.0.path("lake"), 0o755, 0o644);
    Some(outcome)
}

fn set_mode(path: &Path, folder: u32, file: u32) {
    if path.is_symlink() {
        return;
    }
    let mode = if path.is_dir() { folder } else { file };
    if path.is_dir() && mode & 0o200 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            set_mode(&entry.expect("an entry").path(), folder, file);
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

#[test]
fn read_only_lake_refuses_a_run_and_still_answers_queries() {
    let (shop, [_, second]) = two_nights();
    for command in ["run", "detect-credits", "allocate --key 'code:Credit B@111111111111' --amount 5 --to Retail"] {
        let Some(refused) = on_a_read_only_lake(&shop, command) else { continue };
        assert_storage_failure(command, &refused, &["Read-only file system", "readonly database", "Permission denied"]);
    }
    for command in ["--format csv query 'SELECT count(*) FROM runs_log'", "--format csv credits"] {
        let Some(answer) = on_a_read_only_lake(&shop, command) else { continue };
        assert_eq!(answer.exit_code, Some(0), "{command}: {answer:?}");
    }
    assert_same("after all that", &shop.0.published(), &second);
    shop.assert_tidy();
}

#[test]
fn lake_that_cannot_be_made_is_a_storage_failure() {
    let shop = Shop::new();
    shop.0.write("a-file", "");
    let run_at = |location: &str| {
        let settings = crate::support::SETTINGS.replace("location = \"lake\"", &format!("location = {location:?}"));
        shop.0.write("credits.toml", settings);
        shop.run(&["run"])
    };
    assert_storage_failure("no such place", &run_at("/proc/lake"), &["/proc/lake"]);
    let below_a_file = run_at("a-file/lake");
    assert_eq!(below_a_file.exit_code, Some(3), "no retry would help: {below_a_file:?}");
    assert!(below_a_file.stderr.contains("a-file/lake: that is or lies below a file; set [lake] location"));
}
