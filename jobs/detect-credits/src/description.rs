//! What a credit line's description says.
//!
//! `<name>[, credit from account: <12 digits>][, credit id: <digits>]`, suffixes in any order. A description that no
//! pattern fits is a credit all the same, named by its whole text.
//!
//! | description | name | account | id |
//! |---|---|---|---|
//! | `AWS Activate, credit from account: 222222222222` | AWS Activate | 222222222222 | |
//! | `Goodwill Credits, credit id: 10063543426` | Goodwill Credits | | 10063543426 |
//! | `X, credit id: 5, credit id: 9` | X, credit id: 5 | | 9 |
//! | `X, credit from account: 12345` | whole text | | |

use std::collections::BTreeSet;

use credit_ledger::Text;
use cur_reader::ReadError;
use regex::Regex;
use schemas::reference::{Problem, Problems};
use schemas::settings::CreditSettings;

/// Name of a credit without a description.
pub const NO_DESCRIPTION: &str = "(no description)";

const BUILT_IN: &str = r"(?s)\A(?P<code>.*?)(?: ?, credit from account: (?P<account>[0-9]{12})(?: ?, credit id: (?P<id>[0-9]{1,32}))?| ?, credit id: (?P<id2>[0-9]{1,32})(?: ?, credit from account: (?P<account2>[0-9]{12}))?)?\z";

/// The parsed description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditNames {
    /// The credit's name.
    pub promotion_code: Text,
    /// The stated owner.
    pub owner_account_id: Option<Text>,
    /// The stated id.
    pub credit_id: Option<Text>,
    /// Class by the name.
    pub credit_class: Text,
}

impl CreditNames {
    /// The credit's account: the owner where stated, else the account the line is on.
    #[must_use]
    pub fn account<'a>(&'a self, line_account: &'a Text) -> &'a Text {
        self.owner_account_id.as_ref().unwrap_or(line_account)
    }

    /// `id:<id>`, else `code:<name>@<account>`.
    #[must_use]
    pub fn key(&self, line_account: &Text) -> Text {
        match &self.credit_id {
            Some(id) => format!("id:{id}").into(),
            None => format!("code:{}@{}", self.promotion_code, self.account(line_account)).into(),
        }
    }
}

/// Parses descriptions by the configured patterns.
#[derive(Debug, Clone)]
pub struct DescriptionParser {
    patterns: Vec<Regex>,
    classes: Vec<(Regex, Text)>,
    refunds: BTreeSet<Text>,
}

impl DescriptionParser {
    /// A parser for the settings.
    ///
    /// # Errors
    /// [`ReadError::BadExport`] for a pattern that is none; never for checked settings.
    pub fn new(settings: &CreditSettings) -> Result<Self, ReadError> {
        let regex = |pattern: &String| {
            Regex::new(pattern).map_err(|error| {
                let file = "[credits]".to_owned();
                Problems(vec![Problem { file, row: None, column: None, message: error.to_string() }])
            })
        };
        let own = settings.description_patterns.iter().map(&regex);
        let patterns = own.chain([regex(&BUILT_IN.to_owned())]).collect::<Result<_, _>>()?;
        let classes =
            settings.class_patterns.iter().map(|class| Ok((regex(&class.pattern)?, class.class.as_str().into())));
        let classes = classes.collect::<Result<_, Problems>>()?;
        Ok(Self { patterns, classes, refunds: settings.treat_as_refund.iter().map(Text::from).collect() })
    }

    /// What `description` says; `None` and blank are the credit without a description.
    #[must_use]
    pub fn parse(&self, description: Option<&str>) -> CreditNames {
        let folded = description.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let mut names = self.match_patterns(&folded);
        if names.promotion_code.is_empty() {
            names.promotion_code = Text::new_static(NO_DESCRIPTION);
        }
        let class = self.classes.iter().find(|(pattern, _)| pattern.is_match(&names.promotion_code));
        names.credit_class = class.map_or(Text::new_static(CreditSettings::DEFAULT_CLASS), |(_, class)| class.clone());
        names
    }

    fn match_patterns(&self, folded: &str) -> CreditNames {
        let whole = CreditNames {
            promotion_code: folded.into(),
            owner_account_id: None,
            credit_id: None,
            credit_class: Text::default(),
        };
        let found = self.patterns.iter().find_map(|pattern| {
            let groups = pattern.captures(folded)?;
            let text = |names: [&str; 2]| {
                let group = names.into_iter().find_map(|name| groups.name(name))?;
                Some(Text::new(group.as_str().trim())).filter(|text| !text.is_empty())
            };
            Some(CreditNames {
                promotion_code: text(["code", "code"]).unwrap_or_default(),
                owner_account_id: text(["account", "account2"]),
                credit_id: text(["id", "id2"]),
                credit_class: Text::default(),
            })
        });
        found.unwrap_or(whole)
    }

    /// True for a class that is booked as a refund and not registered.
    #[must_use]
    pub fn is_refund(&self, names: &CreditNames) -> bool {
        self.refunds.contains(&names.credit_class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(description: &str) -> (Text, Option<Text>, Option<Text>, Text) {
        let names = DescriptionParser::new(&CreditSettings::default()).unwrap().parse(Some(description));
        (names.promotion_code, names.owner_account_id, names.credit_id, names.credit_class)
    }

    #[test]
    fn observed_descriptions_parse_as_finance_reads_them() {
        let cases = [
            (
                "AWS Open Source Promotional Credits, credit from account: 391835788720",
                "AWS Open Source Promotional Credits",
                "391835788720",
                "",
                "promotion",
            ),
            (
                "AWS Open Source Promotional Credits, credit id: 123",
                "AWS Open Source Promotional Credits",
                "",
                "123",
                "promotion",
            ),
            ("Goodwill Credits, credit id: 10063543426", "Goodwill Credits", "", "10063543426", "goodwill"),
            (
                "Contractual Credit - Credits, credit from account: 222222222222",
                "Contractual Credit - Credits",
                "222222222222",
                "",
                "contractual",
            ),
            (
                "Sales PoC - Geos_Sales LATAM (phase2), credit from account: 333333333333",
                "Sales PoC - Geos_Sales LATAM (phase2)",
                "333333333333",
                "",
                "promotion",
            ),
            ("MB - Pricing Adjustment", "MB - Pricing Adjustment", "", "", "pricing_adjustment"),
            (
                "AWS Config rules- credits to support pricing model change TT: 123456789012",
                "AWS Config rules- credits to support pricing model change TT: 123456789012",
                "",
                "",
                "promotion",
            ),
            (
                "Explore AWS: Launch an instance using EC2",
                "Explore AWS: Launch an instance using EC2",
                "",
                "",
                "promotion",
            ),
            ("MAP credit - 1/3 - 2/2", "MAP credit - 1/3 - 2/2", "", "", "promotion"),
            ("X, credit from account: 111122223333, credit id: 9", "X", "111122223333", "9", "promotion"),
            ("X, credit id: 9, credit from account: 111122223333", "X", "111122223333", "9", "promotion"),
            ("X, credit id: 5, credit id: 9", "X, credit id: 5", "", "9", "promotion"),
            (
                "X, credit id: 5 bonus, credit from account: 111122223333",
                "X, credit id: 5 bonus",
                "111122223333",
                "",
                "promotion",
            ),
            ("X, credit from account: 12345", "X, credit from account: 12345", "", "", "promotion"),
            ("X, credit id: ", "X, credit id:", "", "", "promotion"),
            ("X , credit from account: 111122223333 , credit id: 9", "X", "111122223333", "9", "promotion"),
            ("  First \t Credit , credit id: 9001 ", "First Credit", "", "9001", "promotion"),
            ("", NO_DESCRIPTION, "", "", "promotion"),
            (", credit id: 7", NO_DESCRIPTION, "", "7", "promotion"),
        ];
        let some = |text: &str| Some(Text::new(text)).filter(|text| !text.is_empty());
        for (description, name, owner, id, class) in cases {
            let expected = (Text::new(name), some(owner), some(id), Text::new(class));
            assert_eq!(parse(description), expected, "{description:?}");
        }
    }

    #[test]
    fn own_patterns_go_before_the_built_in_one() {
        let description_patterns = vec![r"^(?P<code>PO \d+) for (?P<account>\d{12})".to_owned()];
        let settings = CreditSettings { description_patterns, ..CreditSettings::default() };
        let names = DescriptionParser::new(&settings).unwrap().parse(Some("PO 12 for 111122223333, credit id: 4"));
        assert_eq!(names.key(&Text::new("9")), "code:PO 12@111122223333");
    }

    fn parser(settings: &str) -> DescriptionParser {
        let settings: CreditSettings = toml::from_str(settings).unwrap();
        DescriptionParser::new(&settings).unwrap()
    }

    #[test]
    fn the_first_own_pattern_that_fits_decides_and_where_none_does_the_built_in_one() {
        let parser = parser(
            r"description_patterns = ['^Programme (?P<code>\w+) / (?P<id>\d+)$', '^(?P<code>Programme) ', '^MAP (?P<id>\d+)']",
        );
        let key = |description: &str| parser.parse(Some(description)).key(&Text::new("111111111111"));
        assert_eq!(key("Programme Spring / 77"), "id:77");
        assert_eq!(key("Programme  Spring\t/ 77"), "id:77", "white space is folded before");
        assert_eq!(key("Programme Spring / 77, credit id: 5"), "code:Programme@111111111111");
        assert_eq!(key("Another, credit from account: 222222222222"), "code:Another@222222222222");
        // A pattern may name the id alone: then the credit has no name.
        let names = parser.parse(Some("MAP 12 of 2026"));
        assert_eq!((names.promotion_code.as_str(), names.key(&Text::default()).as_str()), (NO_DESCRIPTION, "id:12"));
    }

    #[test]
    fn an_end_date_in_a_description_is_part_of_the_name_and_tells_two_grants_apart() {
        let parser = parser("");
        let account = Text::new("111111111111");
        let keys = ["2026-06-30", "2026-12-31"].map(|end| {
            parser
                .parse(Some(&format!("Imagine Grant (expires {end}), credit from account: 222222222222")))
                .key(&account)
        });
        assert_eq!(keys[0], "code:Imagine Grant (expires 2026-06-30)@222222222222");
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn classes_are_told_by_the_name_whatever_its_case_and_not_by_what_follows_it() {
        let parser = parser("");
        let class = |description: &str| parser.parse(Some(description)).credit_class;
        assert_eq!(class("GOODWILL for the outage of 2026-03-02"), "goodwill");
        assert_eq!(class("Contractual goodwill"), "goodwill", "the first pattern that fits");
        assert_eq!(class("Pricing Adjustment - goodwill"), "pricing_adjustment");
        assert_eq!(class("EDP shortfall"), "promotion");
        let refund = parser.parse(Some("MB - pricing adjustment, credit id: 5"));
        assert!(parser.is_refund(&refund) && !parser.is_refund(&parser.parse(Some("Goodwill"))));
        assert!(!parser.is_refund(&parser.parse(None)));
    }

    #[test]
    fn names_of_any_script_and_length_are_kept_whole() {
        let parser = parser("");
        let long = "促銷 ☃ ".repeat(2_000);
        let names = parser.parse(Some(&format!("{long}, credit from account: 222222222222")));
        assert_eq!(names.promotion_code, long.trim());
        // Digits of another script are no account, and a twelfth digit too many neither.
        for text in ["X, credit from account: ２２２２２２２２２２２２", "X, credit from account: 2222222222222"]
        {
            assert_eq!(parser.parse(Some(text)).promotion_code, text);
        }
        let longest = "9".repeat(32);
        assert_eq!(parser.parse(Some(&format!("X, credit id: {longest}"))).credit_id, Some(Text::new(&longest)));
        assert_eq!(parser.parse(Some(&format!("X, credit id: {longest}9"))).credit_id, None);
    }
}
