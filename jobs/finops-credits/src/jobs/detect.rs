//! The shell of detect-credits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytesize::ByteSize;
use credit_ledger::{BillingPeriod, Money, Text};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::prelude::SessionContext;
use detect_credits::census::{Census, CountedFile, count};
use detect_credits::description::DescriptionParser;
use detect_credits::lines::{LineReader, Tally};
use detect_credits::listing::{ExportFile, LeftOut};
use detect_credits::scan::{ScanUnit, Scanned, scan};
use detect_credits::{DetectError, RuleMatcher};
use futures::StreamExt;
use lake::{
    CurrencyTotal, DamagedGeneration, Generation, Generations, Lake, LakeError, LakeLock, ReferenceFiles, SourceFile,
};
use schemas::TableRow;
use schemas::reference::CostRules;
use schemas::tables::{CostLine, CreditLine, ExportTotal};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::listed::{Listed, Place};
use super::register::{self, Known};
use super::scan_units::{Unit, units};
use super::{DETECT, Detected, DetectedPeriod, Fetched, PeriodSource, apart, digest, for_each, hex};
use crate::output::print_json;
use crate::progress::ScanBar;
use crate::run::App;
use crate::{Failure, Kind};

/// Units read at once: while the sums of one are written, the lines of the next are read. One where memory is short.
const UNITS_AT_ONCE: usize = 2;
const SHORT_MEMORY: ByteSize = ByteSize::gib(4);

/// Of all files that were counted, so many parts stay open until they are read: what a footer says of the wanted columns
/// takes memory. The others are opened again.
const PARTS_KEPT_OPEN: usize = 500;

/// Raised when the same files would be read to other lines than before.
const READER_VERSION: u32 = 2;

/// Reads what changed in the export and registers credits.
pub(crate) async fn detect_credits(app: &App, lock: &LakeLock) -> Result<Detected, Failure> {
    let read = read(app, lock).await?;
    register(app, lock, read).await
}

/// The export, read.
pub(crate) struct ReadExport {
    /// Periods up to the as-of date that the export has now.
    present: BTreeSet<BillingPeriod>,
    /// Periods that were read, with their fingerprints.
    pub(crate) changed: BTreeMap<BillingPeriod, String>,
    /// What is known of credits already.
    known: Arc<Known>,
    /// Files that do not count.
    left_out: Vec<LeftOut>,
}

/// Reads what changed in the export.
pub(crate) async fn read(app: &App, _lock: &LakeLock) -> Result<ReadExport, Failure> {
    let is_new = {
        let (lake, run_id) = (Arc::clone(&app.lake), app.run_id.clone());
        apart(async move { lake.refuse_published(&run_id).await })
    };
    let (is_new, opened) = futures::join!(is_new, Export::open(app));
    is_new?;
    app.lake.clear_work(&app.run_id).await?;
    let (export, context) = (Arc::new(opened?), app.session().await?);
    let last = BillingPeriod::of(app.as_of);
    let changed = export.changed(app)?;
    // Where any period changed, the credit lines of all of them are wanted: threads that reading leaves free see to those
    // of the others.
    let unchanged = export.known.iter().filter(|(period, _)| !changed.is_empty() && !changed.contains_key(period));
    let unchanged = unchanged.map(|(period, generation)| (*period, generation.fingerprint.clone())).collect();
    let known = Arc::new(Known::nothing(last));
    let others = async {
        known.add_all(app, unchanged).await?;
        if changed.is_empty() { Ok(()) } else { known.add_logs(app).await }
    };
    let (read, others) = futures::join!(export.read(app, &context, changed.clone(), &known), others);
    read.and(others)?;
    let mut restored = export.restored.clone();
    restored.retain(|period, _| !changed.contains_key(period));
    app.lake.restore_pointers(&restored).await?;
    let (present, left_out) = (export.fingerprints(last).into_keys().collect(), export.listed.left_out.clone());
    Ok(ReadExport { present, changed, known, left_out })
}

/// Registers the credits and hands the later jobs what they need.
pub(crate) async fn register(app: &App, _lock: &LakeLock, read: ReadExport) -> Result<Detected, Failure> {
    let reference = app.places.reference_files(&app.settings).await?;
    let generations = app.lake.generations().await?;
    let detected = hand_over(app, &reference, &generations, read).await?;
    app.lake.finish_job(&app.run_id, DETECT, &detected).await?;
    Ok(detected)
}

/// Says which periods must be read, so that several processes can share them.
pub(crate) async fn plan(app: &App) -> Result<(), Failure> {
    let changed = Export::open(app).await?.changed(app)?;
    let plan = ScanPlan { periods: changed.into_keys().collect() };
    app.lake.finish_job(&app.run_id, SCAN_PLAN, &plan).await?;
    print_json(serde_json::to_string(&plan))
}

/// Reads one period, if it changed. Needs no lock: a generation is written once, and its pointer switched in one step.
pub(crate) async fn read_period(app: &App, period: BillingPeriod) -> Result<(), Failure> {
    let context = app.session().await?;
    let export = Arc::new(Export::open(app).await?);
    let mut changed = export.changed(app)?;
    changed.retain(|of, _| *of == period);
    export.read(app, &context, changed, &Arc::new(Known::nothing(period))).await
}

/// Periods that must be read.
#[derive(Debug, Serialize)]
struct ScanPlan {
    periods: Vec<BillingPeriod>,
}

const SCAN_PLAN: &str = "scan-plan";

/// What was fetched of the export so far, where it lies on S3.
fn fetched(app: &App) -> Option<Fetched> {
    let traffic = &app.places.traffic;
    let fetched = Fetched { requests: traffic.requests(), bytes: traffic.bytes() };
    (fetched.requests > 0).then_some(fetched)
}

/// The export as it lies there now.
struct Export {
    listed: Listed,
    reader: Arc<LineReader>,
    /// Digest of everything but the files that lines depend on.
    settings_digest: String,
    files: Vec<(ExportFile, Census)>,
    opened: BTreeMap<String, CountedFile>,
    known: BTreeMap<BillingPeriod, Generation>,
    /// Generations whose pointers are to be written again.
    restored: BTreeMap<BillingPeriod, Generation>,
    /// Of the known ones, those with files that are not as they were written.
    damaged: BTreeMap<BillingPeriod, DamagedGeneration>,
    /// Periods of which it is no longer known what was read, and why.
    lost: BTreeMap<BillingPeriod, String>,
}

impl Export {
    /// Lists the export and says which periods each file holds; only files that were not read before are opened.
    async fn open(app: &App) -> Result<Self, Failure> {
        let settings = &app.settings;
        // Listed while the reference files are parsed.
        let periods = app.export_periods();
        let listed = Place::of(app).map(|place| {
            let lake = Arc::clone(&app.lake);
            apart(async move {
                let known = async {
                    let found = lake.found_generations().await?;
                    let damaged = lake.damaged_generations(&found.current).await?;
                    Ok::<_, Failure>((found, damaged))
                };
                let (listed, known) = futures::join!(place.list(), known);
                Ok::<_, Failure>((listed?, known?))
            })
        });
        let reference = app.places.reference_files(settings).await?;
        let rules = &reference.cost_rules;
        let reader = Arc::new(LineReader {
            periods,
            currency: settings.source.currency.clone(),
            cost: settings.source.cost,
            credits: settings.credits.clone(),
            descriptions: DescriptionParser::new(&settings.credits)?,
            rules: RuleMatcher::new(rules),
        });
        let settings_digest = settings_digest(app, rules);
        let (listed, (found, damaged)) = listed?.await?;
        let Generations { current: known, restored, lost } = found;
        tracing::debug!(files = listed.files.len(), "listed");
        let before: BTreeMap<(&str, u64, &str), &Census> = known
            .values()
            .flat_map(|generation| &generation.files)
            // One that was taken before its periods were checked is counted again, to name the row.
            .filter(|file| file.lines.keys().all(|period| periods.check(*period).is_ok()))
            .map(|file| ((file.path.as_str(), file.size, file.version.as_str()), &file.lines))
            .collect();
        let (mut files, mut opened, mut parts) = (Vec::new(), BTreeMap::new(), 0);
        let mut problems = schemas::reference::Problems::default();
        let is_known = |file: &ExportFile| before.get(&(file.path.as_str(), file.size, file.version.as_str())).copied();
        let counting = listed.files.iter().filter(|file| is_known(file).is_none());
        let counting = counting.map(|file| {
            let (store, file, reader) = (Arc::clone(listed.store()), file.clone(), Arc::clone(&reader));
            apart(async move { count(&store, &file, &reader).await })
        });
        let at_once = app.fetched_at_once().max(app.settings.threads());
        let mut counted = futures::stream::iter(counting).buffered(at_once);
        for file in &listed.files {
            if let Some(census) = is_known(file) {
                files.push((file.clone(), census.clone()));
                continue;
            }
            match counted.next().await.transpose() {
                Ok(Some(counted)) => {
                    files.push((file.clone(), counted.census.clone()));
                    parts += counted.parts();
                    if parts <= PARTS_KEPT_OPEN {
                        opened.insert(file.path.clone(), counted);
                    }
                }
                Ok(None) => break,
                Err(DetectError::BadExport(found)) => problems.0.extend(found.0),
                Err(other) => return Err(listed.changed_or(other.into()).await),
            }
        }
        drop(counted);
        if let Err(problems) = problems.or(()) {
            return Err(listed.changed_or(problems.into()).await);
        }
        refuse_impossible(app, &known)?;
        Ok(Self { listed, reader, settings_digest, files, opened, known, restored, damaged, lost })
    }

    /// Periods up to the as-of date, with the fingerprint of what they would be read from.
    fn fingerprints(&self, last: BillingPeriod) -> BTreeMap<BillingPeriod, String> {
        self.fingerprints_of(|period| period <= last)
    }

    fn fingerprints_of(&self, is_wanted: impl Fn(BillingPeriod) -> bool) -> BTreeMap<BillingPeriod, String> {
        let periods: BTreeSet<BillingPeriod> = self
            .files
            .iter()
            .flat_map(|(_, census)| census.keys())
            .copied()
            .filter(|period| is_wanted(*period))
            .collect();
        let fingerprint = |period: BillingPeriod| {
            let mut digest = Sha256::new_with_prefix(&self.settings_digest);
            for (file, _) in self.files.iter().filter(|(_, census)| census.contains_key(&period)) {
                digest.update(format!("{:?}", (&file.path, file.size, &file.version)));
            }
            hex(&digest.finalize())
        };
        periods.into_iter().map(|period| (period, fingerprint(period))).collect()
    }

    /// Every period whose fingerprint changed, or whose generation is damaged.
    fn changed(&self, app: &App) -> Result<BTreeMap<BillingPeriod, String>, Failure> {
        let last = BillingPeriod::of(app.as_of);
        let fingerprints = self.fingerprints_of(|period| {
            period <= last || self.damaged.contains_key(&period) || self.lost.contains_key(&period)
        });
        let no_lines = self.files.iter().all(|(_, census)| census.is_empty());
        if no_lines || (fingerprints.is_empty() && self.known.is_empty()) {
            let message =
                format!("the billing export at {} holds no lines up to {last} yet", app.settings.source.location);
            return Err(Failure::new(Kind::NotYet, message));
        }
        if let Some((_, problem)) = self.lost.iter().find(|(period, _)| !fingerprints.contains_key(period)) {
            return Err(LakeError::Damaged(problem.clone()).into());
        }
        for (period, damaged) in &self.damaged {
            if !fingerprints.contains_key(period) {
                return Err(app.lake.lost_generation(*period, damaged).into());
            }
            app.lake.warn_of_generation(damaged);
        }
        let is_new = |(period, new): &(BillingPeriod, String)| {
            self.damaged.contains_key(period) || self.known.get(period).is_none_or(|known| known.fingerprint != *new)
        };
        Ok(fingerprints.into_iter().filter(is_new).collect())
    }

    /// Reads periods; all of them become current only after all could be read.
    async fn read(
        self: &Arc<Self>,
        app: &App,
        context: &SessionContext,
        changed: BTreeMap<BillingPeriod, String>,
        known: &Arc<Known>,
    ) -> Result<(), Failure> {
        let units = units(&changed, &self.files);
        let bytes = units.iter().flat_map(|(_, files)| files).map(|(file, _)| file.size).sum();
        let bar = ScanBar::new(bytes, app.watched);
        let (context, known) = (context.clone(), Arc::clone(known));
        let reading =
            Arc::new(Reading { export: Arc::clone(self), context, readers: app.readers(), changed, known, bar });
        let is_short = app.settings.memory_limit().is_some_and(|limit| limit < SHORT_MEMORY);
        let at_once = if is_short { 1 } else { UNITS_AT_ONCE };
        let units = for_each(app, at_once, units, |lake, _, unit| {
            let reading = Arc::clone(&reading);
            async move { reading.unit(&lake, unit).await }
        });
        let written = reading.bar.watch(units).await;
        reading.bar.finish();
        let written = match written {
            Ok(written) => written,
            Err(failure) => return Err(self.listed.changed_or(failure).await),
        };
        self.listed.check_unchanged().await?;
        app.lake.switch_generations(&written.into_iter().flatten().collect()).await?;
        Ok(())
    }

    async fn counted(&self, files: &[(ExportFile, Census)]) -> Result<Vec<CountedFile>, Failure> {
        let mut counted = Vec::with_capacity(files.len());
        for (file, census) in files {
            counted.push(match self.opened.get(&file.path) {
                Some(opened) => opened.clone(),
                None => CountedFile::open(self.listed.store(), file, census.clone(), &self.reader).await?,
            });
        }
        Ok(counted)
    }
}

/// Refuses a lake with a period that was taken before periods were checked.
fn refuse_impossible(app: &App, known: &BTreeMap<BillingPeriod, Generation>) -> Result<(), Failure> {
    let last = BillingPeriod::of(app.as_of);
    let mut counted = known.keys().filter(|period| **period <= last);
    match counted.find_map(|period| app.export_periods().check(*period).err().map(|wrong| (period, wrong))) {
        None => Ok(()),
        Some((period, wrong)) => {
            let lake = &app.settings.lake.location;
            let message = format!("the lake {lake}: {wrong}; `lake drop-period {period}` takes it out");
            Err(Failure::new(Kind::BadInput, message))
        }
    }
}

/// What all units that are read share.
struct Reading {
    export: Arc<Export>,
    context: SessionContext,
    readers: usize,
    /// The periods, with their fingerprints.
    changed: BTreeMap<BillingPeriod, String>,
    known: Arc<Known>,
    bar: ScanBar,
}

impl Reading {
    /// Reads the periods of one unit and writes what was found.
    async fn unit(
        &self,
        lake: &Arc<Lake>,
        (periods, files): Unit,
    ) -> Result<Vec<(BillingPeriod, Generation)>, Failure> {
        let name = periods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(periods = %name, files = files.len(), "reading");
        self.bar.reading(&name);
        let Export { listed, reader, .. } = &*self.export;
        let unit = ScanUnit { periods: periods.clone(), files: self.export.counted(&files).await? };
        let scanned = scan(&self.context, listed.store(), reader, &unit, self.readers, self.bar.progress()).await?;
        let mut written = Vec::new();
        for period in periods {
            written.push((period, self.write(lake, &scanned, &unit, period).await?));
        }
        Ok(written)
    }

    /// Writes one period of what was found.
    async fn write(
        &self,
        lake: &Arc<Lake>,
        scanned: &Scanned,
        unit: &ScanUnit,
        period: BillingPeriod,
    ) -> Result<Generation, Failure> {
        let fingerprint = self.changed.get(&period).cloned().unwrap_or_default();
        let folder = lake.new_generation_folder(&fingerprint);
        let (cost_lines, credit_lines) = scanned.of_period(period);
        // While the last cost lines are encoded, what credit lines say is added.
        let credits = {
            let (lake, known) = (Arc::clone(lake), Arc::clone(&self.known));
            let (fingerprint, folder) = (fingerprint.clone(), folder.clone());
            apart(async move {
                let credit_lines = schemas::to_batch(&credit_lines.read().await?)?;
                known.add(period, &fingerprint, &credit_lines).await?;
                let credit_lines = MemoryStream::try_new(vec![credit_lines], CreditLine::TABLE.schema(), None)?;
                Ok::<_, Failure>(
                    lake.write_generation(period, &folder, &CreditLine::TABLE, Box::pin(credit_lines)).await?,
                )
            })
        };
        let cost_lines = lake.write_generation(period, &folder, &CostLine::TABLE, cost_lines).await?;
        let credit_lines = credits.await?;
        let tables = [(CostLine::TABLE, cost_lines), (CreditLine::TABLE, credit_lines)];
        let formats: BTreeSet<&str> = unit.files.iter().map(CountedFile::format).collect();
        let totals = scanned.tally.totals.iter().filter(|((of, _), _)| *of == period);
        Ok(Generation {
            fingerprint,
            folder,
            tables: tables.map(|(table, sum)| (table.name.to_owned(), sum)).into(),
            format: formats.into_iter().collect::<Vec<_>>().join(", "),
            files: unit.files.iter().filter(|file| file.census.contains_key(&period)).map(source_file).collect(),
            totals: totals
                .map(|(key, (lines, export_total))| currency_total(&scanned.tally, key, *lines, *export_total))
                .collect(),
            blank_costs: scanned.tally.blank_costs.get(&period).copied().unwrap_or(0),
            unknown_line_types: scanned.tally.unknown_line_types.get(&period).cloned().unwrap_or_default(),
            notes: scanned.tally.notes.get(&period).cloned().unwrap_or_default(),
        })
    }
}

fn currency_total(tally: &Tally, key: &(BillingPeriod, String), lines: u64, export_total: Money) -> CurrencyTotal {
    let invoices = tally.invoices.get(key);
    let invoiced: u64 = invoices.into_iter().flat_map(BTreeMap::values).sum();
    CurrencyTotal {
        currency: key.1.clone(),
        export_total,
        lines,
        invoice_ids: invoices.into_iter().flat_map(BTreeMap::keys).cloned().collect(),
        lines_without_invoice: lines - invoiced,
    }
}

fn source_file(file: &CountedFile) -> SourceFile {
    let ExportFile { path, size, version, .. } = file.file().clone();
    SourceFile { path, size, version, lines: file.census.clone() }
}

fn settings_digest(app: &App, rules: &CostRules) -> String {
    let conditions: Vec<_> = rules.iter().map(|rule| (&rule.rule_id, rule.priority, &rule.conditions)).collect();
    let source = &app.settings.source;
    let credits = &app.settings.credits;
    let patterns = (&credits.description_patterns, &credits.class_patterns, &credits.treat_as_refund);
    let exclusions = (
        &credits.ineligible_billing_entities,
        &credits.ineligible_services,
        &credits.ineligible_line_types,
        &credits.ineligible_upfront_fees,
    );
    digest(&(READER_VERSION, conditions, source.cost, &source.currency, patterns, exclusions))
}

/// Hands over the register and what was read.
async fn hand_over(
    app: &App,
    reference: &ReferenceFiles,
    generations: &BTreeMap<BillingPeriod, Generation>,
    read: ReadExport,
) -> Result<Detected, Failure> {
    let last = BillingPeriod::of(app.as_of);
    let ReadExport { present, changed, known, left_out } = read;
    let register = register::hand_over(app, reference, generations, &known, last).await?;
    let run_id = &app.run_id;
    let in_run: BTreeMap<&BillingPeriod, &Generation> =
        generations.iter().filter(|(period, _)| **period <= last).collect();
    app.lake.hand_over(run_id, None, &export_totals(&in_run)).await?;
    let periods = in_run.iter().map(|(period, generation)| DetectedPeriod {
        period: **period,
        fingerprint: generation.fingerprint.clone(),
        lines: generation.lines(),
        source: match (changed.contains_key(period), present.contains(period)) {
            (true, _) => PeriodSource::Read,
            (false, true) => PeriodSource::Unchanged,
            (false, false) => PeriodSource::Gone,
        },
        blank_costs: generation.blank_costs,
        unknown_line_types: generation.unknown_line_types.clone(),
        notes: generation.notes.clone(),
    });
    let formats: BTreeSet<&str> = in_run.values().map(|generation| generation.format.as_str()).collect();
    Ok(Detected {
        as_of: app.as_of,
        format: formats.into_iter().collect::<Vec<_>>().join(", "),
        periods: periods.collect(),
        left_out,
        register,
        in_memory: app.handed_over.in_memory,
        fetched: fetched(app),
    })
}

fn invoice_ids(ids: &BTreeSet<String>) -> Option<Text> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    (!ids.is_empty()).then(|| ids.join(",").into())
}

fn export_totals(generations: &BTreeMap<&BillingPeriod, &Generation>) -> Vec<ExportTotal> {
    let rows = generations.iter().flat_map(|(period, generation)| {
        generation.totals.iter().map(|total| ExportTotal {
            billing_period: **period,
            currency: total.currency.as_str().into(),
            export_total: total.export_total,
            rows_read: i64::try_from(total.lines).unwrap_or(i64::MAX),
            invoice_ids: invoice_ids(&total.invoice_ids),
            lines_without_invoice: i64::try_from(total.lines_without_invoice).unwrap_or(i64::MAX),
        })
    });
    rows.collect()
}
