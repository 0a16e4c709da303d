//! `init`: a settings file and templates of what people keep.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::{Format, Init};
use crate::output::answer;
use crate::{Failure, Kind};

/// Files by their path below the folder.
const FILES: [(&str, &str); 5] = [
    ("credits.toml", include_str!("../templates/credits.toml")),
    ("reference/hierarchy.csv", include_str!("../templates/hierarchy.csv")),
    ("reference/cost_rules.csv", include_str!("../templates/cost_rules.csv")),
    ("reference/budgets.csv", include_str!("../templates/budgets.csv")),
    // Under the name allocations.csv the first run would take its row over.
    ("reference/allocations-template.csv", include_str!("../templates/allocations-template.csv")),
];

const SAMPLE: (&str, &str) = ("export/sample.csv", include_str!("../templates/sample.csv"));

#[derive(Serialize)]
struct Created {
    created: Vec<PathBuf>,
}

pub(crate) fn init(format: Format, arguments: &Init) -> Result<(), Failure> {
    let dir = &arguments.dir;
    let files: Vec<(PathBuf, &str)> = FILES
        .into_iter()
        .chain(arguments.sample.then_some(SAMPLE))
        .map(|(name, text)| (dir.join(name), text))
        .collect();
    let there = files.iter().filter(|(path, _)| path.symlink_metadata().is_ok());
    let there: Vec<String> = there.map(|(path, _)| path.display().to_string()).collect();
    if !there.is_empty() {
        let what = "init: nothing was written, as these are there already; choose another folder, or move them away:";
        return Err(Failure::list(Kind::BadInput, what, there));
    }
    for (path, text) in &files {
        create(path, text).map_err(|error| refused(path, &error))?;
    }
    let created: Vec<PathBuf> = files.into_iter().map(|(path, _)| path).collect();
    let lines = created.iter().map(|path| format!("Created {}", path.display()));
    let export = dir.join("export");
    let next = match arguments.sample {
        true => format!("Next: `finops-credits run` in {}", dir.display()),
        false => format!(
            "Next: put the billing export into {} or name it in credits.toml, replace the rows of {}, then `finops-credits run`",
            export.display(),
            dir.join("reference").display()
        ),
    };
    let lines: Vec<String> = lines.chain([next]).collect();
    answer(format, &Created { created }, lines)
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::PermissionDenied => Kind::BadInput,
        _ => Kind::Storage,
    };
    Failure::new(kind, format!("init: {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use lake::Settings;
    use schemas::reference::{parse_allocations, parse_budgets, parse_cost_rules, parse_hierarchy};

    use super::*;

    fn text(name: &str) -> &'static str {
        FILES.iter().find(|(path, _)| *path == name).unwrap().1
    }

    #[test]
    fn what_is_commented_out_in_the_settings_stands_at_its_default() {
        // Where all settings of an export may stand.
        let plain = &text("credits.toml").replacen("\"export\"", "\"s3://bucket/export\"", 1);
        let settings = Settings::parse(plain, "plain", "/somewhere").unwrap();
        let is_setting = |line: &str| {
            let key = line.split_once(" = ").map_or(line, |(key, _)| key);
            let of_list = line.trim_start().starts_with('{') || line == "]";
            of_list || (line.contains(" = ") && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'))
        };
        let set: Vec<&str> =
            plain.lines().map(|line| line.strip_prefix("# ").filter(|line| is_setting(line)).unwrap_or(line)).collect();
        let mut full = Settings::parse(&set.join("\n"), "plain", "/somewhere").unwrap();
        // These have no default that a file could state.
        assert!(full.run.as_of.take().is_some() && full.run.threads.take().is_some());
        assert!(full.run.memory_limit.take().is_some());
        for source in full.source.iter_mut() {
            for stated in [&mut source.currency, &mut source.region, &mut source.role_arn, &mut source.payer] {
                assert!(stated.take().is_some());
            }
            assert!(source.name.take().is_some());
        }
        assert!(full.run.notify.take().is_some());
        assert!(full.engine.scheduler.take().is_some() && full.engine.fallback.take().is_some());
        let without_marks = |settings: &Settings| format!("{settings:#?}").replace("is_set: true", "is_set: false");
        assert_eq!(without_marks(&full), without_marks(&settings));
    }

    #[test]
    fn every_setting_stands_in_the_settings_file() {
        let names = |text: &str| {
            let keys = text.lines().filter_map(|line| line.trim_start_matches("# ").split_once(" = "));
            keys.map(|(key, _)| key.trim().to_owned()).filter(|key| !key.contains([' ', '{'])).collect::<Vec<_>>()
        };
        // An unknown key is answered with those that there are.
        for section in ["source", "reference", "lake", "credits", "run", "athena"] {
            let wrong =
                text("credits.toml").replacen(&format!("[{section}]"), &format!("[{section}]\nno_key = 1 #"), 1);
            let error = Settings::parse(&wrong, "settings", "/").unwrap_err().to_string();
            let known = error.split_once("expected ").unwrap().1;
            let missing: Vec<&str> = known
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|key| !names(text("credits.toml")).contains(&(*key).to_owned()))
                .collect();
            assert!(missing.is_empty(), "{section}: {missing:?}");
        }
    }

    #[test]
    fn nothing_is_written_where_any_of_the_files_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("reference")).unwrap();
        for name in ["credits.toml", "reference/budgets.csv"] {
            std::fs::write(folder.path().join(name), "mine").unwrap();
        }
        let arguments = Init { dir: folder.path().to_owned(), sample: true };
        let failure = init(Format::Json, &arguments).unwrap_err();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let expected = [
            "init: nothing was written, as these are there already; choose another folder, or move them away:",
            &path("credits.toml"),
            &path("reference/budgets.csv"),
        ];
        assert_eq!((failure.kind, failure.into_lines().as_slice()), (Kind::BadInput, &expected.map(str::to_owned)[..]));
        assert!(!folder.path().join("reference/hierarchy.csv").exists() && !folder.path().join("export").exists());
        let below = Init { dir: folder.path().join("credits.toml"), sample: false };
        assert_eq!(init(Format::Json, &below).unwrap_err().kind, Kind::BadInput, "a file is no folder");
    }

    #[test]
    fn templates_of_reference_files_are_read_and_have_one_row_each() {
        let hierarchy = parse_hierarchy("h", text("reference/hierarchy.csv").as_bytes()).unwrap();
        let rules = parse_cost_rules("r", text("reference/cost_rules.csv").as_bytes(), &hierarchy).unwrap();
        let budgets = parse_budgets("b", text("reference/budgets.csv").as_bytes(), &hierarchy).unwrap();
        let allocations = parse_allocations("a", text("reference/allocations-template.csv").as_bytes()).unwrap();
        assert_eq!((rules.iter().count(), budgets.len(), allocations.len()), (1, 1, 1));
        assert!(hierarchy.contains(allocations[0].node.as_ref().unwrap()));
    }
}
