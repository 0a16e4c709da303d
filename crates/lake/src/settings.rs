//! The settings file.

use std::collections::BTreeSet;
use std::path::Path;

use bytesize::ByteSize;
use chrono::NaiveDate;
use credit_ledger::{Quoted, within_years};
use regex::Regex;
use schemas::settings::CreditSettings;
use serde::Deserialize;

use crate::engine_settings::EngineSettings;
use crate::error::LakeError;
use crate::error::at;
use crate::location::{below, check_location, is_s3};
use crate::source_settings::Sources;
use crate::web_settings::WebSettings;

/// All settings: one TOML file. An unknown key is an error, so that no typing error passes unseen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What people call them: `settings file credits.toml`.
    #[serde(skip)]
    pub name: String,
    /// The billing exports.
    pub source: Sources,
    /// Hierarchy, rules and budgets.
    pub reference: ReferenceSettings,
    /// Where state and results live.
    pub lake: LakeSettings,
    /// What a credit is and how it is consumed.
    #[serde(default)]
    pub credits: CreditSettings,
    /// How a run runs.
    #[serde(default)]
    pub run: RunSettings,
    /// What reads the export.
    #[serde(default)]
    pub engine: EngineSettings,
    /// Where a lake on AWS is checked.
    #[serde(default)]
    pub athena: AthenaSettings,
    /// The page, where people share it.
    pub web: Option<WebSettings>,
}

/// `[reference]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSettings {
    /// Folder or `s3://bucket/prefix`.
    pub location: String,
}

/// `[lake]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeSettings {
    /// Folder, made on first use, or `s3://bucket/prefix`.
    pub location: String,
    /// The Iceberg catalogue.
    #[serde(default)]
    pub catalog: CatalogKind,
    /// Namespace of the logs; in Glue the database of all tables.
    #[serde(default = "default_database")]
    pub database: String,
}

/// Iceberg catalogues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogKind {
    /// `catalog.db` in the lake, for a lake in a folder.
    #[default]
    Sqlite,
    /// AWS Glue, for a lake on S3.
    Glue,
}

/// `[athena]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AthenaSettings {
    /// Work group of the check; it says where results go.
    pub workgroup: String,
}

impl Default for AthenaSettings {
    fn default() -> Self {
        Self { workgroup: "finops-credits".to_owned() }
    }
}

/// `[run]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// As-of date instead of today, quoted or as a TOML date, in the years 2006 to 2100; `--as-of` goes before it.
    #[serde(deserialize_with = "date")]
    pub as_of: Option<NaiveDate>,
    /// Threads of the scan and the plans; default: all cores. More than four times as many help nobody and are not
    /// started.
    pub threads: Option<usize>,
    /// What a run may hold in memory before it goes on in temporary files; default: half of what there is.
    pub memory_limit: Option<ByteSize>,
    /// Published runs kept for as-reported questions. 1 counts as 2: whoever began to read the run before is not left
    /// with nothing.
    pub keep_runs: usize,
    /// A command for the shell that is told of new, expiring and expired credits and of a run that failed.
    pub notify: Option<String>,
}

/// The memory of the machine, or of the container where that has less.
fn available_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let kibibytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
        kibibytes.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    // Of cgroups v2 and v1; "max", or more than the machine has, is no limit.
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container = container.into_iter().filter_map(read).filter_map(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

/// Below this a sort cannot even merge what it spilled.
const LEAST_MEMORY: ByteSize = ByteSize::mib(256);

/// `"2026-10-31"` or `2026-10-31`.
fn date<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").map_err(|_| format!("{text:?} is not a date (YYYY-MM-DD)"));
    let date = date.and_then(|date| within_years(date).map_err(|wrong| wrong.to_string()));
    date.map(Some).map_err(|wrong| serde::de::Error::custom(format!("as_of {wrong}")))
}

/// Why a settings file cannot be read: where that is a slip of a person, in their words.
fn unreadable(file: &Path, error: std::io::Error) -> LakeError {
    use std::io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let wrong = match error.kind() {
        NotFound | NotADirectory => "does not exist; name one with --config",
        IsADirectory => "is a folder; name the file in it with --config",
        InvalidData => "is not UTF-8; save it as UTF-8",
        PermissionDenied => "may not be read by this user",
        _ => return at(file)(error),
    };
    LakeError::BadInput(format!("settings file {} {wrong}", file.display()))
}

/// A name that is no text cannot stand in the addresses that catalogues and manifests keep.
pub(crate) fn not_utf_8(path: &Path) -> LakeError {
    LakeError::BadInput(format!("the name of the folder {} is not UTF-8; rename it", path.display()))
}

/// What is wrong with a TOML text and where: `, line 11, column 1: unknown field …`.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map(|before| {
        let (line, column) = (before.split('\n').count(), before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        format!(", line {line}, column {column}")
    });
    format!("{}: {}", place.unwrap_or_default(), error.message())
}

/// A regular expression of the settings.
fn regex(key: &str, pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| {
        // The last line says why; those before it point at the place.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        format!("[credits] {key}: {}: {}", Quoted(pattern), why.trim_start_matches("error: "))
    })
}

fn default_database() -> String {
    "finops_credits".to_owned()
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { as_of: None, threads: None, memory_limit: None, keep_runs: 30, notify: None }
    }
}

impl Settings {
    /// Reads and checks a settings file. Relative locations become relative to its folder.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] that names the file and the key.
    pub fn load(file: &Path) -> Result<Self, LakeError> {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
        let absolute = std::path::absolute(file).map_err(at(file))?;
        let folder = absolute.parent().unwrap_or(&absolute);
        let base = folder.to_str().ok_or_else(|| not_utf_8(folder))?;
        Self::parse(&text, &format!("settings file {}", file.display()), base)
    }

    /// Checks the text of settings, called `name`. Relative locations become relative to `base`, a folder or an `s3://`
    /// address.
    ///
    /// # Errors
    /// [`LakeError::BadInput`] that names the settings and the key.
    pub fn parse(text: &str, name: &str, base: &str) -> Result<Self, LakeError> {
        let mut settings: Self =
            toml::from_str(text).map_err(|error| LakeError::BadInput(format!("{name}{}", located(text, &error))))?;
        name.clone_into(&mut settings.name);
        settings.check().map_err(|message| LakeError::BadInput(format!("{name}: {message}")))?;
        let sources = settings.source.iter_mut().map(|source| &mut source.location);
        let locations = sources.chain([&mut settings.reference.location, &mut settings.lake.location]);
        let access = settings.web.as_mut().and_then(|web| web.access.as_mut());
        for location in locations.chain(access) {
            if !is_s3(location) {
                *location = below(base, location);
            }
        }
        if let Some(web) = settings.web.as_mut().filter(|_| !is_s3(base)) {
            web.find_secrets_from(Path::new(base));
        }
        settings.check_lake().map_err(|message| LakeError::BadInput(format!("{name}: {message}")))?;
        Ok(settings)
    }

    /// A lake in a folder has its catalogue in it, one on S3 in Glue.
    fn check_lake(&self) -> Result<(), String> {
        match (is_s3(&self.lake.location), self.lake.catalog) {
            (true, CatalogKind::Sqlite) => Err("[lake] catalog must be \"glue\" for a location on S3".to_owned()),
            (false, CatalogKind::Glue) => Err(format!(
                "[lake] location {:?}: catalog \"glue\" needs a location on S3 (s3://bucket/prefix)",
                self.lake.location
            )),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), String> {
        for source in self.source.iter() {
            check_location(&source.section(), &source.location)?;
        }
        for (section, location) in [("[reference]", &self.reference.location), ("[lake]", &self.lake.location)] {
            check_location(section, location)?;
        }
        self.source.check()?;
        self.credits.policy().map_err(|error| format!("[credits] policy: {error}"))?;
        if self.run.threads == Some(0) {
            return Err("[run] threads must be at least 1".to_owned());
        }
        if let Some(limit) = self.run.memory_limit.filter(|limit| *limit < LEAST_MEMORY) {
            return Err(format!("[run] memory_limit {limit} is too little; give at least {LEAST_MEMORY}"));
        }
        if self.run.keep_runs == 0 {
            return Err("[run] keep_runs must be at least 1".to_owned());
        }
        self.engine.check()?;
        self.web.as_ref().map_or(Ok(()), WebSettings::check)?;
        self.check_patterns()
    }

    fn check_patterns(&self) -> Result<(), String> {
        for pattern in &self.credits.description_patterns {
            let regex = regex("description_patterns", pattern)?;
            let names: Vec<&str> = regex.capture_names().flatten().collect();
            if !names.contains(&"code") {
                return Err(format!("[credits] description_patterns: {pattern:?} has no group named code"));
            }
            if let Some(other) = names.iter().find(|name| !["code", "id", "account"].contains(*name)) {
                return Err(format!(
                    "[credits] description_patterns: {pattern:?} names {other}; known are code, id, account"
                ));
            }
        }
        for class in &self.credits.class_patterns {
            regex("class_patterns", &class.pattern)?;
        }
        self.check_refund_classes()
    }

    /// A class that no credit can have would leave credits where refunds are meant. What stands at its default may name one.
    fn check_refund_classes(&self) -> Result<(), String> {
        let CreditSettings { treat_as_refund, class_patterns, .. } = &self.credits;
        if *treat_as_refund == CreditSettings::default().treat_as_refund {
            return Ok(());
        }
        let classes = class_patterns.iter().map(|class| class.class.as_str());
        let known: BTreeSet<&str> = classes.chain([CreditSettings::DEFAULT_CLASS]).collect();
        match treat_as_refund.iter().find(|class| !known.contains(class.as_str())) {
            Some(class) => {
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                Err(format!("[credits] treat_as_refund: no credit has the class {class:?}; the classes are {known}"))
            }
            None => Ok(()),
        }
    }

    /// Threads to use: all cores, or as many as the settings say, up to four times that.
    #[must_use]
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.run.threads.map_or(cores, |threads| threads.clamp(1, cores.saturating_mul(4)))
    }

    /// What a run may hold in memory; `None` where nothing is set and the system does not say what there is.
    #[must_use]
    pub fn memory_limit(&self) -> Option<ByteSize> {
        let half = || available_memory().map(|bytes| ByteSize(bytes / 2).max(LEAST_MEMORY));
        self.run.memory_limit.or_else(half)
    }
}

#[cfg(test)]
mod tests;
