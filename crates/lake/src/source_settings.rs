//! `[source]`: the billing export, or several.

use std::fmt;
use std::slice;

use schemas::settings::CostColumn;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::location::is_s3;

/// The billing exports: the one of `[source]`, or each that a `[[source]]` names.
#[derive(Debug, Clone)]
pub struct Sources(Vec<SourceSettings>);

/// One `[source]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// What paths of its files begin with, in messages and in the lake; needed of a `[[source]]`.
    pub name: Option<String>,
    /// Folder or `s3://bucket/prefix`: an export root with `data/` and `metadata/`, or plain files.
    pub location: String,
    /// The account whose bill it is: lines of another payer are refused.
    pub payer: Option<String>,
    /// Which cost column `charges` and `net_cost` use.
    #[serde(default)]
    pub cost: CostColumn,
    /// Currency of an export without a currency column.
    pub currency: Option<String>,
    /// AWS region of the export's bucket; asked of S3 where it is not stated.
    pub region: Option<String>,
    /// The role that may read the export's bucket; else the program's own credentials do.
    pub role_arn: Option<String>,
}

/// Folders of an export, whose names would be taken for it.
const NO_NAMES: [&str; 3] = ["data", "metadata", "cost_and_usage_data_status"];

const LONGEST_NAME: usize = 64;

impl Sources {
    /// Each of them.
    pub fn iter(&self) -> slice::Iter<'_, SourceSettings> {
        self.0.iter()
    }

    /// Each of them, to be changed.
    pub fn iter_mut(&mut self) -> slice::IterMut<'_, SourceSettings> {
        self.0.iter_mut()
    }

    /// Which cost column `charges` and `net_cost` use: the same of all.
    #[must_use]
    pub fn cost(&self) -> CostColumn {
        self.0.first().map(|source| source.cost).unwrap_or_default()
    }

    /// True where one of them lies on S3.
    #[must_use]
    pub fn has_remote(&self) -> bool {
        self.iter().any(|source| is_s3(&source.location))
    }

    /// Their locations, as a message names them.
    #[must_use]
    pub fn locations(&self) -> String {
        self.iter().map(|source| source.location.as_str()).collect::<Vec<_>>().join(" and ")
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        for (at, source) in self.iter().enumerate() {
            source.check()?;
            for before in self.iter().take(at) {
                let (section, before_it) = (source.section(), before.section());
                if before.name == source.name {
                    return Err(format!("{section}: another [[source]] has this name; give each its own"));
                }
                if before.location.trim_end_matches('/') == source.location.trim_end_matches('/') {
                    let location = &source.location;
                    return Err(format!("{section} location {location:?} is that of {before_it} too"));
                }
                if before.cost != source.cost {
                    return Err(format!(
                        "{section} cost differs from that of {before_it}; net cost is of one kind, give all the same"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl SourceSettings {
    /// How messages name the part of the settings.
    #[must_use]
    pub fn section(&self) -> String {
        self.name.as_ref().map_or_else(|| "[source]".to_owned(), |name| format!("[[source]] {name}"))
    }

    /// The folder that its files lie below; empty where there is nothing beside it.
    #[must_use]
    pub fn folder(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let section = self.section();
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        if let Some(payer) = self.payer.as_ref().filter(|payer| !is_account_id(payer)) {
            return Err(format!("{section} payer {payer:?} is no account id of 12 digits"));
        }
        let is_currency = |code: &str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if let Some(code) = self.currency.as_ref().filter(|code| !is_currency(code)) {
            return Err(format!("{section} currency {code:?} is no currency code (USD)"));
        }
        let is_region = |region: &str| {
            let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !region.is_empty() && region.bytes().all(may_stand)
        };
        if let Some(region) = self.region.as_ref().filter(|region| !is_region(region)) {
            return Err(format!("{section} region {region:?} is no AWS region (eu-central-1)"));
        }
        if let Some(role) = &self.role_arn {
            if !is_role(role) {
                return Err(format!("{section} role_arn {role:?} is no role (arn:aws:iam::111122223333:role/name)"));
            }
            if !is_s3(&self.location) {
                return Err(format!("{section} role_arn is for an export on S3; its location is a folder"));
            }
        }
        Ok(())
    }
}

/// A name begins a path: it must not look like a folder that means something in one.
fn check_name(name: &str) -> Result<(), String> {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.bytes().all(may_stand);
    let is_range = name.split_once('-').is_some_and(|(from, to)| {
        [from, to].iter().all(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if !is_name || is_range || name.len() > LONGEST_NAME || NO_NAMES.contains(&name) {
        let shape = "letters, digits, - and _, at most 64, not data or metadata";
        return Err(format!("[[source]] name {name:?} cannot stand in paths; take another one ({shape})"));
    }
    Ok(())
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `arn:<partition>:iam::<account>:role/<path and name>`
fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [first, partition, service, region, account, role] = parts.as_slice() else { return false };
    let is_role = role.strip_prefix("role/").is_some_and(|name| !name.is_empty());
    *first == "arn"
        && !partition.is_empty()
        && *service == "iam"
        && region.is_empty()
        && is_account_id(account)
        && is_role
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Sources;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a section [source], or a [[source]] for each export")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Sources, A::Error> {
        Ok(Sources(vec![SourceSettings::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sections: A) -> Result<Sources, A::Error> {
        let sources = Vec::<SourceSettings>::deserialize(SeqAccessDeserializer::new(sections))?;
        if sources.is_empty() {
            return Err(serde::de::Error::custom("there is no [[source]]"));
        }
        if sources.iter().any(|source| source.name.is_none()) {
            return Err(serde::de::Error::custom("each [[source]] needs a name of its own: name = \"emea\""));
        }
        Ok(Sources(sources))
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    fn parsed(sources: &str) -> Result<Settings, String> {
        let rest = "[reference]\nlocation = \"reference\"\n[lake]\nlocation = \"lake\"\n";
        Settings::parse(&format!("{sources}\n{rest}"), "s", "/base").map_err(|error| error.to_string())
    }

    fn refusal(sources: &str) -> String {
        parsed(sources).map(|settings| format!("{:?}", settings.source)).expect_err("refused")
    }

    #[test]
    fn one_export_needs_no_name_and_several_lie_below_theirs() {
        let one = parsed("[source]\nlocation = \"cur\"").unwrap().source;
        assert_eq!(one.locations(), "/base/cur");
        assert_eq!(
            one.iter().map(|source| (source.folder(), source.section())).collect::<Vec<_>>(),
            [("", "[source]".to_owned())]
        );
        let several = "[[source]]\nname = \"emea\"\nlocation = \"s3://a/b\"\ncost = \"amortized\"\n\
                       [[source]]\nname = \"111122223333\"\nlocation = \"cur\"\ncost = \"amortized\"";
        let several = parsed(several).unwrap().source;
        assert!(several.has_remote() && !one.has_remote());
        assert_eq!(several.locations(), "s3://a/b and /base/cur");
        assert_eq!(several.iter().map(super::SourceSettings::folder).collect::<Vec<_>>(), ["emea", "111122223333"]);
        assert_eq!(several.cost(), schemas::settings::CostColumn::Amortized);
    }

    #[test]
    fn a_wrong_export_is_told_with_its_name() {
        let two = |second: &str| refusal(&format!("[[source]]\nname = \"a\"\nlocation = \"x\"\n[[source]]\n{second}"));
        let cases = [
            ("name = \"a\"\nlocation = \"y\"", "s: [[source]] a: another [[source]] has this name; give each its own"),
            ("name = \"b\"\nlocation = \"x/\"", "s: [[source]] b location \"x/\" is that of [[source]] a too"),
            (
                "name = \"b\"\nlocation = \"y\"\ncost = \"amortized\"",
                "s: [[source]] b cost differs from that of [[source]] a; net cost is of one kind, give all the same",
            ),
            ("name = \"b\"\nlocation = \" \"", "s: [[source]] b location is empty"),
            (
                "name = \"b\"\nlocation = \"y\"\npayer = \"1234\"",
                "s: [[source]] b payer \"1234\" is no account id of 12 digits",
            ),
            (
                "name = \"b\"\nlocation = \"y\"\ncurrency = \"usd\"",
                "s: [[source]] b currency \"usd\" is no currency code (USD)",
            ),
            (
                "name = \"b\"\nlocation = \"s3://y\"\nregion = \"Frankfurt\"",
                "s: [[source]] b region \"Frankfurt\" is no AWS region (eu-central-1)",
            ),
            (
                "name = \"b\"\nlocation = \"s3://y\"\nrole_arn = \"arn:aws:iam::1:role/x\"",
                "s: [[source]] b role_arn \"arn:aws:iam::1:role/x\" is no role (arn:aws:iam::111122223333:role/name)",
            ),
            (
                "name = \"b\"\nlocation = \"y\"\nrole_arn = \"arn:aws-cn:iam::111122223333:role/x\"",
                "s: [[source]] b role_arn is for an export on S3; its location is a folder",
            ),
        ];
        for (second, expected) in cases {
            assert_eq!(two(second), expected);
        }
        assert!(two("location = \"y\"").ends_with("each [[source]] needs a name of its own: name = \"emea\""));
        let unknown = two("name = \"b\"\nlocation = \"y\"\nplace = \"z\"");
        assert!(unknown.starts_with("s, line 7, column 1: unknown field `place`"), "{unknown}");
        assert!(refusal("source = []").ends_with("there is no [[source]]"));
        assert!(refusal("source = \"cur\"").contains("a section [source], or a [[source]] for each export"));
    }

    #[test]
    fn a_name_cannot_be_taken_for_a_folder_of_an_export() {
        for name in ["", "data", "metadata", "_x", ".x", "a/b", "a b", "BILLING_PERIOD=2026-01", "20260101-20260201"] {
            let told = refusal(&format!("[[source]]\nname = {name:?}\nlocation = \"x\""));
            assert!(told.starts_with(&format!("s: [[source]] name {name:?} cannot stand in paths")), "{told}");
        }
        for name in ["emea", "EMEA_2", "111122223333", "2026-01"] {
            assert!(parsed(&format!("[[source]]\nname = {name:?}\nlocation = \"x\"")).is_ok(), "{name}");
        }
    }
}
