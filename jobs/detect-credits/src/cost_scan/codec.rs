//! The scan as bytes, so that an executor on another machine can run it.
//!
//! JSON with the version of its format in front. It names files and parts, and holds the settings that lines depend on; the
//! export itself is read by whoever runs it.

use std::sync::Arc;

use credit_ledger::{BillingPeriod, ExportPeriods};
use cur_reader::listing::ExportFile;
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use money_sql::checked_sum_udaf;
use object_store::ObjectStore;
use schemas::reference::RuleConditions;
use schemas::settings::{ClassPattern, Commitment, CostColumn, CreditSettings, Excluded};
use serde::{Deserialize, Serialize};

use super::{CostScanExec, Part, ScanFile, ScanInput};
use crate::deliveries::Delivery;
use crate::lines::{LineReader, LineSettings};
use crate::stated::StatedOfExport;

/// The format of the bytes. Whoever changes what they say counts it up.
const FORMAT: u32 = 3;
/// How plans name the checked sum.
const CHECKED_SUM: &[u8] = b"checked_sum/1";

/// Encodes and decodes the operators and functions of this project in physical plans.
#[derive(Debug)]
pub struct CostScanCodec {
    export: Arc<dyn ObjectStore>,
}

impl CostScanCodec {
    /// The format of the plans that it reads and writes.
    pub const FORMAT: u32 = FORMAT;

    /// A codec whose decoded plans read from `export`.
    #[must_use]
    pub fn new(export: Arc<dyn ObjectStore>) -> Self {
        Self { export }
    }
}

impl PhysicalExtensionCodec for CostScanCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _context: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !inputs.is_empty() {
            return internal_err!("CostScanExec is a leaf");
        }
        let Version { format } = from_json(bytes)?;
        if format != FORMAT {
            let hint = "run the same version of finops-credits everywhere";
            return exec_err!("the plan of the scan has format {format}, this version reads format {FORMAT}: {hint}");
        }
        let input = from_json::<EncodedScan>(bytes)?.input(Arc::clone(&self.export))?;
        Ok(Arc::new(CostScanExec::new(input)))
    }

    fn try_encode(&self, node: Arc<dyn ExecutionPlan>, bytes: &mut Vec<u8>) -> Result<()> {
        let Some(scan) = node.downcast_ref::<CostScanExec>() else {
            return internal_err!("{} cannot be encoded", node.name());
        };
        serde_json::to_writer(bytes, &EncodedScan::of(&scan.input))
            .map_err(|error| DataFusionError::External(error.into()))
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if *function == *checked_sum_udaf() {
            bytes.extend_from_slice(CHECKED_SUM);
        }
        Ok(())
    }

    fn try_decode_udaf(&self, name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
        if bytes == CHECKED_SUM {
            Ok(checked_sum_udaf())
        } else {
            exec_err!("the aggregate function {name} is not known")
        }
    }
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| DataFusionError::Execution(format!("the plan of the scan: {error}")))
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct EncodedScan {
    format: u32,
    settings: EncodedSettings,
    periods: Vec<BillingPeriod>,
    files: Vec<EncodedFile>,
    parts: Vec<Vec<Part>>,
}

#[derive(Serialize, Deserialize)]
struct EncodedFile {
    file: ExportFile,
    columns: Vec<String>,
    delivery: Delivery,
}

impl EncodedScan {
    fn of(input: &ScanInput) -> Self {
        let files = input.files.iter().map(|ScanFile { file, columns, delivery, .. }| EncodedFile {
            file: file.clone(),
            columns: columns.clone(),
            delivery: delivery.clone(),
        });
        Self {
            format: FORMAT,
            settings: EncodedSettings::of(&input.reader.settings),
            periods: input.periods.clone(),
            files: files.collect(),
            parts: input.parts.clone(),
        }
    }

    fn input(self, store: Arc<dyn ObjectStore>) -> Result<ScanInput> {
        let Self { format: _, settings, periods, files, parts } = self;
        let reader =
            LineReader::new(settings.settings()).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let files =
            files.into_iter().map(|EncodedFile { file, columns, delivery }| ScanFile::closed(file, columns, delivery));
        Ok(ScanInput { store, reader: Arc::new(reader), periods, files: files.collect(), parts })
    }
}

/// An exclusion: what is listed, and whether somebody set it.
type EncodedExclusion<T> = (Vec<T>, bool);

#[derive(Serialize, Deserialize)]
struct EncodedSettings {
    last_period: BillingPeriod,
    exports: Vec<StatedOfExport>,
    cost: CostColumn,
    treat_as_refund: Vec<String>,
    description_patterns: Vec<String>,
    class_patterns: Vec<ClassPattern>,
    ineligible_billing_entities: EncodedExclusion<String>,
    ineligible_services: EncodedExclusion<String>,
    ineligible_line_types: EncodedExclusion<String>,
    ineligible_upfront_fees: EncodedExclusion<Commitment>,
    rules: Vec<(String, RuleConditions)>,
}

impl EncodedSettings {
    fn of(settings: &LineSettings) -> Self {
        let LineSettings { periods, exports, cost, credits, rules } = settings.clone();
        // By name, so that a new setting is a compile error here.
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
        } = credits;
        Self {
            last_period: periods.last(),
            exports,
            cost,
            treat_as_refund,
            description_patterns,
            class_patterns,
            ineligible_billing_entities: exclusion(&ineligible_billing_entities),
            ineligible_services: exclusion(&ineligible_services),
            ineligible_line_types: exclusion(&ineligible_line_types),
            ineligible_upfront_fees: exclusion(&ineligible_upfront_fees),
            rules,
        }
    }

    fn settings(self) -> LineSettings {
        let credits = CreditSettings {
            treat_as_refund: self.treat_as_refund,
            description_patterns: self.description_patterns,
            class_patterns: self.class_patterns,
            ineligible_billing_entities: excluded(self.ineligible_billing_entities),
            ineligible_services: excluded(self.ineligible_services),
            ineligible_line_types: excluded(self.ineligible_line_types),
            ineligible_upfront_fees: excluded(self.ineligible_upfront_fees),
            ..CreditSettings::default()
        };
        let periods = ExportPeriods::up_to(self.last_period);
        LineSettings { periods, exports: self.exports, cost: self.cost, credits, rules: self.rules }
    }
}

fn exclusion<T: Clone>(excluded: &Excluded<T>) -> EncodedExclusion<T> {
    (excluded.to_vec(), excluded.is_set)
}

fn excluded<T>((list, is_set): EncodedExclusion<T>) -> Excluded<T> {
    let mut excluded = Excluded::by_default(list);
    excluded.is_set = is_set;
    excluded
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::{collect, collect_partitioned, displayable};
    use datafusion::prelude::SessionContext;
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    use super::*;
    use crate::cost_scan::metric;
    use crate::cost_scan::tests::{export, input_of, scan_of, stored};

    async fn rows(plan: &Arc<dyn ExecutionPlan>, session: &SessionContext) -> String {
        let rows = collect(Arc::clone(plan), session.task_ctx()).await.unwrap();
        pretty_format_batches(&rows).unwrap().to_string()
    }

    async fn by_partition(plan: &Arc<dyn ExecutionPlan>, session: &SessionContext) -> Vec<String> {
        let rows = collect_partitioned(Arc::clone(plan), session.task_ctx()).await.unwrap();
        rows.iter().map(|rows| pretty_format_batches(rows).unwrap().to_string()).collect()
    }

    #[tokio::test]
    async fn plan_that_was_sent_reads_each_part_once_and_gives_equal_rows() {
        let session = money_sql::session(2, Arc::default());
        let store = export().await;
        let plan = scan_of(&store, 2, &session).await;
        let codec = CostScanCodec::new(Arc::clone(&store));
        let bytes = physical_plan_to_bytes_with_extension_codec(Arc::clone(&plan), &codec).unwrap();
        let sent = physical_plan_from_bytes_with_extension_codec(&bytes, &session.task_ctx(), &codec).unwrap();
        assert_eq!(displayable(&*sent).indent(true).to_string(), displayable(&*plan).indent(true).to_string());
        assert_eq!(rows(&sent, &session).await, rows(&plan, &session).await);
        let mut leaf = sent;
        while let Some(input) = leaf.children().first().map(|input| Arc::clone(input)) {
            leaf = input;
        }
        let parts = leaf.metrics().unwrap().sum_by_name(metric::PARTS).unwrap().as_usize();
        assert_eq!((leaf.name(), parts), ("CostScanExec", 2));
        // Executed again, it gives the same rows: nothing is used up.
        assert_eq!(by_partition(&leaf, &session).await, by_partition(&leaf, &session).await);
    }

    #[tokio::test]
    async fn plan_of_another_format_is_refused() {
        let session = money_sql::session(2, Arc::default());
        let codec = CostScanCodec::new(export().await);
        let newer = codec.try_decode(br#"{"format":4,"files":"elsewhere"}"#, &[], &session.task_ctx()).unwrap_err();
        assert_eq!(
            newer.strip_backtrace(),
            "Execution error: the plan of the scan has format 4, this version reads format 3: run the same version of \
             finops-credits everywhere"
        );
        assert!(codec.try_decode(b"{}", &[], &session.task_ctx()).is_err());
    }

    #[tokio::test]
    async fn what_is_no_part_of_a_scan_is_refused() {
        let session = money_sql::session(1, Arc::default());
        let store = export().await;
        let (codec, plan) = (CostScanCodec::new(Arc::clone(&store)), scan_of(&store, 1, &session).await);
        let refused = |error: DataFusionError| error.strip_backtrace();
        let sorted = codec.try_encode(Arc::clone(&plan), &mut Vec::new()).map_err(refused).unwrap_err();
        assert!(sorted.contains("Exec cannot be encoded"), "{sorted}");
        let child = codec.try_decode(b"", &[plan], &session.task_ctx()).map_err(refused).unwrap_err();
        assert!(child.contains("CostScanExec is a leaf"), "{child}");
        let Err(unknown) = codec.try_decode_udaf("average", b"average/1") else { panic!("nobody sent it so") };
        assert_eq!(refused(unknown), "Execution error: the aggregate function average is not known");
        let mut bytes = Vec::new();
        codec.try_encode_udaf(&checked_sum_udaf(), &mut bytes).unwrap();
        assert_eq!(codec.try_decode_udaf("sum", &bytes).unwrap(), checked_sum_udaf());
        // A function of DataFusion's own is left to DataFusion.
        let mut none = Vec::new();
        codec.try_encode_udaf(&datafusion::functions_aggregate::average::avg_udaf(), &mut none).unwrap();
        assert_eq!(none, b"");
    }

    #[tokio::test]
    async fn plan_that_was_sent_reads_the_export_from_where_it_runs() {
        let session = money_sql::session(1, Arc::default());
        let store = export().await;
        let (codec, (input, _)) = (CostScanCodec::new(stored(&[]).await), input_of(&store, 1).await);
        let mut bytes = Vec::new();
        codec.try_encode(Arc::new(CostScanExec::new(input)), &mut bytes).unwrap();
        let elsewhere = codec.try_decode(&bytes, &[], &session.task_ctx()).unwrap();
        let gone = collect(elsewhere, session.task_ctx()).await.unwrap_err().to_string();
        assert!(gone.ends_with("may-1.csv: the export changed while it was read; try again"), "{gone}");
    }

    #[test]
    fn settings_come_back_as_they_were() {
        let mut settings = crate::cost_scan::tests::settings();
        settings.credits.treat_as_refund = vec!["goodwill".to_owned()];
        settings.credits.ineligible_services.is_set = true;
        settings.rules =
            vec![("r".to_owned(), RuleConditions { service: Some("A*".to_owned()), ..RuleConditions::default() })];
        let encoded = serde_json::to_string(&EncodedSettings::of(&settings)).unwrap();
        let back = serde_json::from_str::<EncodedSettings>(&encoded).unwrap().settings();
        assert_eq!(format!("{back:?}"), format!("{settings:?}"));
    }
}
