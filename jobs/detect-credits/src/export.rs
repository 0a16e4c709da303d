//! The export as it lies there, beside what the lake last read of it: which billing periods must be read?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credit_ledger::BillingPeriod;
use cur_reader::ReadError;
use cur_reader::listing::ExportFile;
use futures::StreamExt;
use lake::{
    DamagedGeneration, Generation, Generations, InputDigest, JobContext, Lake, LakeError, ReferenceFiles,
    SourceSettings, spawn_abort_on_drop,
};
use schemas::reference::{CostRules, Problems};
use schemas::settings::CreditSettings;
use schemas::tables::{CostLine, CreditLine};

use crate::deliveries::export_name;
use crate::error::DetectError;
use crate::line_counts::{CountedFile, PeriodLineCounts, count};
use crate::lines::{LineReader, LineSettings};
use crate::listed::{ExportSource, Listed};
use crate::stated::StatedOfExport;

/// Of all files that were counted, so many parts stay open until they are read: what a footer says of the wanted columns
/// takes memory. The others are opened again.
const PARTS_KEPT_OPEN: usize = 500;

/// The export, listed and counted.
pub(crate) struct Export {
    pub(crate) listed: Listed,
    pub(crate) reader: Arc<LineReader>,
    pub(crate) files: Vec<(ExportFile, PeriodLineCounts)>,
    opened: BTreeMap<String, CountedFile>,
    /// Digest of everything but the files that lines depend on.
    settings: InputDigest,
    /// What the lake has.
    pub(crate) found: Generations,
    /// Of the lake's generations, those with files that are not as they were written.
    damaged: BTreeMap<BillingPeriod, DamagedGeneration>,
}

impl Export {
    /// Lists the export and counts the lines of each file by billing period. Only files that were not read before are
    /// opened.
    pub(crate) async fn open(
        context: &JobContext,
        source: ExportSource,
        reference: &ReferenceFiles,
    ) -> Result<Self, DetectError> {
        let reader = Arc::new(line_reader(context, reference)?);
        let at_once = source.fetched_at_once.max(context.settings.threads());
        let lake = Arc::clone(context.run.lake());
        let listing = spawn_abort_on_drop(async move { futures::join!(source.list_current(), found(&lake)) });
        let (listed, found) = listing.await;
        let (listed, (found, damaged)) = (listed?, found?);
        tracing::debug!(files = listed.files.len(), "listed");
        let (files, opened) = counted_files(&listed, &reader, &found.current, at_once).await?;
        refuse_impossible(context, &found.current)?;
        let settings = settings_digest(context, &reference.cost_rules)?;
        Ok(Self { listed, reader, files, opened, settings, found, damaged })
    }

    /// Every billing period up to the as-of date that must be read, with the fingerprint that its generation will have:
    /// its files or the settings changed, or its generation is damaged.
    pub(crate) fn changed(&self, context: &JobContext) -> Result<BTreeMap<BillingPeriod, String>, DetectError> {
        let (last, lake) = (context.last_period(), context.run.lake());
        let wanted = |period: &BillingPeriod| {
            *period <= last || self.damaged.contains_key(period) || self.found.lost.contains_key(period)
        };
        let mut fingerprints = BTreeMap::new();
        for period in self.periods().into_iter().filter(wanted) {
            // Without what they delivered the month would lose their lines.
            if self.gone_exports(period).is_empty() {
                fingerprints.insert(period, self.fingerprint(period)?);
            }
        }
        let no_lines = self.files.iter().all(|(_, line_counts)| line_counts.is_empty());
        if no_lines || (fingerprints.is_empty() && self.found.current.is_empty()) {
            let location = context.settings.source.locations();
            return Err(
                ReadError::NotYet(format!("the billing export at {location} holds no lines up to {last} yet")).into()
            );
        }
        if let Some((_, problem)) = self.found.lost.iter().find(|(period, _)| !fingerprints.contains_key(period)) {
            return Err(LakeError::Damaged(problem.clone()).into());
        }
        for (period, damaged) in &self.damaged {
            if !fingerprints.contains_key(period) {
                return Err(lake.lost_generation(*period, damaged).into());
            }
            lake.warn_of_generation(damaged);
        }
        fingerprints.retain(|period, fingerprint| {
            let known = self.found.current.get(period);
            self.damaged.contains_key(period) || known.is_none_or(|known| known.fingerprint != *fingerprint)
        });
        Ok(fingerprints)
    }

    /// All billing periods that the export has now.
    pub(crate) fn periods(&self) -> BTreeSet<BillingPeriod> {
        self.files.iter().flat_map(|(_, line_counts)| line_counts.keys()).copied().collect()
    }

    /// Exports that a period was read of and that have only other periods now, while those that have it still had it before.
    pub(crate) fn gone_exports(&self, period: BillingPeriod) -> BTreeSet<String> {
        let known = self.found.current.get(&period).into_iter().flat_map(|known| &known.files);
        let before: BTreeSet<&str> = known.map(|file| file.export.as_str()).collect();
        let now: BTreeSet<&str> = self.exports_of(period).collect();
        if now.is_empty() || !now.is_subset(&before) {
            return BTreeSet::new();
        }
        let listed: BTreeSet<&str> = self.files.iter().map(|(file, _)| file.export.as_str()).collect();
        before
            .difference(&now)
            .filter(|export| listed.contains(*export))
            .map(|export| export_name(export).to_owned())
            .collect()
    }

    /// Of the newest period up to `last`: exports that have earlier periods only.
    pub(crate) fn awaited_exports(&self, last: BillingPeriod) -> Option<(BillingPeriod, BTreeSet<String>)> {
        let newest = self.periods().into_iter().rfind(|period| *period <= last)?;
        let there: BTreeSet<&str> = self.exports_of(newest).collect();
        let earlier = self.files.iter().filter(|(_, line_counts)| line_counts.keys().any(|period| *period < newest));
        let earlier = earlier.map(|(file, _)| file.export.as_str()).filter(|export| !there.contains(export));
        Some((newest, earlier.map(|export| export_name(export).to_owned()).collect()))
    }

    fn exports_of(&self, period: BillingPeriod) -> impl Iterator<Item = &str> {
        let files = self.files.iter().filter(move |(_, line_counts)| line_counts.contains_key(&period));
        files.map(|(file, _)| file.export.as_str())
    }

    /// Digest of what a period's generation is read from: the settings, and the files that hold lines of it.
    fn fingerprint(&self, period: BillingPeriod) -> Result<String, LakeError> {
        let files = self.files.iter().filter(|(_, line_counts)| line_counts.contains_key(&period));
        let files: Vec<_> = files.map(|(file, _)| (&file.path, file.size, &file.version)).collect();
        Ok(self.settings.clone().with("files", &files)?.finish())
    }

    /// Files with what is known of them, opened.
    pub(crate) async fn counted(
        &self,
        files: &[(ExportFile, PeriodLineCounts)],
    ) -> Result<Vec<CountedFile>, DetectError> {
        let mut counted = Vec::with_capacity(files.len());
        for (file, line_counts) in files {
            counted.push(match self.opened.get(&file.path) {
                Some(opened) => opened.clone(),
                None => CountedFile::open(self.listed.store(), file, line_counts.clone(), &self.reader).await?,
            });
        }
        Ok(counted)
    }
}

/// What the lake has, and what of it is damaged.
async fn found(lake: &Lake) -> Result<(Generations, BTreeMap<BillingPeriod, DamagedGeneration>), LakeError> {
    let found = lake.found_generations().await?;
    let damaged = lake.damaged_generations(&found.current).await?;
    Ok((found, damaged))
}

fn line_reader(context: &JobContext, reference: &ReferenceFiles) -> Result<LineReader, ReadError> {
    let settings = &context.settings;
    LineReader::new(LineSettings {
        periods: context.export_periods(),
        exports: settings.source.iter().map(stated).collect(),
        cost: settings.source.cost(),
        credits: settings.credits.clone(),
        rules: reference.cost_rules.conditions(),
    })
}

/// Digest of everything but the files that lines depend on.
fn settings_digest(context: &JobContext, rules: &CostRules) -> Result<InputDigest, LakeError> {
    let conditions: Vec<_> = rules.iter().map(|rule| (&rule.rule_id, rule.priority, &rule.conditions)).collect();
    // What is stated of one export that has no name stays where it was, so that its months are not read again.
    let exports: Vec<StatedOfExport> = context.settings.source.iter().map(stated).collect();
    let currency = exports.iter().find(|export| export.folder.is_empty()).and_then(|export| export.currency.clone());
    let named: Vec<&StatedOfExport> = exports.iter().filter(|export| export.is_more_than_a_currency()).collect();
    let CreditSettings {
        policy: _,
        expiring_soon_days: _,
        treat_as_refund,
        description_patterns,
        class_patterns,
        ineligible_billing_entities,
        ineligible_services,
        ineligible_line_types,
        ineligible_upfront_fees,
    } = &context.settings.credits;
    let digest = InputDigest::of_table::<CostLine>()
        .with("credit_lines", &InputDigest::of_table::<CreditLine>().finish())?
        .with("conditions", &conditions)?
        .with("cost", &context.settings.source.cost())?
        .with("currency", &currency)?
        .with("treat_as_refund", treat_as_refund)?
        .with("description_patterns", description_patterns)?
        .with("class_patterns", class_patterns)?
        .with("ineligible_billing_entities", ineligible_billing_entities)?
        .with("ineligible_services", ineligible_services)?
        .with("ineligible_line_types", ineligible_line_types)?
        .with("ineligible_upfront_fees", ineligible_upfront_fees)?;
    if named.is_empty() { Ok(digest) } else { digest.with("exports", &named) }
}

fn stated(source: &SourceSettings) -> StatedOfExport {
    // By name, so that a new setting is a compile error here.
    let SourceSettings { name: _, location: _, payer, cost: _, currency, region: _, role_arn: _ } = source;
    StatedOfExport { folder: source.folder().to_owned(), currency: currency.clone(), payer: payer.clone() }
}

type Counted = (Vec<(ExportFile, PeriodLineCounts)>, BTreeMap<String, CountedFile>);

/// Counts the lines of files that the lake has not read, several at once. All bad files are told.
async fn counted_files(
    listed: &Listed,
    reader: &Arc<LineReader>,
    known: &BTreeMap<BillingPeriod, Generation>,
    at_once: usize,
) -> Result<Counted, DetectError> {
    let known: BTreeMap<(&str, u64, &str), &PeriodLineCounts> = known
        .values()
        .flat_map(|generation| &generation.files)
        // One that was taken before its periods were checked is counted again, to name the row.
        .filter(|file| file.lines.keys().all(|period| reader.settings.periods.check(*period).is_ok()))
        .map(|file| ((file.path.as_str(), file.size, file.version.as_str()), &file.lines))
        .collect();
    let known = |file: &ExportFile| known.get(&(file.path.as_str(), file.size, file.version.as_str())).copied();
    let counting = listed.files.iter().filter(|file| known(file).is_none()).map(|file| {
        let (store, file, reader) = (Arc::clone(listed.store()), file.clone(), Arc::clone(reader));
        spawn_abort_on_drop(async move { count(&store, &file, &reader).await })
    });
    let mut counting = futures::stream::iter(counting).buffered(at_once);
    let (mut files, mut opened, mut parts) = (Vec::new(), BTreeMap::new(), 0);
    let mut problems = Problems::default();
    for file in &listed.files {
        if let Some(line_counts) = known(file) {
            files.push((file.clone(), line_counts.clone()));
            continue;
        }
        match counting.next().await.transpose() {
            Ok(Some(counted)) => {
                files.push((file.clone(), counted.line_counts.clone()));
                parts += counted.parts();
                if parts <= PARTS_KEPT_OPEN {
                    opened.insert(file.path.clone(), counted);
                }
            }
            Ok(None) => break,
            Err(DetectError::Read(ReadError::BadExport(found))) => problems.0.extend(found.0),
            Err(other) => return Err(listed.changed_or(other).await),
        }
    }
    drop(counting);
    match problems.or(()) {
        Ok(()) => Ok((files, opened)),
        Err(problems) => Err(listed.changed_or(problems.into()).await),
    }
}

/// Refuses a lake with a billing period that was taken before periods were checked.
fn refuse_impossible(context: &JobContext, known: &BTreeMap<BillingPeriod, Generation>) -> Result<(), DetectError> {
    let (last, possible) = (context.last_period(), context.export_periods());
    let mut periods = known.keys().filter(|period| **period <= last);
    match periods.find_map(|period| possible.check(*period).err().map(|wrong| (period, wrong))) {
        None => Ok(()),
        Some((period, wrong)) => {
            let lake = &context.settings.lake.location;
            let message = format!("the lake {lake}: {wrong}; `lake drop-period {period}` takes it out");
            Err(LakeError::BadInput(message).into())
        }
    }
}
