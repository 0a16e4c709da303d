//! Published and staged tables in the Glue catalogue. A table's location is its pointer.

use aws_sdk_glue::Client;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_glue::operation::RequestId;
use aws_sdk_glue::operation::create_table::CreateTableError;
use aws_sdk_glue::operation::get_table::GetTableError;
use aws_sdk_glue::operation::update_table::UpdateTableError;
use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table as GlueTable, TableInput};
use lake::{LakeError, PeriodRange};
use schemas::athena::{self, GlueColumn};
use schemas::{Place, Table, tables};

/// The tables of one database.
#[derive(Debug, Clone)]
pub(crate) struct GlueTables {
    pub(crate) client: Client,
    pub(crate) database: String,
    /// `s3://bucket/prefix` of the lake.
    pub(crate) lake: String,
}

/// All published tables, `reconciliation` last: where it points, all do.
pub(crate) fn in_order() -> impl Iterator<Item = &'static Table> {
    let (last, others): (Vec<&Table>, Vec<&Table>) =
        tables::ALL.iter().filter(|table| table.place == Place::Published).partition(|table| table.name == LAST);
    others.into_iter().chain(last)
}

/// The table that is switched last.
pub(crate) const LAST: &str = "reconciliation";

/// A table as it stands: where it points, and the version that a conditional update names.
pub(crate) struct Current {
    pub(crate) run_id: Option<String>,
    version: Option<String>,
}

impl GlueTables {
    fn location(&self, run_id: &str, table: &Table) -> String {
        format!("{}/runs/{run_id}/{}/", self.lake, table.name)
    }

    /// The run in a location of one of our tables.
    fn run_of(&self, location: &str) -> Option<String> {
        let path = location.strip_prefix(&self.lake)?.strip_prefix("/runs/")?;
        path.split('/').next().map(str::to_owned)
    }

    /// A table; none where the database does not have it yet.
    pub(crate) async fn current(&self, name: &str) -> Result<Option<Current>, LakeError> {
        let found = self.client.get_table().database_name(&self.database).name(name).send().await;
        match found {
            Ok(found) => Ok(found.table().map(|table| Current {
                run_id: location_of(table).and_then(|location| self.run_of(location)),
                version: table.version_id().map(str::to_owned),
            })),
            Err(error) if matches!(error.as_service_error(), Some(GetTableError::EntityNotFoundException(_))) => {
                Ok(None)
            }
            Err(error) => Err(refused(&format!("reading table {}.{name}", self.database), error)),
        }
    }

    /// Points `name` at a run, wherever it points now.
    pub(crate) async fn point_anyway(
        &self,
        name: &str,
        table: &Table,
        run_id: &str,
        periods: PeriodRange,
    ) -> Result<(), LakeError> {
        let current = self.current(name).await?.map(|current| Current { version: None, ..current });
        self.point(name, table, run_id, periods, current).await
    }

    /// Points `name` at a run, if it still stands as `current` says.
    ///
    /// # Errors
    /// [`LakeError::LostRace`] where somebody else changed it meanwhile.
    pub(crate) async fn point(
        &self,
        name: &str,
        table: &Table,
        run_id: &str,
        periods: PeriodRange,
        current: Option<Current>,
    ) -> Result<(), LakeError> {
        let input = self.input(name, table, run_id, periods)?;
        let doing = format!("pointing table {}.{name} at run {run_id}", self.database);
        match current {
            None => {
                let made = self.client.create_table().database_name(&self.database).table_input(input).send().await;
                match made {
                    Ok(_) => return Ok(()),
                    Err(error) => match error.as_service_error() {
                        Some(CreateTableError::AlreadyExistsException(_)) => {}
                        _ => return Err(refused(&doing, error)),
                    },
                }
            }
            Some(current) => {
                let update = self.client.update_table().database_name(&self.database).table_input(input);
                match update.set_version_id(current.version).skip_archive(true).send().await {
                    Ok(_) => return Ok(()),
                    Err(error) => match error.as_service_error() {
                        Some(
                            UpdateTableError::ConcurrentModificationException(_)
                            | UpdateTableError::EntityNotFoundException(_),
                        ) => {}
                        _ => return Err(refused(&doing, error)),
                    },
                }
            }
        }
        // Somebody was faster; or it was our own request, whose answer was lost and which was sent again.
        match self.current(name).await? {
            Some(now) if now.run_id.as_deref() == Some(run_id) => Ok(()),
            _ => Err(LakeError::LostRace(format!("{doing}: another run changed it meanwhile; start a new run"))),
        }
    }

    fn input(&self, name: &str, table: &Table, run_id: &str, periods: PeriodRange) -> Result<TableInput, LakeError> {
        let location = self.location(run_id, table);
        let serde = SerDeInfo::builder().serialization_library(athena::SERDE).build();
        let storage = StorageDescriptor::builder()
            .set_columns(Some(columns(athena::columns(table))?))
            .location(&location)
            .input_format(athena::INPUT_FORMAT)
            .output_format(athena::OUTPUT_FORMAT)
            .serde_info(serde)
            .build();
        let mut input = TableInput::builder()
            .name(name)
            .description(table.doc)
            .table_type("EXTERNAL_TABLE")
            .storage_descriptor(storage)
            .set_partition_keys(Some(columns(table.partitioned.then_some(athena::PARTITION_KEY))?))
            .parameters("EXTERNAL", "TRUE")
            .parameters("classification", "parquet");
        if table.partitioned {
            for (key, value) in athena::projection(&location, periods) {
                input = input.parameters(key, value);
            }
        }
        input.build().map_err(built)
    }
}

fn columns(columns: impl IntoIterator<Item = GlueColumn>) -> Result<Vec<Column>, LakeError> {
    let column = |column: GlueColumn| {
        Column::builder().name(column.name).r#type(column.sql_type).comment(column.doc).build().map_err(built)
    };
    columns.into_iter().map(column).collect()
}

fn location_of(table: &GlueTable) -> Option<&str> {
    table.storage_descriptor()?.location()
}

fn built(error: aws_sdk_glue::error::BuildError) -> LakeError {
    LakeError::BadInput(format!("Glue table: {error}"))
}

/// What AWS said, in one line: code, message and the id of the request, or why it could not be asked.
pub(crate) fn refused<E, R>(doing: &str, error: SdkError<E, R>) -> LakeError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
    SdkError<E, R>: RequestId,
{
    let request = error.request_id().map(|id| format!(" (request {id})")).unwrap_or_default();
    let Some(code) = error.code() else {
        return LakeError::Service(format!("{doing}: {}{request}", innermost(&error)));
    };
    let message = error.message().unwrap_or("no message");
    let text = format!("{doing}: {code}: {message}{request}");
    if DENIED.contains(&code) { LakeError::Denied(text) } else { LakeError::Service(text) }
}

/// Codes of AWS that retrying cannot fix.
const DENIED: [&str; 4] =
    ["AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidSignatureException"];

/// The bottom of an error.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    bottom.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use schemas::TableRow;
    use schemas::tables::{CreditQueue, NetCost, Reconciliation};
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Glue, sdk, stand_in};

    const LAKE: &str = "s3://bucket/lake";

    fn months() -> PeriodRange {
        ("2025-11".parse().unwrap(), "2026-02".parse().unwrap())
    }

    fn tables_of(url: &str, attempts: u32) -> GlueTables {
        let client = Client::new(&sdk(url, attempts));
        GlueTables { client, database: "finops".to_owned(), lake: LAKE.to_owned() }
    }

    fn catalogue(attempts: u32) -> (Arc<Mutex<Glue>>, GlueTables) {
        let glue = Arc::new(Mutex::new(Glue::default()));
        let answering = Arc::clone(&glue);
        let url = stand_in(move |request| answering.lock().unwrap().answer(request));
        (glue, tables_of(&url, attempts))
    }

    async fn run_of(tables: &GlueTables, name: &str) -> Option<String> {
        tables.current(name).await.unwrap().and_then(|current| current.run_id)
    }

    #[test]
    fn every_published_table_comes_once_and_the_one_that_says_what_is_published_last() {
        let names: Vec<&str> = in_order().map(|table| table.name).collect();
        assert_eq!(names.last(), Some(&Reconciliation::TABLE.name));
        let published = tables::ALL.iter().filter(|table| table.place == Place::Published).map(|table| table.name);
        let mut expected: Vec<&str> = published.collect();
        let mut sorted = names.clone();
        expected.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
    }

    #[tokio::test]
    async fn location_says_the_run_only_where_it_is_one_of_this_lake() {
        let (glue, tables) = catalogue(1);
        for (location, run_id) in [
            ("s3://bucket/lake/runs/2026-01-01T02/net_cost/", Some("2026-01-01T02")),
            ("s3://bucket/lake/runs/a", Some("a")),
            ("s3://bucket/lake-2/runs/a/net_cost/", None),
            ("s3://other/lake/runs/a/net_cost/", None),
            ("s3://bucket/lake/warehouse/net_cost/", None),
            ("", None),
        ] {
            let table = json!({"Name": "net_cost", "StorageDescriptor": {"Location": location}});
            glue.lock().unwrap().tables.insert("net_cost".to_owned(), (table, 3));
            assert_eq!(run_of(&tables, "net_cost").await.as_deref(), run_id, "{location}");
        }
        assert!(tables.current("credits").await.unwrap().is_none(), "it was never made");
        glue.lock().unwrap().tables.insert("credits".to_owned(), (json!({"Name": "credits"}), 0));
        assert_eq!(run_of(&tables, "credits").await, None, "a view has no location");
    }

    #[tokio::test]
    async fn table_is_made_and_moved_with_its_columns_and_the_months_that_it_has() {
        let (glue, tables) = catalogue(1);
        for run_id in ["a", "b"] {
            let current = tables.current("net_cost").await.unwrap();
            tables.point("net_cost", &NetCost::TABLE, run_id, months(), current).await.unwrap();
            assert_eq!(run_of(&tables, "net_cost").await.as_deref(), Some(run_id));
        }
        tables.point("credit_queue", &CreditQueue::TABLE, "b", months(), None).await.unwrap();
        let glue = glue.lock().unwrap();
        let (input, version) = &glue.tables["net_cost"];
        assert_eq!((glue.location("net_cost").unwrap().as_str(), *version), ("s3://bucket/lake/runs/b/net_cost/", 1));
        let columns = input["StorageDescriptor"]["Columns"].as_array().unwrap();
        let names: Vec<&str> = columns.iter().map(|column| column["Name"].as_str().unwrap()).collect();
        assert_eq!(names, NetCost::TABLE.column_names().collect::<Vec<_>>());
        assert_eq!(input["PartitionKeys"][0]["Name"], "billing_period");
        assert_eq!(input["TableType"], "EXTERNAL_TABLE");
        let parameters = &input["Parameters"];
        assert_eq!(parameters["projection.billing_period.values"], "2025-11,2025-12,2026-01,2026-02");
        let template = "s3://bucket/lake/runs/b/net_cost/billing_period=${billing_period}";
        assert_eq!(parameters["storage.location.template"], template);
        let (whole, _) = &glue.tables["credit_queue"];
        assert_eq!(whole["PartitionKeys"].as_array().map_or(0, Vec::len), 0);
        assert!(whole["Parameters"].get("projection.enabled").is_none(), "it has no months");
    }

    #[tokio::test]
    async fn table_that_somebody_else_changed_meanwhile_is_not_moved() {
        let (glue, tables) = catalogue(1);
        tables.point("net_cost", &NetCost::TABLE, "a", months(), None).await.unwrap();
        let seen = tables.current("net_cost").await.unwrap();
        tables.point_anyway("net_cost", &NetCost::TABLE, "other", months()).await.unwrap();
        for current in [seen, None] {
            let lost = tables.point("net_cost", &NetCost::TABLE, "b", months(), current).await.unwrap_err();
            let expected = "pointing table finops.net_cost at run b: another run changed it meanwhile; start a new run";
            assert!(matches!(&lost, LakeError::LostRace(text) if text == expected), "{lost:?}");
        }
        let seen = tables.current("net_cost").await.unwrap();
        glue.lock().unwrap().tables.clear();
        let lost = tables.point("net_cost", &NetCost::TABLE, "b", months(), seen).await.unwrap_err();
        assert!(matches!(lost, LakeError::LostRace(_)), "somebody dropped it: {lost:?}");
        assert!(glue.lock().unwrap().tables.is_empty());
    }

    #[tokio::test]
    async fn change_whose_answer_was_lost_is_known_to_be_made() {
        let (glue, tables) = catalogue(2);
        let current = async || tables.current("net_cost").await.unwrap();
        for run_id in ["made", "moved"] {
            glue.lock().unwrap().loses = Some("net_cost".to_owned());
            tables.point("net_cost", &NetCost::TABLE, run_id, months(), current().await).await.unwrap();
            assert_eq!(run_of(&tables, "net_cost").await.as_deref(), Some(run_id));
        }
        assert_eq!(glue.lock().unwrap().changed, ["net_cost", "net_cost"], "each was made once");
    }

    #[tokio::test]
    async fn what_aws_says_is_told_in_a_line_with_the_request_and_whether_a_retry_helps() {
        let told = async |code: &'static str| {
            let url = stand_in(move |_| Answer::failure(code, "User: arn:aws:iam::1:role/x is not authorized"));
            tables_of(&url, 1).current("net_cost").await.map(drop).unwrap_err()
        };
        let denied = told("AccessDeniedException").await;
        let expected = "reading table finops.net_cost: AccessDeniedException: User: arn:aws:iam::1:role/x is not authorized \
                        (request r-1)";
        assert!(matches!(&denied, LakeError::Denied(text) if text == expected), "{denied:?}");
        for code in ["UnrecognizedClientException", "InvalidSignatureException"] {
            assert!(matches!(told(code).await, LakeError::Denied(_)), "{code}");
        }
        let busy = told("OperationTimeoutException").await;
        assert!(
            matches!(&busy, LakeError::Service(text) if text.contains(": OperationTimeoutException: ")),
            "{busy:?}"
        );
        let nobody = tables_of("http://127.0.0.1:1", 1).current("net_cost").await.map(drop).unwrap_err();
        let beginning = "reading table finops.net_cost: ";
        assert!(matches!(&nobody, LakeError::Service(text) if text.starts_with(beginning)), "{nobody:?}");
        assert!(nobody.to_string().to_lowercase().contains("connection refused"), "{nobody}");
    }
}
