//! `[engine]` of the settings: what reads the export.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::Deserialize;

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// What reads the export.
    pub kind: EngineKind,
    /// Where the scheduler of a cluster listens.
    pub scheduler: Option<SchedulerAddress>,
    /// Where it is read once the cluster is lost; none: the run ends.
    pub fallback: Option<Fallback>,
    /// Seconds after which a scan that a cluster has not done is given up.
    pub deadline_seconds: u64,
    /// Bytes of the export that one task of a cluster reads, at least.
    pub partition_size: ByteSize,
}

/// Engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// This process.
    #[default]
    Local,
    /// A cluster of `finops-credits scheduler` and `finops-credits executor`.
    Ballista,
}

/// Where the export is read once a cluster is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// In this process.
    Local,
}

/// `df://host:port`
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SchedulerAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for SchedulerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.strip_prefix("df://").and_then(|rest| rest.trim_end_matches('/').rsplit_once(':'));
        let known = parts.and_then(|(host, port)| Some((host, port.parse().ok().filter(|port| *port > 0)?)));
        let is_name = |host: &str| {
            !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter))
        };
        let is_v6 = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
        };
        match known.filter(|(host, _)| is_name(host) || is_v6(host)) {
            Some((host, port)) => Ok(Self { host: host.to_owned(), port }),
            None => Err(format!("{text:?} is no address of a scheduler (df://host:port)")),
        }
    }
}

impl TryFrom<String> for SchedulerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for SchedulerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "df://{}:{}", self.host, self.port)
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            kind: EngineKind::Local,
            scheduler: None,
            fallback: None,
            deadline_seconds: 4 * 60 * 60,
            partition_size: ByteSize::mib(128),
        }
    }
}

impl EngineSettings {
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.kind == EngineKind::Ballista && self.scheduler.is_none() {
            return Err("[engine] kind \"ballista\" needs a scheduler (df://host:port)".to_owned());
        }
        if self.deadline_seconds == 0 {
            return Err("[engine] deadline_seconds must be at least 1".to_owned());
        }
        Ok(())
    }

    /// The scheduler of the cluster that reads the export; none: this process reads it.
    #[must_use]
    pub fn cluster(&self) -> Option<&SchedulerAddress> {
        self.scheduler.as_ref().filter(|_| self.kind == EngineKind::Ballista)
    }

    /// The same, with the cluster of this scheduler.
    #[must_use]
    pub fn on(self, scheduler: SchedulerAddress) -> Self {
        Self { kind: EngineKind::Ballista, scheduler: Some(scheduler), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduler_is_a_host_and_a_port() {
        for good in ["df://localhost:50050", "df://10.0.0.5:50050/", "df://scheduler.local:1", "df://[::1]:50050"] {
            let address: SchedulerAddress = good.parse().unwrap();
            assert_eq!(address.to_string(), good.trim_end_matches('/'));
        }
        for bad in [
            "localhost:50050",
            "df://localhost",
            "df://:50050",
            "df://a:0",
            "df://a:70000",
            "df://a b:1",
            "df://a:1:2",
            "df://[a]:1",
            "",
        ] {
            let refused = bad.parse::<SchedulerAddress>().unwrap_err();
            assert_eq!(refused, format!("{bad:?} is no address of a scheduler (df://host:port)"));
        }
    }

    #[test]
    fn cluster_is_asked_only_where_the_settings_or_the_command_line_say_so() {
        let settings: EngineSettings = toml::from_str("scheduler = \"df://a:1\"").unwrap();
        assert_eq!(settings.cluster(), None, "kind is local");
        let settings = settings.on("df://b:2".parse().unwrap());
        assert_eq!(settings.cluster().unwrap().to_string(), "df://b:2");
        let wrong = EngineSettings { kind: EngineKind::Ballista, ..EngineSettings::default() }.check().unwrap_err();
        assert_eq!(wrong, "[engine] kind \"ballista\" needs a scheduler (df://host:port)");
        assert!(EngineSettings { deadline_seconds: 0, ..EngineSettings::default() }.check().is_err());
        assert!(toml::from_str::<EngineSettings>("fallback = \"elsewhere\"").is_err());
    }
}
