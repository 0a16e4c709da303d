//! What is damaged, and which command reads it then.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use arrow::datatypes::DataType;
use flate2::Compression;
use flate2::write::GzEncoder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::world::{Base, MIDWAY, World};
use super::{bytes, text, thrift};
use crate::formats::fixture;
use crate::formats::parquet_file::{Types, parquet};
use crate::support::SETTINGS;
use crate::support::random::Random;

/// Kinds of input files, and how many of a hundred runs each gets.
pub(super) const KINDS: [(&str, usize); 10] = [
    ("parquet", 32),
    ("csv", 12),
    ("csv.gz", 5),
    ("zip", 4),
    ("manifest", 6),
    ("settings", 8),
    ("reference", 11),
    ("allocations", 7),
    ("lake", 11),
    ("intermediate", 4),
];

/// One damaged file and the command that meets it.
pub(super) struct Case {
    pub(super) kind: &'static str,
    pub(super) base: Base,
    /// Below the workspace.
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    /// Files that are there instead of, or besides, those of the base.
    beside: Vec<(String, Vec<u8>)>,
    /// The file of the base that this one stands for.
    instead_of: Option<&'static str>,
    pub(super) arguments: Vec<String>,
}

/// Whole files to damage.
pub(super) struct Seeds {
    parquet: Vec<(String, Vec<u8>)>,
    csv: Vec<(String, Vec<u8>)>,
}

const FORMATS: [&str; 5] = ["cur-2.0.csv", "cur-1.0.csv", "cur-1.0-athena.csv", "focus-1.0.csv", "focus-1.2.csv"];

impl Seeds {
    /// Parquet by six writers, of which this library is one, and the formats as text.
    pub(super) fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz");
        let mut committed: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
            .expect("the fixtures")
            .map(|entry| entry.expect("a folder entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
            .map(|path| {
                (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(path).expect("a file"))
            })
            .collect();
        committed.sort();
        let decimals =
            Types { text: DataType::LargeUtf8, cost: DataType::Decimal128(38, 10), zone: Some("UTC"), maps: true };
        let own = [
            ("cur-2.0.csv", Types::of_aws()),
            ("cur-2.0.csv", decimals),
            ("cur-1.0-athena.csv", Types { maps: false, ..Types::of_aws() }),
            ("focus-1.2.csv", Types { maps: false, ..Types::of_aws() }),
        ];
        let own = own.into_iter().map(|(name, types)| (format!("arrow-rs of {name}"), parquet(&fixture(name), &types)));
        committed.extend(own);
        let csv = FORMATS.map(|name| (name.to_owned(), fixture(name).into_bytes())).to_vec();
        Self { parquet: committed, csv }
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("a compressed text");
    encoder.finish().expect("a whole text")
}

fn zip(content: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("may.csv", SimpleFileOptions::default()).expect("an entry");
    archive.write_all(content).expect("a compressed text");
    archive.finish().expect("a whole archive").into_inner()
}

fn damage_parquet(content: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let done = match random.below(10) {
        0..=2 => thrift::damage(content, random),
        3 => thrift::damage_footer(content, random),
        _ => false,
    };
    if !done {
        bytes::damage(content, other, random);
    }
}

/// By what it means, or by bytes.
fn damage_text(
    content: &mut Vec<u8>,
    other: &[u8],
    random: &mut Random,
    by_meaning: impl Fn(&str, &mut Random) -> Option<Vec<u8>>,
) {
    let text = String::from_utf8_lossy(content).into_owned();
    match by_meaning(&text, random).filter(|_| random.percent(65)) {
        Some(damaged) => *content = damaged,
        None => bytes::damage(content, other, random),
    }
}

/// One kind of file, where no other is asked for.
#[expect(clippy::disallowed_methods, reason = "what to test is no setting of the program")]
pub(super) fn only_kind() -> Option<String> {
    std::env::var("FINOPS_FUZZ_KIND").ok()
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

const RUN: [&str; 1] = ["run"];

impl Case {
    /// The case of a run, by its own numbers.
    pub(super) fn new(seeds: &Seeds, world: &World, random: &mut Random) -> Self {
        let mut left = random.below(100);
        let only = only_kind();
        if let Some(kind) = &only {
            left = KINDS.iter().take_while(|(of, _)| of != kind).map(|(_, share)| share).sum();
        }
        let kind = KINDS.iter().find(|(_, share)| {
            let found = left < *share;
            left = left.saturating_sub(*share);
            found
        });
        match kind.map_or("parquet", |(kind, _)| *kind) {
            "csv" => Self::csv(seeds, random),
            "csv.gz" => Self::packed("csv.gz", gzip, seeds, random),
            "zip" => Self::packed("zip", zip, seeds, random),
            "manifest" => Self::manifest(random),
            "settings" => Self::settings(random),
            "reference" => Self::reference(world, random),
            "allocations" => Self::allocations(random),
            "lake" => Self::lake(world, random),
            "intermediate" => Self::intermediate(world, random),
            _ => Self::parquet(seeds, random),
        }
    }

    fn export(kind: &'static str, path: &str, content: Vec<u8>, random: &mut Random) -> Self {
        Self {
            kind,
            base: if random.percent(20) { Base::New } else { Base::Night },
            path: path.to_owned(),
            content,
            beside: Vec::new(),
            instead_of: Some("cur/may.csv"),
            arguments: words(&RUN),
        }
    }

    fn parquet(seeds: &Seeds, random: &mut Random) -> Self {
        let mut content = random.pick(&seeds.parquet).1.clone();
        damage_parquet(&mut content, &random.pick(&seeds.parquet).1, random);
        Self::export("parquet", "cur/may.parquet", content, random)
    }

    fn csv(seeds: &Seeds, random: &mut Random) -> Self {
        let mut content = random.pick(&seeds.csv).1.clone();
        damage_text(&mut content, &random.pick(&seeds.csv).1, random, text::damage_csv);
        Self::export("csv", "cur/may.csv", content, random)
    }

    fn packed(kind: &'static str, pack: fn(&[u8]) -> Vec<u8>, seeds: &Seeds, random: &mut Random) -> Self {
        let mut content = random.pick(&seeds.csv).1.clone();
        let by_meaning = random.percent(40);
        if by_meaning {
            damage_text(&mut content, &random.pick(&seeds.csv).1, random, text::damage_csv);
        }
        let mut content = pack(&content);
        if !by_meaning {
            bytes::damage(&mut content, &pack(&random.pick(&seeds.csv).1), random);
        }
        Self::export(kind, &format!("cur/may.{kind}"), content, random)
    }

    fn manifest(random: &mut Random) -> Self {
        let cur_1 = r#"{"assemblyId": "a", "compression": "GZIP", "bucket": "billing", "columns": [], "billingPeriod":
            {"start": "20260501T000000.000Z"}, "reportKeys": ["/r/cur/acme/20260501-20260601/acme-1.csv"]}"#;
        let cur_2 = r#"{"executionId": "e", "billingPeriod": {"start": "2026-05-01T00:00:00.000Z"}, "dataFiles":
            [{"key": "s3://bucket//b/acme/data/BILLING_PERIOD=2026-05/acme-1.csv"}]}"#;
        let (manifest, path, data, text) = if random.percent(50) {
            let month = "cur/acme/20260501-20260601";
            (cur_1, format!("{month}/acme-Manifest.json"), format!("{month}/acme-1.csv"), "cur-1.0.csv")
        } else {
            let of = |folder: &str, file: &str| format!("cur/acme/{folder}/BILLING_PERIOD=2026-05/{file}");
            (cur_2, of("metadata", "acme-Manifest.json"), of("data", "acme-1.csv"), "cur-2.0.csv")
        };
        let mut content = manifest.as_bytes().to_vec();
        if random.percent(4) {
            content = random.pick(&["[", "{\"a\":", "[{\"dataFiles\":"]).repeat(100_000).into_bytes();
        } else {
            damage_text(&mut content, manifest.as_bytes(), random, text::damage_json);
        }
        let mut case = Self::export("manifest", &path, content, random);
        case.beside.push((data, fixture(text).into_bytes()));
        case
    }

    fn settings(random: &mut Random) -> Self {
        let more = "\n[credits]\npolicy = \"fifo_issue_date/v1\"\nexpiring_soon_days = 60\ntreat_as_refund = [\"goodwill\"]\n\
            description_patterns = [\"^(?P<code>PO .*)$\"]\nineligible_services = [\"AmazonRegistrar\"]\n\
            class_patterns = [{ pattern = \"(?i)goodwill\", class = \"goodwill\" }]\n\n\
            [run]\nthreads = 2\nkeep_runs = 30\nmemory_limit = \"1 GiB\"\nas_of = \"2026-06-10\"\n";
        let whole = SETTINGS.replace("\"cur\"\n", "\"cur\"\ncost = \"unblended\"\ncurrency = \"USD\"\n");
        let whole =
            whole.replace("\"lake\"\n", "\"lake\"\ncatalog = \"sqlite\"\ndatabase = \"finops_credits\"\n") + more;
        let mut content = whole.clone().into_bytes();
        damage_text(&mut content, whole.as_bytes(), random, |text, random| Some(text::damage_toml(text, random)));
        let arguments: &[&str] = if random.percent(70) { &RUN } else { &["credits"] };
        Self {
            kind: "settings",
            instead_of: None,
            arguments: words(arguments),
            ..Self::export("", "credits.toml", content, random)
        }
    }

    fn reference(world: &World, random: &mut Random) -> Self {
        let names = ["hierarchy.csv", "cost_rules.csv", "cost_rules.csv", "budgets.csv", "allocations.csv"];
        let name = *random.pick(&names);
        let path = format!("reference/{name}");
        world.put_back(Base::Night);
        let whole = fs::read(world.workspace.path(&path)).expect("a reference file");
        let mut content = whole.clone();
        damage_text(&mut content, &whole, random, text::damage_csv);
        let mut case = Self { kind: "reference", instead_of: None, ..Self::export("", &path, content, random) };
        if name == "allocations.csv" {
            // Taken over by a new lake only.
            case.base = Base::New;
        }
        case
    }

    fn allocations(random: &mut Random) -> Self {
        let whole = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
            portfolio,product,allocation_id,recorded_at,recorded_by,action,note\n\
            ,,id:42,5,USD,2026-12-31,INV-1,Retail,Online,,,a-1,2026-06-01T09:30:00Z,ann,allocate,first\n\
            ,,id:42,7.5,USD,2026-12-31,INV-1,Retail,,,,a-1,2026-06-01T09:30:00Z,ann,allocate,first\n\
            Summer Promo,100000000001,,3,USD,,,Europe,,,,b-1,2026-06-02T09:30:00Z,ann,allocate,\n\
            Summer Promo,100000000001,,,,,,,,,,b-2,2026-06-03T09:30:00Z,ann,revoke,\n";
        let mut content = whole.as_bytes().to_vec();
        damage_text(&mut content, whole.as_bytes(), random, text::damage_csv);
        let mut case = Self::export("allocations", "import.csv", content, random);
        (case.base, case.instead_of) = (Base::Night, None);
        case.arguments = words(&["allocations", "import"]);
        case.arguments.push(world_path("import.csv"));
        case
    }

    fn lake(world: &World, random: &mut Random) -> Self {
        let path = format!("lake/{}", random.pick(&world.lake["night"]));
        world.put_back(Base::Night);
        let content = damaged_state(world, &path, random);
        let history = ["allocations", "history", "id:42"];
        let allocate = ["allocate", "--key", "id:42", "--amount", "4", "--to", "Retail", "--by", "ana"];
        let arguments: &[&str] = match random.below(12) {
            0 => &["credits"],
            1 => &["queue"],
            2 => &["allocations", "list"],
            3 => &history,
            4 => &allocate,
            5 => &[
                "--format",
                "csv",
                "query",
                "SELECT billing_period, sum(net_cost) FROM net_cost GROUP BY 1 ORDER BY 1",
            ],
            _ => &RUN,
        };
        let (base, beside) = (Base::Night, Vec::new());
        Self { kind: "lake", base, path, content, beside, instead_of: None, arguments: words(arguments) }
    }

    fn intermediate(world: &World, random: &mut Random) -> Self {
        let path = format!("lake/{}", random.pick(&world.lake["midway"]));
        world.put_back(Base::Midway);
        let content = damaged_state(world, &path, random);
        let job = *random.pick(&["join-allocations", "apply-fifo", "write-net-cost", "publish", "publish"]);
        let arguments = words(&["--run-id", MIDWAY, job]);
        let (base, beside) = (Base::Midway, Vec::new());
        Self { kind: "intermediate", base, path, content, beside, instead_of: None, arguments }
    }

    /// Puts the damaged file, and what belongs to it, in its place.
    pub(super) fn install(&self, world: &World) {
        world.put_back(self.base);
        if let Some(path) = self.instead_of {
            fs::remove_file(world.workspace.path(path)).expect("a removed file");
        }
        for (path, content) in &self.beside {
            world.workspace.write(path, content);
        }
        let _is_there = fs::remove_file(world.workspace.path(&self.path));
        world.workspace.write(&self.path, &self.content);
    }

    /// The command, with paths of this workspace.
    pub(super) fn command(&self, world: &World) -> Vec<String> {
        let root = world.workspace.path("").display().to_string();
        self.arguments.iter().map(|argument| argument.replace(&world_path(""), &root)).collect()
    }

    pub(super) fn is_state(&self) -> bool {
        self.kind == "lake" || self.kind == "intermediate"
    }
}

/// Stands for a path in the workspace, whose place differs from thread to thread.
fn world_path(relative: &str) -> String {
    format!("<workspace>/{relative}")
}

fn damaged_state(world: &World, path: &str, random: &mut Random) -> Vec<u8> {
    let whole = fs::read(world.workspace.path(path)).expect("a file of the lake");
    let mut content = whole.clone();
    if path.ends_with(".parquet") {
        damage_parquet(&mut content, &whole, random);
    } else if path.ends_with(".json") {
        damage_text(&mut content, &whole, random, text::damage_json);
    } else {
        bytes::damage(&mut content, &whole, random);
    }
    content
}
