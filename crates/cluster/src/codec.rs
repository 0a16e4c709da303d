//! Plans as bytes: our operators and functions, and Ballista's.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion_proto::physical_plan::{ComposedPhysicalExtensionCodec, PhysicalExtensionCodec};
use detect_credits::CostScanCodec;
use object_store::ObjectStore;
use object_store::memory::InMemory;

/// The largest message: a plan names every file that it reads.
pub(crate) const LARGEST_MESSAGE: u32 = 512 * 1024 * 1024;

/// For whoever reads the export from this store.
pub(crate) fn codec(export: Arc<dyn ObjectStore>) -> Arc<dyn PhysicalExtensionCodec> {
    // Ours first: of the functions it is asked for it knows each.
    Arc::new(ComposedPhysicalExtensionCodec::new(vec![
        Arc::new(CostScanCodec::new(export)),
        Arc::new(BallistaPhysicalExtensionCodec::default()),
    ]))
}

/// For whoever only passes plans on.
pub(crate) fn codec_without_export() -> Arc<dyn PhysicalExtensionCodec> {
    codec(Arc::new(InMemory::new()))
}
