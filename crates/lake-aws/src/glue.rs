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
